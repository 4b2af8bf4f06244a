"""Kafka compacts a directory, Dohle a copy of it, and what is left must be the same.

Batch for batch, with ranges, producers, codecs, sequence numbers, markers and whether a delete horizon is set; only
positions and checksums follow from what the compressors make. The second round finds tombstones and markers that
are due to go. Then Kafka opens what Dohle has compacted.
"""

import json
import re
import subprocess
import time

from harness import install
from harness.report import expect

from . import dump, files
from .complaints import complaints

PROGRAM = install.HERE / "disk" / "python" / "keyed.py"
TOPICS = ["plain", "idempotent", "append-time", "transactional", "interleaved"]
ROUNDS = 3
# One pass and no more: how often a log is compacted decides when its tombstones go.
PAUSED = {"min.cleanable.dirty.ratio": "1.0"}
COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
OFTEN = {"log.cleaner.backoff.ms": "200", "log.initial.task.delay.ms": "600000"}
SECONDS = 180
# Files of a segment, by its first offset.
SEGMENT = re.compile(r"^(\d{20})\.(log|index|timeindex|txnindex|snapshot)(\.deleted)?$")
# What both say: an empty batch has no first time, and the index tells its greatest.
EMPTY_BATCH = re.compile(r"timestamp mismatch")


def compaction(it):
    """Both go through the same rounds of writing and compacting."""
    theirs = it.kafka("kafka", extra=OFTEN)
    ask(theirs, "create")
    ask(theirs, "write", 1)
    theirs.terminate()
    files.copy(theirs.folder / "data", it.work / "dohle" / "data")
    ours = it.dohle("dohle", theirs.ports, OFTEN)
    for number in range(1, ROUNDS + 1):
        for node in (theirs, ours):
            it.node = node
            node.start()
            compact(node)
            node.terminate()
        same(it, theirs, ours)
        if number < ROUNDS:
            it.node = theirs
            theirs.start()
            ask(theirs, "write", number + 1)
            theirs.terminate()
            carry_over(theirs.folder / "data", ours.folder / "data")
    back = it.reopened(it.kafka, "back", ours)
    found = complaints(back.log.read_text())
    back.terminate()
    expect(not found, f"Kafka complains: {found}")


def ask(node, action, *arguments):
    command = [install.python(), PROGRAM, node.bootstrap, action, *map(json.dumps, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode == 0, f"{action}: {done.stderr[-400:]}")


def compact(node):
    """Lets the node compact all topics once."""
    data = node.folder / "data"
    ask(node, "configure", COMPACTED)
    wanted = {topic: active(data, topic) for topic in TOPICS}
    end = time.monotonic() + SECONDS
    while any(cleaned(data).get(topic, 0) < offset for topic, offset in wanted.items()):
        expect(time.monotonic() < end, f"{node.kind}: compacted to {cleaned(data)}, not to {wanted}")
        time.sleep(0.2)
    ask(node, "configure", PAUSED)


def active(data, topic):
    """The first offset of the segment that is written."""
    return max(int(file.name[:20]) for file in (data / f"{topic}-0").glob("*.log"))


def cleaned(data):
    """Up to where each topic's partition is compacted."""
    file = data / "cleaner-offset-checkpoint"
    lines = file.read_text().splitlines()[2:] if file.exists() else []
    return {topic: int(offset) for topic, _, offset in map(str.split, lines)}


def same(it, theirs, ours):
    """What is left is the same, and the tools find the same to say about it."""
    for topic in TOPICS:
        (wanted, said), (found, told) = (left(it, node, topic) for node in (theirs, ours))
        expect(len(wanted) > 3, f"{topic}: Kafka has left {wanted}")
        differ = [pair for pair in zip(found, wanted) if pair[0] != pair[1]]
        detail = differ[0] if differ else (found[len(wanted) :], wanted[len(found) :])
        expect(found == wanted, f"{topic}: {len(found)} lines instead of {len(wanted)}: {detail}")
        expect(told == said, f"{topic}: the tools say {told[:3]} instead of {said[:3]}")


def left(it, node, topic):
    """What DumpLogSegments prints of a partition, but for what differs by right; and what it finds wrong."""
    folder = node.folder / "data" / f"{topic}-0"
    of = lambda suffix: sorted(file for file in folder.glob(f"*.{suffix}") if file.stat().st_size)
    out, wrong = dump.dump(it.work, of("log"), "--deep-iteration", "--print-data-log")
    lines = [comparable(line) for line in out.splitlines() if line.startswith(("baseOffset", "| offset"))]
    for option in ("--index-sanity-check", "--verify-index-only"):
        wrong += dump.dump(it.work, [*of("index"), *of("timeindex")], option)[1]
    if indexes := of("txnindex"):
        out, more = dump.dump(it.work, indexes)
        lines += [line for line in out.splitlines() if line.startswith("version:")]
        wrong += more
    expect(all(EMPTY_BATCH.search(line) for line in wrong), f"{node.kind}, {topic}: {wrong[:3]}")
    return lines, [re.sub(r"\S*/", "", line) for line in wrong]


def comparable(line):
    line = re.sub(r" (position|crc): \d+", "", line)
    line, has_horizon = re.subn(r"deleteHorizonMs: OptionalLong\[\d+\]", "deleteHorizonMs: set", line)
    # A horizon is the time from which records' times count: one that is 8,193 ms before it takes a byte more than one that
    # is 8,192 ms before.
    same_size = "compresscodec: none" in line and not has_horizon
    return line if same_size else re.sub(r" size: \d+", "", line)


def carry_over(source, target):
    """Puts what Kafka has appended behind what Dohle has compacted: segments from the open one on."""
    for topic in TOPICS:
        old, new = source / f"{topic}-0", target / f"{topic}-0"
        start = active(target, topic)
        for file in new.iterdir():
            match = SEGMENT.match(file.name)
            if match and (match[3] or int(match[1]) >= start):
                file.unlink()
        for file in old.iterdir():
            match = SEGMENT.match(file.name)
            if file.name == "leader-epoch-checkpoint" or (
                match and not match[3] and int(match[1]) >= start
            ):
                (new / file.name).write_bytes(file.read_bytes())
    for name in ("__cluster_metadata-0", *(p.name for p in source.glob("__transaction_state-*"))):
        subprocess.run(["rm", "-rf", target / name], check=True)
        files.copy(source / name, target / name)
    for file in source.iterdir():
        if file.is_file() and file.name not in (".lock", "cleaner-offset-checkpoint"):
            (target / file.name).write_bytes(file.read_bytes())
