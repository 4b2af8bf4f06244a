"""The integration tests that the crates rdkafka and rskafka ship.

rdkafka is how Rust users reach librdkafka; rskafka is a codec of its own, and its tests pair its producer
and consumer with librdkafka's and the Java client's in every codec.
"""

import os
import re
import subprocess

from harness import install, lists
from harness.install import TARGET, call, log_of

VERSIONS = {"rdkafka": install.RDKAFKA_CRATE, "rskafka": install.RSKAFKA_CRATE}
# rdkafka's tests name localhost and port 9092; the copy reads them from the environment instead.
RUNNING = re.compile(r"^ +Running (?:unittests )?(\S+)")
TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. .*?(ok|FAILED|ignored)$")


def environment(node=None):
    env = dict(os.environ, CARGO_TARGET_DIR=str(TARGET / "rust-target"))
    env.update(CARGO_PROFILE_TEST_DEBUG="0", CARGO_PROFILE_DEV_DEBUG="0", CARGO_TERM_COLOR="never")
    # the workspace's own settings must not leak into a foreign build
    env.pop("RUSTFLAGS", None)
    if node:
        env.update(KAFKA_HOST=node.bootstrap, KAFKA_VERSION="4.0.0", KAFKA_CONNECT=node.bootstrap)
        # without the first of these every test of rskafka passes without doing anything
        env.update(TEST_INTEGRATION="1", TEST_BROKER_IMPL="kafka", COMPAT_PORT=str(node.port))
    return env


def build(crate):
    """The folder of a crate with its tests, edited for a node on another port, and built."""

    def make(folder):
        install.crate_source(crate, VERSIONS[crate], folder)
        # an own workspace, and the machine's toolchain instead of the one that the crate pins
        (folder / "rust-toolchain.toml").unlink(missing_ok=True)
        with open(folder / "Cargo.toml", "a") as manifest:
            manifest.write("\n[workspace]\n")
        if crate == "rdkafka":
            for test in (folder / "tests").glob("*.rs"):
                text = test.read_text().replace(
                    '"bootstrap.servers", "localhost"',
                    '"bootstrap.servers", crate::utils::get_bootstrap_server()',
                )
                port = 'std::env::var("COMPAT_PORT").unwrap().parse::<i32>().unwrap()'
                test.write_text(text.replace("port(), 9092)", f"port(), {port})"))
        else:
            # the locked release of this one does not compile with a current compiler
            call(
                ["cargo", "update", "-q", "-p", "rsasl"],
                log_of("rskafka-update"),
                cwd=folder,
                env=environment(),
            )
        command = ["cargo", "test", "-q", "--no-run", "--no-fail-fast", "--tests"]
        call(command, log_of(f"{crate}-build"), cwd=folder, env=environment())

    return install.once(TARGET / crate, VERSIONS[crate] + " edits 1", make)


def run(report, node, work, quick, crate):
    """Runs one crate's tests and judges them by its frozen list."""
    folder = build(crate)
    excused = {} if node.kind == "kafka" else lists.later(crate)
    wanted = lists.frozen(crate)
    skip = []
    if quick:
        wanted = [name for name in wanted if name not in excused]
        # the name within its file is what the test program matches
        skip = [a for name in excused for a in ("--skip", name.split("::", 1)[1])]
    log = work / "run.log"
    command = [
        "timeout",
        "540",
        "cargo",
        "test",
        "--no-fail-fast",
        "--tests",
        "--",
        "--test-threads=2",
        *skip,
    ]
    with open(log, "wb") as out:
        subprocess.run(
            command,
            cwd=folder,
            env=environment(node),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    found, file = {}, ""
    for line in log.read_text(errors="replace").splitlines():
        if match := RUNNING.match(line):
            file = match[1].rsplit("/", 1)[-1].removesuffix(".rs")
        elif match := TEST.match(line):
            found[f"{file}::{match[1]}"] = match[2]
    passed = {name for name, verdict in found.items() if verdict == "ok"}
    lists.judge(
        report, crate, wanted, passed, excused, lambda name: f"{found.get(name, 'no verdict')}; {log}"
    )
