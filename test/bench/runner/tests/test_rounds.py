"""What a round runs, and on which cores."""

import unittest
from pathlib import Path

from runner import cases, rounds, systems


class Broker:
    """Notes how it would be started, and does nothing."""

    kind = "dohle"

    def __init__(self):
        self.setting = systems.Setting(Path("generator"), Path("dohle"), Path("folder"), free=False)
        self.process, self.ran = self, []

    def format(self, settings=()):
        pass

    def poll(self):
        return None

    def start(self, topic, create, pinned):
        pass

    def load(self, command, *options):
        self.ran.append((options[options.index("--topic") + 1], self.setting.free))
        return {"seconds": 1, "broker_cpu_seconds": 0, "messages": 1_000, "never_back": 0}


def ran(keys):
    """Titles of the stages, and each load with whether it had all cores."""
    broker, chosen = Broker(), cases.choose(keys, False)
    one = rounds.Round(broker, chosen, 0, rounds.Results(["dohle"], chosen, 1), False)
    stages = one.stages()
    for _, stage in stages:
        stage()
    return [title for title, _ in stages], broker


class Cores(unittest.TestCase):
    def setUp(self):
        probe, rounds.page_cache.probe = rounds.page_cache.probe, lambda folder: (1, 1)
        self.addCleanup(setattr, rounds.page_cache, "probe", probe)

    def test_end_to_end_has_all_and_the_other_loads_one(self):
        stages, broker = ran("produce-1k,e2e-1000")
        self.assertEqual(stages, ["loads", "unpinned"])
        self.assertEqual(broker.ran, [("produce-1k", False), ("e2e-1000", True)])
        self.assertFalse(broker.setting.free)

    def test_end_to_end_alone_starts_once(self):
        self.assertEqual(ran("e2e-1000")[0], ["unpinned"])


class Together(unittest.TestCase):
    def test_a_request_has_a_batch_for_each_partition(self):
        (case,) = cases.choose("produce-1k-16p-together", False)
        self.assertEqual((case.options["partitions"], case.options["batches"]), (16, 16))
        self.assertTrue(case.in_files)


if __name__ == "__main__":
    unittest.main()
