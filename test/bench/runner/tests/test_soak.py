"""What grows over half an hour is told, and one bad minute is not lost in the middle of the others."""

import unittest

from runner import cases, soak


def minute(p99=100, cpu=0.5, anonymous=4_096):
    micros = {"p50": 50, "p99": p99, "p999": 500, "max": 2 * p99}
    ran = {"seconds": 60, "client_cpu_seconds": 1, "foreign_cpu_seconds": 0, "steal_seconds": 0.5, "messages": 1_000, "never_back": 2}
    return ran | {"broker_cpu_seconds": cpu, "anonymous_kib": anonymous, "e2e_micros": micros}


class Minutes(unittest.TestCase):
    def test_one_bad_minute_shows_in_the_worst_and_not_in_the_usual(self):
        found = soak.report([minute()] * 14 + [minute(p99=9_000)] + [minute()] * 15)
        self.assertEqual((found["p99"], found["p99_worst"], found["max"]), (100, 9_000, 18_000))
        self.assertEqual((found["seconds"], found["messages"], found["never_back"]), (1_800, 30_000, 60))
        self.assertEqual(found["steal_seconds"], 15)

    def test_growth_is_between_both_ends(self):
        found = soak.report([minute()] * 25 + [minute(p99=150, cpu=1.0, anonymous=8_192)] * 5)
        self.assertEqual((found["cpu_growth"], found["p99_growth"], found["anonymous_growth"]), (2, 1.5, 2))

    def test_it_runs_only_where_it_is_asked_for(self):
        keys = lambda *form: {case.key for case in cases.choose(*form)}
        self.assertNotIn("half-hour", keys(None, True) | keys(None, False))
        self.assertEqual(keys("half-hour", False), {"half-hour"})


if __name__ == "__main__":
    unittest.main()
