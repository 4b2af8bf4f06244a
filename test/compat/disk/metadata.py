"""Both nodes shorten their metadata log, and each goes on from what the other left of it."""

import time

from harness.report import expect, expect_equal

from . import dump
from .observe import Observer

TOPICS = 60
# Little is much, or a run would write for hours.
SHORT = {
    "internal.metadata.log.segment.bytes": "5000",
    "internal.metadata.delete.delay.millis": "1000",
    "metadata.log.max.record.bytes.between.snapshots": "4000",
    "metadata.max.retention.bytes": "10000",
}
# Both look a minute after something was written.
SECONDS = 300


def shortened(it, writer, reader):
    """`writer` loses its oldest segments and snapshots and is killed; both tell the same of what is left."""
    node = writer("written", extra=SHORT)
    observer = Observer(node)
    named = [f"topic-{number:02}" for number in range(TOPICS)]
    for name in named:
        topic = {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [], "Configs": []}
        made = observer.ask("CreateTopics", 7, Topics=[topic], timeoutMs=30000)
        expect_equal(made["Topics"][0]["ErrorCode"], 0, f"creation of {name}")
    folder, until = node.folder / "data" / "__cluster_metadata-0", time.monotonic() + SECONDS
    while first(folder, "log") == 0:
        expect(time.monotonic() < until, f"after {SECONDS} s nothing went: {sorted(folder.iterdir())}")
        time.sleep(0.5)
    wanted = topics(node)
    expect_equal(sorted(wanted), named, "topics before the end")
    node.kill()
    for again in (reader, writer):
        node = it.reopened(again, f"by-{again.__name__}", node)
        expect_equal(topics(node), wanted, f"topics by {node.kind}")
        text = node.log.read_text()
        expect("Inconsistent snapshot state" not in text and " ERROR " not in text, f"errors: {node.log}")
        node.terminate()
        data = node.folder / "data" / "__cluster_metadata-0"
        whole = [*data.glob("*.log"), *data.glob("*.checkpoint")]
        out, wrong = dump.dump(it.work, sorted(whole), "--cluster-metadata-decoder")
        expect(not wrong and "TOPIC_RECORD" in out, f"DumpLogSegments after {node.kind}: {wrong[:3]}")
        start, oldest = first(data, "log"), first(data, "checkpoint")
        expect(0 < start <= oldest, f"{node.kind}: log from {start} on, snapshots from {oldest} on")
        expect(not list(data.glob("*.deleted")), f"{node.kind} does not tidy {data}")


def first(folder, kind):
    """The first offset of the oldest file of that kind."""
    return min(int(file.name[:20]) for file in folder.glob(f"*.{kind}") if file.name[0] == "0")


def topics(node):
    told = Observer(node).ask("Metadata", 12, Topics=None)["Topics"]
    return {topic["Name"]: (topic["TopicId"], len(topic["Partitions"])) for topic in told}
