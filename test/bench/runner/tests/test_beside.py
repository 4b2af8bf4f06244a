"""What runs beside a load is no stranger to it, and of two loads in a row the one that was disturbed more tells."""

import unittest
from contextlib import contextmanager

from runner import beside, pairs
from runner.cases import Row


class Machine:
    """A system on which a reader uses 80 % of a core; `foreign` is what others have of one, in each load in turn."""

    READER = 0.8

    def __init__(self, *foreign, steal=0.0):
        self.foreign, self.steal, self.reads = list(foreign), steal, False

    def load(self, command, *options):
        seconds = 4.0
        others = (self.foreign.pop(0) if "--keep" not in options else 0) + self.READER * self.reads
        micros = {"p99": 100}
        used = {"broker_cpu_seconds": 1.0, "client_cpu_seconds": 1.0, "foreign_cpu_seconds": others * seconds}
        report = {"seconds": seconds, "requests": 1_000, "messages": 4_000, "steal_seconds": self.steal * seconds}
        return report | used | {"ack_micros": micros, "e2e_micros": micros}

    @contextmanager
    def beside(self, command, *_options):
        self.reads = command == "fetch"
        yield self
        self.reads = False

    def report(self):
        opened = {"anonymous_kib": 9_000, "anonymous_kib_before": 0, "broker_cpu_seconds_opening": 0.1}
        return opened | {"seconds": 5.0, "broker_cpu_seconds": 2.0, "client_cpu_seconds": self.READER * 5, "raw_bytes": 1e9}


def pair(run, one, other):
    """The ratio of the two."""
    row = Row("read", "MB/s", lambda r: r["seconds"])
    found = [run(one), run(other)]
    doubt = any(map(pairs.disturbed, found))
    return pairs.of(row, [found[0]["seconds"]], [found[1]["seconds"]], [doubt])


class Backlog(unittest.TestCase):
    def of(self, one, other):
        return pair(lambda machine: beside.backlog(machine, 3, 1, 1_000), one, other)

    def test_the_reader_is_not_one_of_the_others(self):
        self.assertFalse(self.of(Machine(0.02, 0.05), Machine(0.0, 0.0)).doubted)

    def test_others_are_seen_beside_the_reader_and_before_it(self):
        self.assertTrue(self.of(Machine(0.0, 0.2), Machine(0.0, 0.0)).doubted)
        self.assertTrue(self.of(Machine(0.2, 0.0), Machine(0.0, 0.0)).doubted)
        self.assertTrue(self.of(Machine(0.0, 0.0), Machine(0.0, 0.0, steal=0.05)).doubted)

    def test_what_they_used_is_told_without_the_reader(self):
        report = beside.backlog(Machine(0.02, 0.05), 3, 1, 1_000)
        self.assertAlmostEqual(pairs.share(report, "foreign_cpu_seconds"), 0.05)


class Connections(unittest.TestCase):
    def test_others_are_seen_before_the_connections_and_behind_them(self):
        of = lambda *foreign: pair(lambda machine: beside.connections(machine, 3, 1), Machine(*foreign), Machine(0, 0))
        self.assertFalse(of(0.05, 0.05).doubted)
        self.assertTrue(of(0.2, 0.0).doubted)
        self.assertTrue(of(0.0, 0.2).doubted)


if __name__ == "__main__":
    unittest.main()
