"""Kafka's DumpLogSegments and ours on the same files: exit code, output and what goes to standard error.

The files: the golden log directories of Kafka 4.4.0, what a fresh Kafka writes, what the node under test
writes, and damaged copies of all kinds. Kafka's tool is that of the release whose tools are published; what
the 4.4 branch prints otherwise is in `differs`.
"""

import base64
import collections
import re
import shutil
import subprocess

from harness import install
from harness.node import Kafka
from harness.report import Unable, expect, expect_equal

from . import cases
from .workload import write_all_kinds

SEED = 20260804
# Damaged copies of each kind of file.
COPIES = {True: 25, False: 200}
STATES = (
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
)


def build():
    install.kafka()
    install.kafka_tools()
    driver()


def driver():
    """The class path of Kafka's tool behind our driver."""
    libs = install.kafka_tools() / "libs"
    source = install.HERE / "dump" / "DumpLogs.java"

    def make(folder):
        install.call(["javac", "-d", folder, source], install.log_of("dump-driver"))

    return f"{install.once(install.TARGET / 'dump-driver', source.read_text(), make)}:{libs}/*"


def run(report, node, work, quick):
    """Compares on every folder; the node is stopped for its own."""
    it = Both(getattr(node, "executable", install.ROOT / "target" / "release" / "dohle"), work)
    report.check("arguments", lambda: it.compare(cases.ARGUMENTS))
    folders = {}

    def golden():
        folders.update(cases.golden_folders(work / "golden"))
        whole = [call for name in ("clean", "killed") for call in cases.calls(folders[name])]
        return it.compare(whole)

    def torn():
        return it.compare(cases.calls(folders["torn"]), damaged=True)

    report.check("golden directories", golden)
    report.check("the torn golden directory", torn)
    report.check("remote log metadata", lambda: it.compare(cases.remote_log_calls()))
    report.check("a directory of Kafka", lambda: it.compare(cases.calls(it.written_by_kafka())))
    report.check("a directory of the node", lambda: it.compare(cases.calls(it.written(node))))

    def damaged():
        folder = cases.spoilt(folders["clean"], work / "damaged", SEED, COPIES[quick])
        return it.compare(cases.calls(folder), damaged=True)

    report.check("damaged files", damaged)


class Both:
    """The two tools."""

    def __init__(self, executable, work):
        self.executable, self.work = executable, work

    def written(self, node):
        """A copy of the log directory of a node, after a clean stop, with all kinds of files."""
        write_all_kinds(node, self.executable)
        if not node.restartable:
            raise Unable("only a node of our own can be stopped, and its files be read")
        node.terminate()
        copy = self.work / f"of-{node.kind}"
        shutil.copytree(node.folder / "data", copy)
        node.start()
        return copy

    def written_by_kafka(self):
        few = {"offsets.topic.num.partitions": "4", "transaction.state.log.num.partitions": "4"}
        kafka = Kafka(self.work / "kafka", few)
        try:
            return self.written(kafka)
        finally:
            kafka.stop()

    def compare(self, calls, damaged=False):
        """Fails with the first differences. Of damaged files it counts that there is an exception, and after which output:
        its class tells how deep Java's parser got, and its words are not ours to copy."""
        calls, wrong, errors = list(calls), [], collections.Counter()
        for call, kafka in zip(calls, self.theirs(calls), strict=True):
            dohle = self.ours(call)
            errors["other words"] += damaged and kafka[2] != dohle[2]
            for at, what in enumerate(("exit", "stdout", "stderr")):
                theirs, ours = shown(kafka[at], damaged and at == 2), shown(dohle[at], damaged and at == 2)
                if theirs != ours:
                    wrong.append(f"{what} of {' '.join(call)}:\n  kafka {first_difference(theirs, ours)}")
        expect(not wrong, lambda: f"{len(wrong)} differ\n" + "\n".join(wrong[:20]))
        expect(calls, "nothing to compare")
        return f"{len(calls)} calls" + (f", {errors['other words']} errors in other words" if damaged else "")

    def theirs(self, calls):
        java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-cp", driver(), "DumpLogs"]
        lines = "".join("\t".join(call) + "\n" for call in calls)
        log = open(self.work / "java.log", "ab")
        done = subprocess.run(java, input=lines, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.work)
        expect_equal(done.returncode, 0, f"exit of the driver ({self.work}/java.log)")
        for line in done.stdout.splitlines():
            code, out, err = line.split("\t")
            yield int(code), decoded(out), errors_only(decoded(err))

    def ours(self, call):
        command = [self.executable, "kafka-dump-log", *call]
        done = subprocess.run(command, capture_output=True, cwd=self.work, timeout=120)
        err = done.stderr.decode(errors="replace")
        # what stands where Kafka has a stack trace
        err = re.sub(r'(Exception in thread "main".*\n)[\s\S]*', r"\1", err)
        return done.returncode, done.stdout.decode(errors="replace"), err


def decoded(text):
    return base64.b64decode(text).decode(errors="replace")


def errors_only(text):
    """Without what Java's logging says of itself."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("SLF4J"))


def shown(value, no_words):
    """What is compared: the tools of 4.3.1 in the words of 4.4; of an exception perhaps only that there is one."""
    if isinstance(value, int):
        return value
    named = lambda found: f'"transactionStatus":"{state(found[1])}"'
    value = re.sub(r'"transactionStatus":(-?\d+)', named, value)
    if no_words:
        value = re.sub(r'(Exception in thread "main").*', r"\1", value)
    # a hash map of Java decides which file comes first
    return sorted(value.splitlines()) if "Mismatches in" in value else value


def state(number):
    return STATES[int(number)] if 0 <= int(number) < len(STATES) else number


def first_difference(theirs, ours):
    if isinstance(theirs, int):
        return f"{theirs}\n  dohle {ours}"
    theirs, ours = (t if isinstance(t, list) else t.splitlines() for t in (theirs, ours))
    for at in range(max(len(theirs), len(ours))):
        one, other = (lines[at] if at < len(lines) else "(nothing)" for lines in (theirs, ours))
        if one != other:
            return f"{at + 1}: {one[:600]}\n  dohle {at + 1}: {other[:600]}"
    return "differs in line ends only"
