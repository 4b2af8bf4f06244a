"""Load from clients that are not ours, so that nobody has to trust our generator.

Kafka's own producer and consumer performance tools, and librdkafka's. Each runs on the client's core and prints
figures of its own, which are taken as they stand; the broker's CPU time is that from before the tool's start to its
end, divided by the bytes of record values that the tool says it moved.
"""

import functools
import re
import subprocess
import uuid
from dataclasses import dataclass

from harness import install

from . import usage
from .systems import Failure

MIB = 1 << 20
RECORD_SIZE = 1_024
BATCH_SIZE = 65_536
SECONDS_MAX = 300

# As Kafka's own scripts start these tools.
JAVA = ("java", "-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true")

PRODUCED = re.compile(
    r"^(?P<records>\d+) (?P<steady>steady state )?records sent, .*\((?P<mb>[\d.]+) MB/sec\), (?P<average>[\d.]+) ms avg latency, "
    r".* (?P<p50>\d+) ms 50th, (?P<p95>\d+) ms 95th, (?P<p99>\d+) ms 99th, (?P<p999>\d+) ms 99\.9th",
    re.M,
)


class Unreadable(Exception):
    """A tool printed something else than it used to."""


@dataclass
class Tool:
    """How a tool is got and called, and what its output says: a report's fields, `records` and `raw_bytes` among them."""

    install: callable
    command: callable
    figures: callable
    # It reads records that must be there before.
    consumes: bool = False


def kafka_produce(bootstrap, topic, records, rate=-1):
    # A paced one shows the broker's latency and not that of the client's own queue.
    linger = 5 if rate < 0 else 0
    return [
        *kafka_tool("ProducerPerformance"),
        *("--bootstrap-server", bootstrap, "--topic", topic, "--record-size", RECORD_SIZE),
        *("--num-records", records, "--warmup-records", records // 4, "--throughput", rate),
        *("--command-property", "acks=all", f"linger.ms={linger}", f"batch.size={BATCH_SIZE}"),
    ]


def kafka_consume(bootstrap, topic, records):
    return [
        *kafka_tool("ConsumerPerformance"),
        *("--bootstrap-server", bootstrap, "--topic", topic, "--num-records", records, "--timeout", 20_000),
    ]


def kafka_tool(name):
    return [*JAVA, "-cp", f"{install.kafka_tools()}/libs/*", f"org.apache.kafka.tools.{name}"]


def rdkafka_produce(bootstrap, topic, records):
    return [
        *(install.rdkafka_performance(), "-P", "-b", bootstrap, "-t", topic, "-p", 0),
        *("-s", RECORD_SIZE, "-c", records, "-a", -1, "-u", "-l", "-i", SECONDS_MAX * 1_000),
        *("-X", "linger.ms=5", "-X", f"batch.size={BATCH_SIZE}", "-X", "queue.buffering.max.kbytes=65536"),
    ]


def rdkafka_consume(bootstrap, topic, records):
    # With room for all: a client whose queue is full rests for a second, and that would be all that a quick broker gets.
    room = "queued.max.messages.kbytes=2097151"
    return [
        *(install.rdkafka_performance(), "-G", f"{topic}-{uuid.uuid4()}", "-b", bootstrap, "-t", topic, "-o", "beginning"),
        *("-c", records, "-u", "-i", SECONDS_MAX * 1_000, "-X", "auto.offset.reset=earliest", "-X", room),
    ]


def of_kafka_producer(out):
    """The line of the whole run counts the records; that of the steady state, behind the warm-up, has the figures."""
    lines = {bool(found["steady"]): found for found in PRODUCED.finditer(out)}
    if set(lines) != {True, False}:
        raise Unreadable(out)
    records, steady = int(lines[False]["records"]), lines[True]
    return {
        "records": records,
        "raw_bytes": records * RECORD_SIZE,
        "mb_per_second": float(steady["mb"]),
        **{f"{name}_ms": float(steady[name]) for name in ("average", "p50", "p95", "p99", "p999")},
    }


def of_kafka_consumer(out):
    """A line of titles and one of numbers; the rate is that behind the rebalance."""
    lines = [line.split(", ") for line in out.splitlines() if line.count(", ") == 9]
    if len(lines) != 2:
        raise Unreadable(out)
    numbers = dict(zip(*lines))
    return {
        "records": int(numbers["data.consumed.in.nMsg"]),
        "raw_bytes": float(numbers["data.consumed.in.MB"]) * MIB,
        "mb_per_second": float(numbers["fetch.MB.sec"]),
    }


def of_rdkafka(out):
    """A table; its last row is the whole run."""
    rows = [[cell.strip() for cell in line.split("|")[1:]] for line in out.splitlines() if line.startswith("|")]
    if len(rows) < 2 or len(rows[0]) != len(rows[-1]):
        raise Unreadable(out)
    numbers = dict(zip(rows[0], rows[-1]))
    if "dr" not in numbers:
        return {
            "records": int(numbers["msgs"]),
            "raw_bytes": int(numbers["bytes"]),
            "mb_per_second": float(numbers["MB/s"]),
        }
    delivered = int(numbers["dr"])
    return {
        "records": delivered,
        "raw_bytes": delivered * RECORD_SIZE,
        "mb_per_second": float(numbers["dr_MB/s"]),
        "average_ms": float(numbers["lat_avg"]),
    }


TOOLS = {
    "kafka-produce": Tool(install.kafka_tools, kafka_produce, of_kafka_producer),
    "kafka-consume": Tool(install.kafka_tools, kafka_consume, of_kafka_consumer, consumes=True),
    "rdkafka-produce": Tool(install.rdkafka_performance, rdkafka_produce, of_rdkafka),
    "rdkafka-consume": Tool(install.rdkafka_performance, rdkafka_consume, of_rdkafka, consumes=True),
}


@functools.cache
def missing(name):
    """Why the tool cannot be had, or nothing."""
    try:
        TOOLS[name].install()
    except (install.InstallError, OSError) as error:
        return str(error).splitlines()[0]
    return ""


def run(system, case, long):
    """Runs the case's tool once for a warm-up and once for the report."""
    tool, options = TOOLS[case.command], dict(case.options)
    records = options.pop("records") * (4 if long else 1)
    topic = case.key
    if tool.consumes:
        fill = ["--topic", topic, "--keep", "--size", BATCH_SIZE, "--warm-up-requests", 0, "--seconds", SECONDS_MAX]
        # A batch of this size has a little less than 64 records.
        system.load("produce", *fill, "--requests", records // 60)
    else:
        system.load("first-ack", "--topic", topic, "--create")
    # Kafka's compiler needs more; where the pace is given, more is only longer.
    share = 1 if system.kind == "kafka" and "rate" not in options else 4
    one(system, tool, topic, records // share, options)
    return one(system, tool, topic, records, options)


def one(system, tool, topic, records, options):
    command = list(map(str, [*system.setting.client_prefix(), *tool.command(system.bootstrap, topic, records, **options)]))
    try:
        before = usage.now(system.process.pid)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX)
        report = usage.now(system.process.pid).since(before)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{system.kind}: {topic}: the tool was not done within {SECONDS_MAX} s") from late
    except OSError as error:
        raise Failure(f"{system.kind}: {topic}: {error}") from error
    try:
        report |= tool.figures(done.stdout)
    except (Unreadable, KeyError, ValueError) as error:
        told = (done.stderr + done.stdout).strip()[-300:]
        raise Failure(f"{system.kind}: {topic}: exit {done.returncode}, no figures in: {told}") from error
    if done.returncode != 0 or report["records"] < records:
        told = done.stderr.strip()[-300:]
        raise Failure(f"{system.kind}: {topic}: {report['records']} of {records} records, exit {done.returncode}: {told}")
    return report
