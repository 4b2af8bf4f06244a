#!/usr/bin/env python3
"""Writes apps/cli/testdata/kafka-dump-log.txt.gz anew: what Kafka's DumpLogSegments says about the golden log
directories, for the test of `kafka-dump-log` that needs no Java.

    test/compat/dump/record.py CLASSPATH

The class path must have the tool of the 4.4 branch. It is not published for 4.4.0, so it has to be compiled
from Kafka's source against the jars of 4.4.0 (without the three calls of methods that these jars lack).
"""

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dump import cases
from dump.battery import decoded, errors_only
from harness import install

TEXT = install.ROOT / "apps" / "cli" / "testdata" / "kafka-dump-log.txt.gz"
# Topics whose contents are worth the space; of the others records are recorded without them.
READABLE = (
    "nulls-and-headers",
    "transactions",
    "compacted",
    "compacted-transactions",
    "idempotent",
    "log-append-time",
    "transaction-open",
)


def flag_sets(path):
    topic = path.parent.name.rpartition("-")[0]
    if path.suffix in cases.SEGMENTS:
        decoder = cases.DECODERS.get(topic)
        if decoder:
            return [[decoder]]
        if topic in READABLE:
            return [["--print-data-log"], ["--print-data-log", "--skip-record-metadata"]]
        return [["--deep-iteration"], ["--max-bytes", "20000"]]
    # the limits of indexes are for the battery
    return [flags for flags in cases.flag_sets(path) if "--max-message-size" not in flags]


def calls(folders):
    for name, folder in folders.items():
        for path in cases.files(folder):
            relative = path.relative_to(folder)
            first = folders["clean"] / relative
            if name != "clean" and first.exists() and first.read_bytes() == path.read_bytes():
                continue
            if path.suffix in cases.SUFFIXES:
                yield from ([*flags, "--files", str(path)] for flags in flag_sets(path))


def main():
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "golden"
        all_calls = list(calls(cases.golden_folders(root)))
        source = install.HERE / "dump" / "DumpLogs.java"
        subprocess.run(["javac", "-d", work, source], check=True)
        java = ["java", "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", f"{work}:{sys.argv[1]}", "DumpLogs"]
        lines = "".join("\t".join(call) + "\n" for call in all_calls)
        done = subprocess.run(java, input=lines, capture_output=True, text=True, check=True)
        text = []
        for call, answer in zip(all_calls, done.stdout.splitlines(), strict=True):
            code, out, err = answer.split("\t")
            text += [f"$ {' '.join(call)}\n-- exit {code}\n-- stdout\n", decoded(out)]
            text += ["-- stderr\n", errors_only(decoded(err))]
        whole = "".join(text).replace(str(root), "DATA_DIR")
    TEXT.parent.mkdir(exist_ok=True)
    TEXT.write_bytes(gzip.compress(whole.encode(), mtime=0))
    print(f"{len(all_calls)} calls, {len(whole)} characters, {TEXT.stat().st_size} bytes")


main()
