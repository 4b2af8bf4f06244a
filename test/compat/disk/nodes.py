"""The nodes of one seed: each in its own folder, one at a time."""

import random
import shutil

from harness import install
from harness.node import Dohle, Kafka, OldKafka

from . import files

COMMON = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
}
# Kafka while it writes: cleaning, deletion and checkpoints happen within the run.
BUSY = {
    "log.cleaner.backoff.ms": "300",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.flush.offset.checkpoint.interval.ms": "1500",
    "replica.high.watermark.checkpoint.interval.ms": "1500",
}
# Kafka while it is compared: nothing happens of itself.
QUIET = {"log.cleaner.enable": "false", "log.initial.task.delay.ms": "600000"}


class Exchange:
    """One seed: its folder and its nodes."""

    def __init__(self, work, executable, seed):
        self.work, self.executable, self.seed = work, executable, seed
        self.rng = random.Random(seed)
        self.node = None
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)

    def kafka(self, name, ports=None, extra=QUIET):
        """A node in the folder of that name: a new one, or with ports one that goes on and is not started."""
        self.node = Kafka(self.work / name, COMMON | extra, ports)
        return self.node

    def old_kafka(self, name, ports=None, extra=QUIET, release=install.TOOLS):
        self.node = OldKafka(self.work / name, COMMON | extra, ports, release)
        return self.node

    def dohle(self, name, ports=None, extra=None):
        """As `kafka`: one that goes on where another was is quiet, too."""
        extra = extra or (QUIET if ports else {})
        self.node = Dohle(self.work / name, COMMON | extra, self.executable, ports)
        return self.node

    def end(self):
        """Whatever went wrong, nothing stays running."""
        if self.node:
            self.node.stop()

    def reopened(self, kind, name, source):
        """A node started on a copy of what `source` left."""
        files.copy(source.folder / "data", self.work / name / "data")
        node = kind(name, source.ports)
        node.start()
        return node
