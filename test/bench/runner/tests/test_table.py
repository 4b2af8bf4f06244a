"""What a page shows, and how its numbers look."""

import unittest
from unittest import mock

from runner import table
from runner.cases import Case, Row
from runner.pairs import Pairs
from runner.rounds import Results


def results(rows, reports, names=("dohle", "kafka")):
    """Of one case, with `reports` by system, one a round."""
    case = Case("case", rows)
    found = Results(list(names), [case], max(map(len, reports.values()), default=0))
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


class Memory(unittest.TestCase):
    def test_a_page_says_whether_memory_goes_back_to_the_host(self):
        found = results([], {})
        found.page_cache = [(2.0, 1.0)]
        for goes_back, line in ((True, table.GOES_BACK), (False, table.STAYS)):
            with mock.patch.object(table.page_cache, "goes_back", lambda goes_back=goes_back: goes_back):
                self.assertIn(f"- {line}", table.remarks(found))


class Marks(unittest.TestCase):
    def test_a_ratio_without_a_quiet_round_is_marked(self):
        self.assertEqual(table.ratio(Pairs([2.0, 3.0, 2.5])), "**2.50** (2.00–3.00)")
        self.assertEqual(table.ratio(Pairs([2.0], doubted=True)), "**2.00**†")
        self.assertEqual(table.ratio(Pairs([2.0], rejected=2)), "**2.00** (1 of 3 rounds)")
        self.assertEqual(table.ratio(Pairs([2.0, 3.0], rejected=1)), "**2.50** (2.00–3.00; 2 of 3 rounds)")
        self.assertEqual(table.ratio(Pairs([])), "–")

    def test_what_is_left_out_is_told(self):
        row = Row("row", "s", lambda r: r["value"])
        quiet = lambda value: {"value": value, "seconds": 2, "foreign_cpu_seconds": 0.1}
        busy = lambda value: {"value": value, "seconds": 2, "foreign_cpu_seconds": 0.3}
        found = results([row], {"dohle": [quiet(1), quiet(1)], "kafka": [busy(9), quiet(2)]})
        self.assertIn("| **2.00** (1 of 2 rounds) |", table.rows(found)[-1])
        self.assertIn("Of 2 ratios of a round 1 are left out", "\n".join(table.remarks(found)))
        found = results([row], {"dohle": [quiet(1)], "kafka": [busy(9)]})
        self.assertIn("| **9.00**† |", table.rows(found)[-1])
        self.assertIn("† So it was in every round", "\n".join(table.remarks(found)))

    def test_the_round_in_which_the_machine_settles_is_not_told_of(self):
        row = Row("row", "s", lambda r: r["value"])
        found = results([row], {"dohle": [{"value": 9}, {"value": 1}], "kafka": [{"value": 9}, {"value": 3}]})
        found.settling = 1
        self.assertEqual(table.rows(found)[-1], "| row | s | 1.00 | 3.00 | **3.00** |")


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
