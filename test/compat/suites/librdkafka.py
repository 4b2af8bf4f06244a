"""librdkafka's own C tests, as the crate rdkafka-sys carries them.

The widest judge of the classic protocol: every message is verified, groups are churned, the admin calls are
tried one by one. The runner starts one process for a four-digit number, three at a time: a test that hangs
or crashes costs only itself and leaves its own log. One that fails is run once more, and the report says so.

Three edits of the copied tests, each because one node of Kafka 4 is the judge's reference: replication
factor 3 becomes 1 where the replicas are never used (0098 0103 0107 0111), and 0129's segments grow to the
1 MiB that Kafka 4 demands. 0139 and 0150 use a built-in mock of a broker and are no test of ours.
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from harness import install, lists
from harness.install import TARGET, call, log_of

# Some seconds each and broad: what a pull request is judged by.
QUICK = "0002 0005 0008 0011 0012 0017 0018 0026 0030 0067 0085 0090 0113".split()
PROCESSES = 3
# What of 0081_admin a node without an authorizer can be asked, by the names of its parts.
ADMIN = """
    CreateTopics DeleteTopics CreatePartitions AlterConfigs DescribeConfigs DeleteRecords ListConsumerGroups
    DescribeConsumerGroups DescribeTopics DescribeCluster DeleteGroups DeleteConsumerGroupOffsets ListOffsets
    AlterConsumerGroupOffsets ListConsumerGroupOffsets IncrementalAlterConfigs
""".split()
# A number's time limit; the longest on Kafka takes 120 s.
SECONDS = 150
VERDICT = re.compile(
    r"=+ Test (\d{4}_\w+) (PASSED|FAILED|SKIPPED)|^\| (\d{4}_\w+) +\| +(PASSED|FAILED|SKIPPED)", re.M
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build():
    """The folder of the built test program."""

    def make(folder):
        headers = ["openssl/ssl.h", "sasl/sasl.h", "zstd.h", "lz4.h", "zlib.h", "curl/curl.h"]
        text = "".join(f"#include <{h}>\n" for h in headers)
        compiles = lambda: (
            subprocess.run(["gcc", "-E", "-"], input=text, text=True, capture_output=True).returncode == 0
        )
        develop = "libssl libsasl2 libzstd liblz4 zlib1g libcurl4-openssl rapidjson".split()
        install.debian([f"{p}-dev" for p in develop] + ["pkg-config"], compiles)
        install.librdkafka_source(folder)
        for test in folder.glob("tests/*.c*"):
            if test.name[:4] in ("0098", "0103", "0107", "0111"):
                install.edit(test, r"(create_topic(?:_wait_exists)?\((?:[^,]+, ){3})3\b", r"\g<1>1")
            if test.name[:4] == "0129":
                install.edit(test, r'"segment.bytes", "20000"', '"segment.bytes", "1048576"')
        env = install.configure_environment()
        for step, command in (
            ("configure", ["./configure"]),
            ("library", ["make", "-j2", "libs"]),
            ("tests", ["make", "-j2", "-C", "tests", "build"]),
        ):
            call(command, log_of(f"librdkafka-{step}"), cwd=folder, env=env)

    return install.once(TARGET / "librdkafka", install.LIBRDKAFKA_CRATE + " edits 1", make) / "tests"


def verdicts(number, tests, node, work, scenario, part=None):
    """Runs one number, or one part of it; the verdict of each of its tests, and the file that tells more."""
    log = work / f"{number}{part or ''}.log"
    environment = dict(
        os.environ,
        LD_LIBRARY_PATH="../src:../src-cpp",
        RDKAFKA_TEST_CONF=str(work / "test.conf"),
        TEST_KAFKA_VERSION="4.0.0",
        TEST_CONSUMER_GROUP_PROTOCOL="classic",
        BROKERS=node.bootstrap,
        KAFKA_PATH=str(install.kafka_tools()),
        TESTS=number,
    )
    if part:
        environment["SUBTESTS"] = f"do_test_{part}"
    command = ["timeout", "-k", "5", str(SECONDS), "stdbuf", "-o0", "-e0", "./test-runner"]
    with open(log, "wb") as out:
        code = subprocess.run(
            [*command, "-L", "-Q", "-E", "-p1", "-s", scenario],
            cwd=tests,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        ).returncode
    text = COLOUR.sub("", log.read_text(errors="replace").replace("\0", ""))
    found = {}
    for running, verdict, closed, table in VERDICT.findall(text):
        name, outcome = (running or closed), (verdict or table)
        # a test that failed anywhere has failed, whatever the closing table says
        if found.get(name) != "FAILED":
            found[name] = outcome
    if not found:
        found[number] = f"no verdict, exit {code}"
    return {name: (outcome, log) for name, outcome in found.items()}


def twice(report, run):
    """Runs a number, and once more by itself if it fails: many of these tests count milliseconds."""
    found = run()
    if any(outcome not in ("PASSED", "SKIPPED") for outcome, _ in found.values()):
        again = run()
        for name, (outcome, log) in again.items():
            if outcome == "PASSED" and found.get(name, ("", ""))[0] != "PASSED":
                report.note(f"passed at the second try: {name}; {log}")
        return again
    return found


def configure(node, work):
    (work / "test.conf").write_text(
        f"metadata.broker.list={node.bootstrap}\nbroker.address.family=v4\n"
        "test.timeout.multiplier=2\ntest.topic.random=true\n"
    )


def run_admin(report, node, work, quick):
    """Runs the parts of 0081_admin that need no authorizer, one process for each."""
    tests = build()
    configure(node, work)
    with ThreadPoolExecutor(PROCESSES) as pool:
        one = lambda part: twice(report, lambda: verdicts("0081", tests, node, work, "default", part))
        jobs = {part: pool.submit(one, part) for part in ADMIN}
        for part, job in jobs.items():
            outcome, log = next(iter(job.result().values()))
            # a name that no part has would pass with nothing done
            ran = log.read_text(errors="replace").count(f"[ do_test_{part}:")
            if outcome == "PASSED" and ran:
                report.succeed(part)
            else:
                report.fail(part, f"{outcome if ran else 'did not run'}; {log}")


def run(report, node, work, quick, scenario="default", numbers=None):
    """Runs the frozen list's numbers (or `numbers`) and judges them."""
    suite = "librdkafka" if scenario == "default" else f"librdkafka-{scenario}"
    tests = build()
    configure(node, work)
    excused = {} if node.kind == "kafka" else lists.later(suite)
    wanted = lists.frozen(suite)
    if numbers or quick and scenario == "default":
        wanted = [name for name in wanted if name[:4] in (numbers or QUICK)]
    if quick:
        wanted = [name for name in wanted if name not in excused]
    found = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        one = lambda number: twice(report, lambda: verdicts(number, tests, node, work, scenario))
        jobs = [pool.submit(one, number) for number in sorted({name[:4] for name in wanted})]
        for job in jobs:
            found.update(job.result())
    passed = {name for name, (outcome, _) in found.items() if outcome == "PASSED"}

    def detail(name):
        outcome, log = found.get(name) or found.get(name[:4]) or ("did not run", work)
        return f"{outcome}; {log}"

    lists.judge(report, suite, wanted, passed, excused, detail)
