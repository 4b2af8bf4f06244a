"""The broker tests of franz-go's kgo package, whose sources come with its Go module.

Exactly-once chains through three groups under churn, huge records, regular expressions, paused and purged
consumers. What a broker does not advertise in ApiVersions these tests skip silently: a skip of a test on
the frozen list counts as not passed.
"""

import os
import re
import subprocess

from harness import install, lists
from harness.install import TARGET, call, log_of

# Of each record chain; the suite's own 500,000 is for a night.
RECORDS = 20000
SECONDS = 480
VERDICT = re.compile(r"^ *--- (PASS|FAIL|SKIP): (\S+) \(", re.M)


def build():
    """The folder with the suite's test program."""

    def make(folder):
        (folder / "go.mod").write_text("module compat\n\ngo 1.26\n")
        (folder / "empty.go").write_text("package compat\n")
        package = "github.com/twmb/franz-go/pkg/kgo"
        env = dict(os.environ, GOFLAGS="-mod=mod")
        # -t: what the tests themselves require, too
        call(
            ["go", "get", "-t", f"{package}@{install.FRANZ_GO}"], log_of("franz-go-get"), cwd=folder, env=env
        )
        call(["go", "test", "-c", "-o", "kgo.test", package], log_of("franz-go-build"), cwd=folder, env=env)

    return install.once(TARGET / "franz-go", install.FRANZ_GO, make)


def run(report, node, work, quick):
    """Runs the frozen list and judges it."""
    program = build() / "kgo.test"
    excused = {} if node.kind == "kafka" else lists.later("franz-go")
    wanted = lists.frozen("franz-go")
    if quick:
        wanted = [name for name in wanted if name not in excused]
    names = "|".join(sorted({name.split("/")[0] for name in wanted}))
    skip = "|".join(sorted(name for name in excused if "/" not in name)) if quick else ""
    log = work / "run.log"
    environment = dict(
        os.environ,
        KGO_SEEDS=node.bootstrap,
        KGO_TEST_RF="1",
        KGO_TEST_RECORDS=str(RECORDS),
        KGO_LOG_LEVEL="none",
    )
    command = [program, "-test.timeout", f"{SECONDS}s", "-test.v", "-test.run", f"^({names})$"]
    if skip:
        command += ["-test.skip", f"^({skip})$"]
    with open(log, "wb") as out:
        subprocess.run(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    found = {name: verdict for verdict, name in VERDICT.findall(log.read_text(errors="replace"))}
    passed = {name for name, verdict in found.items() if verdict == "PASS"}
    lists.judge(
        report, "franz-go", wanted, passed, excused, lambda name: f"{found.get(name, 'no verdict')}; {log}"
    )
