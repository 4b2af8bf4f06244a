"""Directories that Kafka 4.4.0 wrote once and for all: a node started on them tells what Kafka told.

They lie with the tests of the log, with what Kafka's clients saw (manifest.tsv) and which files Kafka's own
recovery left (recovered-files.tsv). Where Dohle leaves others recovered-differs.tsv says why; which rows of what the
clients saw are not compared, and why not, lists/manifest-differs.tsv.
"""

import hashlib
import subprocess
from fnmatch import fnmatchcase

from harness import install
from harness.node import free_port
from harness.report import expect

from . import dump, manifest
from .nodes import QUIET
from .observe import Observer, observe
from .shell import OFTEN, snapshot_of_all

DATA = install.ROOT / "core" / "log" / "testdata"
# The archive, and what its rows are called once Kafka has opened it.
SAMPLES = {"clean": "clean", "killed": "killed-recovered", "torn": "torn-recovered"}
# Kinds of rows that every sample has: where a judge sees nothing of one it is blind.
KINDS = {
    *("acl", "cluster", "config", "feature", "group", "partition"),
    *("producer", "quota", "scram", "topic", "transaction"),
}


def golden(it, archive):
    """Starts Dohle on a directory, and compares what it tells and what it leaves."""
    sample = SAMPLES[archive]
    data = it.work / "node" / "data"
    data.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", DATA / f"{archive}.tar.gz", "-C", data], check=True)
    node = it.dohle("node", (free_port(), free_port()), QUIET | OFTEN)
    node.start()
    seen = manifest.observed(observe(node, "internal")[0], Observer(node).resources())
    snapshot = snapshot_of_all(node)
    node.terminate()
    seen |= manifest.kept(printed(it, [snapshot], "--cluster-metadata-decoder"))
    logs = sorted(data.glob("__transaction_state-*/*.log"))
    seen |= manifest.transactions(printed(it, logs, "--transaction-log-decoder"))
    wanted = manifest.rows((DATA / "manifest.tsv").read_text(), sample)
    for whose, found in (("Kafka", wanted), ("Dohle", seen)):
        missing = KINDS - {kind for kind, _ in found}
        expect(not missing, f"{whose} tells of no {sorted(missing)}")
    left_out = manifest.LeftOut(manifest.LEFT_OUT.read_text(), sample)
    wrong = [*manifest.differences(seen, wanted, left_out), *files_left(data, sample)]
    expect(not wrong, f"{len(wrong)} differences: " + "; ".join(wrong[:10]))


def printed(it, files, option):
    """What Kafka's DumpLogSegments prints of files in which it finds nothing wrong."""
    out, wrong = dump.dump(it.work, files, option)
    expect(not wrong, f"{option}: {wrong[:3]}")
    return out


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
