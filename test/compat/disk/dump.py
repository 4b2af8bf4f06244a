"""Kafka's DumpLogSegments on every file of a data directory.

The tool exits with 0 for most that it finds, so its output is read.
"""

import subprocess

from harness import install
from harness.report import expect

MAIN = "org.apache.kafka.tools.DumpLogSegments"
# What it prints of a damaged file. Offsets that are missing are none: the cleaner leaves gaps.
WRONG = (
    "isvalid: false",
    "mismatch",
    "out of order timestamp",
    "not found in the log",
    "found invalid",
    "exception",
    "corrupt",
    "failed",
    "not completed",
    "bytes found at the end",
    "could not",
)


def dump(work, files, *options):
    """Runs the tool; returns what it printed and the lines that tell of damage."""
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    command += ["-cp", f"{install.kafka_tools() / 'libs'}/*", MAIN]
    command += ["--files", ",".join(str(f) for f in files), *options]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    (work / "dump.log").write_text(done.stdout + done.stderr)
    lines = (line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("SLF4J:"))
    wrong = [line for line in lines if any(word in line.lower() for word in WRONG)]
    if done.returncode:
        wrong.append(f"exit {done.returncode}: {done.stderr[-200:]}")
    return done.stdout, wrong


def everything(work, data):
    """All decoders on all files of a directory that Dohle stopped cleanly; returns what is wrong."""
    metadata = [
        *filled(data, "__cluster_metadata-0/*.log"),
        *filled(data, "__cluster_metadata-0/*.checkpoint"),
    ]
    runs = (
        (users(filled(data, "*/*.log")), "--deep-iteration", "| offset: "),
        (filled(data, "__consumer_offsets-*/*.log"), "--offsets-decoder", '"group":"group-a"'),
        (metadata, "--cluster-metadata-decoder", "TOPIC_RECORD"),
        (filled(data, "*/*.snapshot"), "--print-data-log", "producerId: "),
    )
    return complaints(work, runs) + indexes(work, data)


def indexes(work, data):
    """What is wrong with the indexes of such a directory."""
    files = users([*filled(data, "*/*.index"), *filled(data, "*/*.timeindex")])
    runs = ((files, "--index-sanity-check", "passed sanity check"), (files, "--verify-index-only", "Dumping"))
    return complaints(work, runs)


def filled(data, pattern):
    return sorted(file for file in data.glob(pattern) if file.stat().st_size)


def users(files):
    return [file for file in files if not file.parent.name.startswith("__")]


def complaints(work, runs):
    """Runs the tool with an option on files, each with what it prints of sound ones: one that does nothing is no
    proof.
    """
    wrong = []
    for files, option, wanted in runs:
        out, lines = dump(work, files, option)
        expect(wanted in out, f"{option}: no {wanted!r} in {out[-200:]!r}")
        wrong += [f"{option}: {line[:200]}" for line in lines]
    return wrong
