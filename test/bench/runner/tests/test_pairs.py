"""Ratios are of rounds, not of medians, say the same whichever way a row counts, and are of quiet rounds if there is one."""

import unittest

from runner import pairs
from runner.cases import Row


class Ratios(unittest.TestCase):
    def of(self, above, below, disturbed=(), **options):
        row = Row("row", "s", lambda r: r, **options)
        return pairs.of(row, above, below, disturbed or [False] * len(above))

    def test_they_are_taken_within_a_round(self):
        # The second round was disturbed on both sides: medians alone would say 3.
        self.assertEqual(self.of([2, 30, 6], [1, 15, 2]).quotients, [2, 2, 3])

    def test_of_a_rate_the_slower_needs_more(self):
        self.assertEqual(self.of([100], [400], more_is_better=True).quotients, [4])

    def test_a_round_without_both_has_none(self):
        self.assertEqual(self.of([2, None, 3, 4], [None, 1, 0, 2]), pairs.Pairs([2]))

    def test_a_disturbed_round_is_left_out_if_another_was_quiet(self):
        found = self.of([2, 9], [1, 1], [False, True])
        self.assertEqual(found, pairs.Pairs([2], rejected=1))
        found = self.of([2, 9], [1, 1], [True, True])
        self.assertEqual(found, pairs.Pairs([2, 9], doubted=True))

    def test_nothing_to_compare_is_no_doubt(self):
        self.assertEqual(self.of([None], [1], [True]), pairs.Pairs([]))


class Disturbed(unittest.TestCase):
    def test_by_others_or_by_the_host(self):
        for share, steal, expected in ((0.09, 0.02, False), (0.11, 0, True), (0, 0.04, True)):
            report = {"seconds": 2, "foreign_cpu_seconds": share * 2, "steal_seconds": steal * 2}
            self.assertEqual(pairs.disturbed(report), expected)

    def test_of_what_is_no_load_nobody_knows(self):
        self.assertFalse(pairs.disturbed({"first_ms": 3}))


if __name__ == "__main__":
    unittest.main()
