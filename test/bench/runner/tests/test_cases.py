"""Cases are chosen by name and by form, and their options reach the generator as it takes them."""

import unittest

from runner import cases
from runner.rounds import flags


def keys(chosen):
    return {case.key for case in chosen}


class Chosen(unittest.TestCase):
    def test_the_short_form_has_none_of_the_long_and_neither_has_what_goes_by_name(self):
        short, long = keys(cases.choose(None, False)), keys(cases.choose(None, True))
        self.assertLess(short, long)
        self.assertEqual(long, {case.key for case in cases.ALL if not case.named})
        self.assertFalse(short & {case.key for case in cases.ALL if case.long})

    def test_every_case_has_a_name_of_its_own(self):
        names = [case.key for case in cases.ALL]
        self.assertEqual(len(names), len(set(names)))
        titles = [(row.title, row.unit) for case in cases.ALL for row in case.rows]
        self.assertEqual(len(titles), len(set(titles)))

    def test_end_to_end_runs_at_any_rate_that_is_named(self):
        (known,) = cases.choose("e2e-1000", False)
        self.assertIn(known, cases.ALL)
        (other,) = cases.choose("e2e-2750", False)
        self.assertEqual((other.key, other.options["rate"]), ("e2e-2750", 2_750))
        for wrong in ("e2e-", "e2e-0", "e2e--5", "e2e-1k", "e2e-01", "e3e-5"):
            with self.assertRaises(SystemExit):
                cases.choose(wrong, False)


class Options(unittest.TestCase):
    def test_yes_is_a_flag_no_is_nothing_and_several_come_as_often(self):
        options = {"in_flight": 5, "keyed": True, "random": False, "topic_config": ("a=1", "b=2")}
        self.assertEqual(flags(options), ["--in-flight", 5, "--keyed", "--topic-config", "a=1", "--topic-config", "b=2"])

    def test_many_partitions_keep_as_much_together_as_one_does(self):
        self.assertEqual(cases.kept_short(), ("segment.bytes=67108864", "retention.bytes=268435456"))
        self.assertEqual(cases.kept_short(16), ("segment.bytes=4194304", "retention.bytes=16777216"))
        self.assertEqual(cases.kept_short(9_999), ("segment.bytes=1048576", "retention.bytes=65536"))


if __name__ == "__main__":
    unittest.main()
