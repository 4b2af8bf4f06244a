"""Ratios are of rounds, not of medians, and say the same whichever way a row counts."""

import unittest

from runner import table
from runner.cases import Case, Row
from runner.rounds import Results


def results(rows, reports, names=("dohle", "kafka")):
    """Of one case, with `reports` by system, one a round."""
    case = Case("case", rows)
    found = Results(list(names), [case], max(map(len, reports.values())))
    for name, of_rounds in reports.items():
        for number, report in enumerate(of_rounds):
            if report is not None:
                found.put("case", name, number, report)
    return found


class Numbers(unittest.TestCase):
    def test_three_digits_are_kept_wherever_the_point_is(self):
        for value, shown in (
            (0, "0"),
            (0.012345, "0.0123"),
            (0.5, "0.500"),
            (9.999, "10.0"),
            (12.345, "12.3"),
            (999.6, "1,000"),
            (123456, "123,456"),
        ):
            self.assertEqual(table.number(value), shown)

    def test_a_spread_has_a_median_and_ends_and_leaves_out_what_is_missing(self):
        self.assertEqual(table.spread([3, None, 1, 10]), "3.00 (1.00–10.0)")
        self.assertEqual(table.spread([None, 2]), "2.00")
        self.assertEqual(table.spread([None]), "–")


class Ratios(unittest.TestCase):
    def test_they_are_taken_within_a_round(self):
        # The second round was disturbed on both sides: medians alone would say 3.
        row = Row("row", "s", lambda r: r)
        self.assertEqual(table.quotients(row, [2, 30, 6], [1, 15, 2]), [2, 2, 3])

    def test_of_a_rate_the_slower_needs_more(self):
        row = Row("row", "MB/s", lambda r: r, more_is_better=True)
        self.assertEqual(table.quotients(row, [100], [400]), [4])

    def test_a_round_without_both_has_none(self):
        row = Row("row", "s", lambda r: r)
        self.assertEqual(table.quotients(row, [2, None, 3, 4], [None, 1, 0, 2]), [2])
        self.assertEqual(table.ratio([]), "–")


class Rows(unittest.TestCase):
    def test_a_line_has_a_cell_for_each_system_and_each_ratio(self):
        row = Row("row", "MB/s", lambda r: r["value"], more_is_better=True)
        found = results([row], {"dohle": [{"value": 8}], "kafka": [{"value": 2}], "floor": []}, ("dohle", "kafka", "floor"))
        self.assertEqual(table.rows(found)[-1], "| row | MB/s ↑ | 8.00 | 2.00 | – | **4.00** | – |")

    def test_what_is_not_compared_has_no_ratio(self):
        row = Row("row", "×", lambda r: r["value"], compared=False)
        found = results([row], {"dohle": [{"value": 1}], "kafka": [{"value": 2}]})
        self.assertEqual(table.rows(found)[-1], "| row | × | 1.00 | 2.00 |  |")

    def test_the_chart_has_the_rows_that_stand_for_all_and_only_them(self):
        value = lambda r: r["value"]
        rows = [
            Row("row", "s", value, chart="seen & named"),
            Row("other", "s", value),
            Row("none", "s", value, False, chart="uncompared"),
        ]
        found = results(rows, {"dohle": [{"value": 2}], "kafka": [{"value": 8}]})
        drawn = table.drawing(found, None)
        self.assertIn("seen &amp; named", drawn)
        self.assertNotIn("other", drawn)
        self.assertNotIn("uncompared", drawn)
        self.assertIn(">4.0<", drawn)

    def test_nothing_compared_is_no_chart(self):
        found = results([Row("row", "s", lambda r: r["value"], chart="row")], {"dohle": [{"value": 2}]}, ("dohle",))
        self.assertEqual(table.drawing(found, None), "")


if __name__ == "__main__":
    unittest.main()
