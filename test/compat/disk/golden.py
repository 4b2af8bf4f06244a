"""Directories that Kafka 4.4.0 wrote once and for all: a node started on them tells what Kafka told.

They lie with the tests of the log, with what Kafka's clients saw (manifest.tsv) and which files Kafka's own
recovery left (recovered-files.tsv). Where Dohle leaves others recovered-differs.tsv says why.
"""

import hashlib
import subprocess
from base64 import urlsafe_b64encode
from fnmatch import fnmatchcase

from harness import install
from harness.node import free_port
from harness.report import expect

from .observe import observe

DATA = install.ROOT / "core" / "log" / "testdata"
# The archive, and what its rows are called once Kafka has opened it.
SAMPLES = {"clean": "clean", "killed": "killed-recovered", "torn": "torn-recovered"}
# What Dohle does not serve yet, or tells in other words.
KINDS = ("cluster", "feature", "topic", "partition", "producer", "group")


def rows(sample):
    """What Kafka told: {(kind, name): {field: value}}."""
    found = {}
    for line in (DATA / "manifest.tsv").read_text().splitlines():
        of, kind, name, field, value = line.split("\t")
        if of == sample and kind in KINDS:
            found.setdefault((kind, name), {})[field] = value
    return found


def told(seen):
    """The same of an observation."""
    found = {("cluster", "id"): {"-": seen["cluster"]["id"]}}
    for name, level in seen["features"].items():
        found["feature", name] = {"level": str(level)}
    for name, (topic_id, count, _) in seen["topics"].items():
        text = urlsafe_b64encode(bytes.fromhex(topic_id)).decode().rstrip("=")
        found["topic", name] = {"id": text, "partitions": str(count)}
        found["topic", name] |= {f"config {key}": value for key, value in seen["configs"][name].items()}
    for part, answers in seen["offsets"].items():
        newest = answers["-3 0"]
        found["partition", part] = fields = {
            "log_start_offset": str(answers["-2 0"][1]),
            "log_end_offset": str(seen["records"][part]["high watermark"]),
            "high_watermark": str(answers["-1 0"][1]),
            "last_stable_offset": str(answers["-1 1"][1]),
            "max_timestamp": f"{newest[2]}@{newest[1]}",
        }
        for isolation, (count, first, last, digest) in seen["consumed"].get(part, {}).items():
            fields |= {f"{isolation}_records": str(count), f"{isolation}_first_last": f"{first}..{last}"}
            fields[f"{isolation}_sha256"] = digest
    for part, (_, producers) in seen["producers"].items():
        for p in producers.values():
            state = (
                f"epoch {p['ProducerEpoch']} last_sequence {p['LastSequence']} last_timestamp {p['LastTimestamp']} "
                f"coordinator_epoch {p['CoordinatorEpoch']} txn_start {p['CurrentTxnStartOffset']}"
            )
            found.setdefault(("producer", part), {})[f"id {p['ProducerId']}"] = state
    for group, offsets in seen["groups"].items():
        for part, (offset, metadata, _, epoch) in offsets.items():
            text = f"{offset} epoch {'-' if epoch < 0 else epoch} metadata {metadata}"
            found.setdefault(("group", group), {})[f"committed {part}"] = text
    return found


def relevant(kind, name, field, values):
    """Whether a row says what this node and that moment can both know."""
    if kind == "group":
        return field.startswith("committed")
    if kind == "producer":
        # all others have expired; the tests of the log have a clock of their own for them
        return any(value and not value.endswith("txn_start -1") for value in values)
    return not name.startswith("__") or kind == "topic"


def golden(it, archive):
    """Starts Dohle on a directory, and compares what it tells and what it leaves."""
    data = it.work / "node" / "data"
    data.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", DATA / f"{archive}.tar.gz", "-C", data], check=True)
    node = it.dohle("node", (free_port(), free_port()))
    node.start()
    seen = told(observe(node)[0])
    node.terminate()
    wrong = []
    wanted = rows(SAMPLES[archive])
    for kind, name in sorted(wanted.keys() | seen.keys()):
        theirs, ours = wanted.get((kind, name), {}), seen.get((kind, name), {})
        for field in sorted(theirs.keys() | ours.keys()):
            values = (theirs.get(field), ours.get(field))
            if values[0] != values[1] and relevant(kind, name, field, values):
                wrong.append(f"{kind} {name} {field}: {ours.get(field)} instead of {theirs.get(field)}")
    wrong += files_left(data, SAMPLES[archive])
    expect(not wrong, f"{len(wrong)} differences: " + "; ".join(wrong[:10]))


class Excused:
    """The files of a sample that stay other than Kafka leaves them, each row for the reason that it tells.

    The tests of the log read the same table; a row can be for one judge only, because only this one starts a
    whole node.
    """

    def __init__(self, table, sample):
        rows = [line.split("\t") for line in table.splitlines()[1:]]
        expect(all(len(row) == 4 and row[3] for row in rows), f"rows without a reason: {rows}")
        self.rows = {path: 0 for judge, of, path, _ in rows if judge in ("node", "both") and of == sample}

    def covers(self, path):
        """Whether a file that differs may do so."""
        for pattern in self.rows:
            if fnmatchcase(path, pattern):
                self.rows[pattern] += 1
                return True
        return False

    def useless(self):
        """Rows that no file needed."""
        return [pattern for pattern, count in self.rows.items() if not count]


def files_left(data, sample):
    """Files of partitions that are not as Kafka leaves them, but for those whose reason is told."""
    excused = Excused((DATA / "recovered-differs.tsv").read_text(), sample)
    table = (line.split("\t") for line in (DATA / "recovered-files.tsv").read_text().splitlines())
    wanted = {path: digest for of, path, _, digest in table if of == sample}
    expect(len(wanted) > 300, f"only {len(wanted)} files of {sample}")
    there = {str(file.relative_to(data)): file for file in data.glob("*-*/*")}
    # the table tells of partitions only, and not of the metadata's log
    there = {path: file for path, file in there.items() if not path.startswith("__cluster_metadata-0/")}
    for path in sorted(wanted.keys() | there.keys()):
        if path not in there:
            wrong = "missing"
        elif path not in wanted:
            wrong = "Kafka leaves no such file"
        elif hashlib.sha256(there[path].read_bytes()).hexdigest() != wanted[path]:
            wrong = f"{there[path].stat().st_size} bytes, not those of Kafka"
        else:
            continue
        if not excused.covers(path):
            yield f"{path}: {wrong}"
    for path in excused.useless():
        yield f"{path}: excused, and nothing differs"
