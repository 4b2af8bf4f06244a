"""What is written before a node is stopped: topics and settings drawn from a seed, and the program that writes.

Small segments and indexes make every boundary common. Nothing expires: what a node finds after a restart
must not depend on how long the run took.
"""

import json
import random
import subprocess
import time

from harness import install
from harness.node import NodeError

PROGRAM = install.HERE / "disk" / "python" / "write.py"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# The writer has this long for everything that it writes before the stop.
SECONDS = 120


def topic(rng, name, rounds, partitions=1, codec=None, **more):
    """A topic and how its writer goes about it; `rounds` are the batches that it sends."""
    configs = {"retention.ms": "-1"}
    if rng.random() < 0.7:
        # an index with few entries closes its segment
        configs["segment.index.bytes"] = str(rng.choice([48, 120, 400]))
        configs["index.interval.bytes"] = str(rng.choice([0, 100, 1000]))
    configs |= more.pop("configs", {})
    return {
        "name": name,
        "partitions": partitions,
        "configs": configs,
        "rounds": rounds,
        "codec": codec or rng.choice(CODECS),
        "idempotent": rng.random() < 0.5,
        "keyed": False,
        "bytes": 200,
        "old": False,
        **more,
    }


def plan(seed, transactions):
    """What the writer is to do; the same for the same seed."""
    rng = random.Random(seed)
    compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    # an index that is full makes Kafka's cleaner fail
    compacted |= {"internal.segment.bytes": "2500", "segment.index.bytes": "4096"}
    rounds = lambda: rng.randrange(20, 60)
    topics = [topic(rng, f"codec-{c}", rounds(), rng.randrange(1, 3), c) for c in CODECS]
    topics += [
        topic(rng, "append-time", rounds(), configs={"message.timestamp.type": "LogAppendTime"}),
        topic(rng, "recompressed", rounds(), configs={"compression.type": rng.choice(CODECS[1:])}),
        topic(rng, "tiny-segments", rounds(), 2, configs={"internal.segment.bytes": "1500"}),
        topic(rng, "large", 40, codec="none", bytes=60_000, configs={"segment.bytes": "1048576"}),
        topic(rng, "preallocated", rounds(), configs={"preallocate": "true", "segment.bytes": "1048576"}),
        topic(rng, "old", rounds(), old=True),
        topic(rng, "records-deleted", rounds(), 2, delete=round(rng.random(), 2)),
        topic(rng, "recreated", rounds(), 2, recreate=True),
        topic(rng, "gone", 3, 1, gone=True),
        topic(rng, "empty", 0, 3),
        topic(rng, "compacted", 2 * rounds(), 2, keyed=True, configs=compacted),
        topic(
            rng,
            "compacted-and-deleted",
            rounds(),
            keyed=True,
            configs=compacted | {"cleanup.policy": "compact,delete"},
        ),
    ]
    if transactions:
        topics += [
            topic(rng, "transactional", rounds(), 2, transactional=True),
            topic(
                rng, "compacted-transactional", rounds(), keyed=True, transactional=True, configs=compacted
            ),
        ]
    rng.shuffle(topics)
    return {"seed": seed, "topics": topics, "open_transaction": transactions}


def of_release(plan, release):
    """The same for an older release: 4.0 does not know the setting of tiny segments."""
    if release and release.startswith("4.0."):
        for topic in plan["topics"]:
            topic["configs"].pop("internal.segment.bytes", None)
    return plan


def reaches_readers(topic):
    """Whether every acknowledged record of a topic must be there for ever after."""
    kept = "compact" not in topic["configs"].get("cleanup.policy", "delete")
    return kept and not any(topic.get(what) for what in ("delete", "recreate", "gone"))


class Writer:
    """The program that writes: first all that the plan says, then without end until the node is gone."""

    def __init__(self, node, work, plan):
        self.work, self.plan = work, plan
        self.journal = work / "acknowledged.tsv"
        file = work / "plan.json"
        file.write_text(json.dumps(plan, indent=1))
        self.process = subprocess.Popen(
            [install.python(), "-u", PROGRAM, node.bootstrap, file, self.journal],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(work / "writer.log", "wb"),
            text=True,
        )

    def wait(self):
        """Waits until all that the plan says is written."""
        line = self.process.stdout.readline()
        if line.strip() != "written":
            self.stop()
            tail = (self.work / "writer.log").read_text(errors="replace")[-600:]
            raise NodeError(f"the writer ended: {tail}")

    def go_on(self, seconds):
        """Lets it write on for a while; the node can be killed any time from then on."""
        self.process.stdin.write("on\n")
        self.process.stdin.flush()
        time.sleep(seconds)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def acknowledged(self):
        """What the node promised: {(topic, partition): {offset: checksum of the value}}."""
        kept = {t["name"] for t in self.plan["topics"] if reaches_readers(t)}
        found = {}
        # the last line may be half written
        for line in self.journal.read_text().split("\n")[:-1]:
            name, partition, offset, checksum = line.split("\t")
            if name in kept:
                found.setdefault(f"{name}-{partition}", {})[int(offset)] = int(checksum)
        return found
