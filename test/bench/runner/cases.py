"""What is run: each case is one load and the rows that it gives.

A measured phase ends after some seconds or some requests, whichever comes first: the seconds bound a slow
broker's time, the requests bound a fast one's disk.
"""

import sys
from dataclasses import dataclass, field, replace

from .beside import CONNECTIONS

GB = 1e9
GIB = 1 << 30

# Kafka's way to ask that each append is on the disk before it is acknowledged; Dohle and the floor heed it too. All
# other topics are acknowledged when the operating system has the records, on all sides.
FLUSHED = "flush.messages=1"

# What is produced is kept short, as in a node that has run for some time: a virtual machine that has never touched a page
# takes many times longer for its first use, whoever uses it.
KEPT = 268_435_456

# What is read again and again lies in one segment: of what the floor keeps in new files it reads the last one.
READ_AGAIN = f"segment.bytes={KEPT}"


def kept_short(partitions=1):
    """So much in all partitions together, as far as Kafka lets them: its segments have a mebibyte at the least."""
    return f"segment.bytes={max(KEPT // 4 // partitions, 1 << 20)}", f"retention.bytes={max(KEPT // partitions, 1 << 16)}"


# It recovers nothing, has no metadata, and speaks to nobody but our generator.
FLOOR = ("floor",)


@dataclass
class Row:
    """A number of a report; smaller is better, unless it says otherwise."""

    title: str
    unit: str
    value: callable
    compared: bool = True
    more_is_better: bool = False
    # What it is called in the chart, if it is one of those that stand for all.
    chart: str = ""


@dataclass
class Case:
    key: str
    rows: list
    # "life": the steps of a node's life; "load": a command of the generator; "syscalls": the same under strace;
    # "memory": what the broker has after the loads; "recovery": a fill, kill -9 and the start after it; "partitions":
    # a node with very many of them; "many": a load over so many that to look for old segments all the time, as beside
    # other loads, would be what is measured; "connections" and "backlog": requests beside something else; "soak": half an
    # hour of one load; "driver": a tool of somebody else.
    kind: str = "load"
    command: str = ""
    options: dict = field(default_factory=dict)
    long: bool = False
    # It runs only where it is asked for by name.
    named: bool = False
    # In the short form only the first round has it.
    once: bool = False
    # Systems for which it says nothing.
    without: tuple = ()
    # Broker and client have all cores, whatever the others have.
    free: bool = False
    # How files are kept makes a difference to it.
    in_files: bool = False
    # It costs Kafka minutes: in the short form it runs without it.
    kafka_long: bool = False
    # Of two cases between which Kafka makes no difference, the one that it ran already.
    kafka_as: str = ""


def micros_per_request(report):
    return report["broker_cpu_seconds"] / report["requests"] * 1e6


def seconds_per_gb(report):
    return report["broker_cpu_seconds"] / (report["raw_bytes"] / GB)


def micros_per_message(report):
    return report["broker_cpu_seconds"] / report["messages"] * 1e6


def quantile(histogram, name):
    return lambda report: report[histogram][name]


def produce(key, size, requests, *rows, long=False, named=False, once=False, **options):
    options = {"size": size, "requests": requests, "topic_config": kept_short(options.get("partitions", 1)), **options}
    return Case(key, list(rows), command="produce", options=options, long=long, named=named, once=once, in_files=True)


def produce_spread(key, connections, in_flight, partitions, keyed=False, **when):
    """Requests of 1 KiB over many connections or partitions; keyed: each to the next partition, else each connection's to one."""
    title = f"produce 1 KiB, {connections} connections × {in_flight} in flight, {partitions:,} partitions"
    title += ", keyed" if keyed else ""
    ack = [Row(f"{title}, ack {name}", "ms", milliseconds(name)) for name in ("p50", "p99")]
    cpu = Row(title, "CPU µs/request", micros_per_request, chart=f"{title}: CPU" if keyed else "")
    shape = {"connections": connections, "in_flight": in_flight, "partitions": partitions, "keyed": keyed}
    case = produce(key, 1_024, 400_000, cpu, *ack, **shape, **when)
    return replace(case, kind="many") if partitions >= 1_000 else case


def produce_together(key, partitions, **when):
    """Each request has a batch of 1 KiB for each partition of the topic."""
    title = f"produce {partitions} × 1 KiB in a request, one for each partition, 20 in flight"
    ack = [Row(f"{title}, ack {name}", "ms", milliseconds(name)) for name in ("p50", "p99")]
    cpu = Row(title, "CPU µs/request", micros_per_request, chart=f"produce {partitions} × 1 KiB in a request: CPU")
    return produce(key, 1_024, 98_304, cpu, *ack, partitions=partitions, batches=partitions, **when)


def fetch(key, size, requests, *rows, once=False):
    options = {"size": size, "requests": requests, "topic_config": READ_AGAIN}
    return Case(key, list(rows), command="fetch", options=options, once=once, in_files=True)


def e2e(rate):
    title = f"end to end {rate:,}/s unpinned"
    rows = [
        Row(f"{title}, CPU of produce and fetch", "µs/message", micros_per_message),
        Row(f"{title}, messages in a request", "messages", lambda r: r["messages"] / r["produce_requests"], False),
        Row(f"{title}, p50", "µs", quantile("e2e_micros", "p50"), chart=f"{title}: p50"),
        Row(f"{title}, p99", "µs", quantile("e2e_micros", "p99"), chart=f"{title}: p99"),
        Row(f"{title}, p99.9", "µs", quantile("e2e_micros", "p999")),
    ]
    return Case(f"e2e-{rate}", rows, command="e2e", options={"rate": rate, "seconds": 20}, long=True, free=True)


def durable(key, title, connections, requests, *rows):
    """Each connection has a partition of its own and one request in flight."""
    options = {"size": 4_096, "connections": connections, "partitions": connections, "in_flight": 1}
    options |= {"requests": requests, "seconds": 3, "topic_config": FLUSHED}
    chart = f"durable, {counted(connections)}: ack"
    ack = [Row(f"{title}, ack {name}", "ms", milliseconds(name), chart=f"{chart} {name}") for name in ("p50", "p99")]
    return Case(key, [*ack, *rows], command="produce", options=options)


def counted(connections):
    return "1 connection" if connections == 1 else f"{connections} connections"


def milliseconds(name):
    return lambda report: report["latency_micros"][name] / 1_000


def durable_64():
    title = "durable, 64 connections × 64 partitions × 4 KiB"
    return durable(
        "durable-64",
        title,
        64,
        200_000,
        Row(f"{title}, ack p99.9", "ms", milliseconds("p999")),
        Row(
            title,
            "requests/s",
            lambda r: r["requests"] / r["seconds"],
            more_is_better=True,
            chart="durable, 64 connections: s/request",
        ),
        Row(title, "CPU µs/request", micros_per_request),
    )


def recovery(key, title, size, partitions, long=False, durable=False):
    what = f"start after kill -9, {title}"
    chart = f"start after kill -9, {title.split(' in ')[0]}{' durable' * durable}"
    rows = [
        Row(f"{what} → first ack", "ms", lambda r: r["first_ms"]),
        Row(f"{what} → each partition acks", "ms", lambda r: r["each_ms"], chart=chart),
    ]
    options = {"requests": size // 65_536, "partitions": partitions}
    if not durable:
        return Case(key, rows, kind="recovery", options=options, long=long, once=True, without=FLOOR)
    options["topic_config"] = FLUSHED
    return Case(f"{key}-durable", rows, kind="recovery", options=options, long=long, once=True, without=FLOOR, kafka_as=key)


def partitions(key, topics, each, without=FLOOR, **when):
    count = topics * each
    title = f"{count:,} partitions"

    def added(name):
        return lambda r: (r[f"{name}_kib"] - r[f"{name}_kib_before"]) / count

    rows = [
        Row(f"{title}: created", "s", lambda r: r["created_seconds"]),
        Row(f"{title}: created and each has acknowledged", "s", lambda r: r["acked_seconds"], chart=f"{title}: created"),
        Row(f"{title}: resident, each", "KiB", added("resident")),
        Row(f"{title}: anonymous, each", "KiB", added("anonymous")),
        Row(f"{title}: clean stop", "s", lambda r: r["stop_seconds"]),
        Row(f"{title}: start after it → first ack", "s", lambda r: r["clean_first_seconds"]),
        Row(f"{title}: start after it → each acks", "s", lambda r: r["clean_each_seconds"]),
        Row(f"{title}: start after kill -9 → first ack", "s", lambda r: r["kill_first_seconds"]),
        Row(
            f"{title}: start after kill -9 → each acks",
            "s",
            lambda r: r["kill_each_seconds"],
            chart=f"{title}: start after kill -9",
        ),
    ]
    options = {"topics": topics, "partitions": each}
    return Case(key, rows, kind="partitions", options=options, once=True, without=without, **when)


def connections():
    title = f"{CONNECTIONS:,} idle connections"
    busy = "produce 1 KiB on 10 others"
    rows = [
        Row(f"{busy} before {title}", "CPU µs/request", lambda r: r["micros_before"]),
        Row(f"{busy} behind them", "CPU µs/request", lambda r: r["micros_behind"], chart=f"beside {title}: CPU"),
        Row(f"{busy}, behind to before", "×", lambda r: r["micros_behind"] / r["micros_before"], compared=False),
        Row(f"{title}: opening one", "CPU µs", lambda r: r["open_micros"], chart="opening a connection: CPU"),
        Row(f"{title}: anonymous, each", "KiB", lambda r: r["kib_each"]),
        Row(f"{title}: CPU", "% of a core", lambda r: r["idle_share"] * 100),
    ]
    return Case("connections-9k", rows, kind="connections", once=True)


def backlog(rate):
    title, ack = f"{rate:,}/s beside a reader of a backlog", ack_micros("p99")
    rows = [
        Row(
            f"{title}: read",
            "MB/s",
            lambda r: r["drain_mb_per_second"],
            more_is_better=True,
            chart="reading a backlog: s/MB",
        ),
        Row(f"{title}: ack p99 without it", "µs", lambda r: ack(r["alone"])),
        Row(f"{title}: ack p99", "µs", ack, chart="ack beside it: p99"),
        Row(f"{title}: ack p99, with to without", "×", lambda r: ack(r) / ack(r["alone"]), compared=False),
        Row(f"{title}: end to end p99", "µs", quantile("e2e_micros", "p99")),
    ]
    return Case("backlog", rows, kind="backlog", options={"rate": rate}, once=True)


def soak(rate):
    title = f"{rate:,}/s for half an hour"
    rows = [
        Row(f"{title}, CPU of produce and fetch", "µs/message", micros_per_message),
        Row(f"{title}, end to end p50", "µs", lambda r: r["p50"]),
        Row(f"{title}, end to end p99", "µs", lambda r: r["p99"]),
        Row(f"{title}, end to end p99 of the worst minute", "µs", lambda r: r["p99_worst"]),
        Row(f"{title}, end to end p99.9", "µs", lambda r: r["p999"]),
        Row(f"{title}, longest end to end", "ms", lambda r: r["max"] / 1_000),
        Row(f"{title}, CPU, last 5 min to first 5", "×", lambda r: r["cpu_growth"], compared=False),
        Row(f"{title}, p99, last 5 min to first 5", "×", lambda r: r["p99_growth"], compared=False),
        Row(f"{title}, anonymous memory", "MiB", lambda r: r["anonymous_kib"] / 1024),
        Row(f"{title}, anonymous memory, last 5 min to first 5", "×", lambda r: r["anonymous_growth"], compared=False),
    ]
    return Case("half-hour", rows, kind="soak", options={"rate": rate}, named=True)


def ack_micros(name):
    return quantile("ack_micros", name)


def per_gb(title, chart=""):
    return Row(title, "CPU s/GB", seconds_per_gb, chart=chart and f"{chart}: CPU")


def driver(key, tool, title, records, *rows, long=False, **options):
    printed = Row(f"{title}, as it prints", "MB/s", lambda r: r["mb_per_second"], more_is_better=True)
    options = {"records": records, **options}
    rows = list(rows) or [per_gb(title, title), printed]
    return Case(key, rows, kind="driver", command=tool, options=options, long=long, once=True, without=FLOOR)


def paced(rate):
    title = f"kafka-producer-perf-test at {rate:,}/s, latency"
    rows = [
        Row(f"{title} as it prints, average", "ms", lambda r: r["average_ms"], chart=f"{title}"),
        Row(f"{title} as it prints, p99", "ms", lambda r: r["p99_ms"]),
        Row(f"{title} as it prints, p99.9", "ms", lambda r: r["p999_ms"]),
    ]
    return driver("kafka-perf-paced", "kafka-produce", title, 4 * rate, *rows, rate=rate)


ALL = [
    Case(
        "start",
        [Row("start → first ack, empty directory", "ms", lambda r: r["first_ack_ms"], chart="start → first ack")],
        kind="life",
    ),
    Case(
        "idle",
        [
            Row("idle after start: resident", "MiB", lambda r: r["resident_kib"] / 1024, chart="memory after the start"),
            Row("idle after start: anonymous", "MiB", lambda r: r["anonymous_kib"] / 1024),
            Row("idle: CPU", "% of a core", lambda r: r["broker_cpu_seconds"] / r["seconds"] * 100),
        ],
        kind="life",
        once=True,
    ),
    Case(
        "kill",
        [Row("start after kill -9, 256 MiB → first ack", "ms", lambda r: r["first_ack_ms"])],
        kind="life",
        once=True,
        without=FLOOR,
    ),
    recovery("kill-2g", "2 GiB in 20 partitions", 2 * GIB, 20),
    recovery("kill-2g", "2 GiB in 20 durable partitions", 2 * GIB, 20, durable=True),
    recovery("kill-10g", "10 GB in 100 partitions", int(10 * GB), 100, long=True),
    recovery("kill-10g", "10 GB in 100 durable partitions", int(10 * GB), 100, long=True, durable=True),
    # Kafka makes fewer than 10,000 in one request.
    partitions("partitions-10k", 2, 5_000, kafka_long=True),
    partitions("partitions-100k", 20, 5_000, without=("kafka", "floor"), long=True),
    durable("durable-1", "durable, 1 connection × 4 KiB", 1, 30_000),
    durable_64(),
    produce(
        "produce-1k",
        1_024,
        400_000,
        Row("produce 1 KiB, 20 in flight", "CPU µs/request", micros_per_request, chart="produce 1 KiB: CPU"),
    ),
    produce("produce-64k", 65_536, 24_576, per_gb("produce 64 KiB, 20 in flight", "produce 64 KiB")),
    produce("produce-64k-lz4", 65_536, 65_536, per_gb("produce 64 KiB lz4, per raw GB", "produce 64 KiB lz4"), codec="lz4"),
    fetch("fetch-64k", 65_536, 65_536, per_gb("fetch 64 KiB", "fetch 64 KiB")),
    fetch("fetch-1m", 1_048_576, 6_144, per_gb("fetch 1 MiB", "fetch 1 MiB"), once=True),
    produce(
        "produce-64k-zstd",
        65_536,
        65_536,
        per_gb("produce 64 KiB zstd, per raw GB", "produce 64 KiB zstd"),
        codec="zstd",
        once=True,
    ),
    produce("produce-16k", 16_384, 98_304, per_gb("produce 16 KiB, 20 in flight", "produce 16 KiB"), once=True),
    produce("produce-1m", 1_048_576, 1_536, per_gb("produce 1 MiB, 20 in flight", "produce 1 MiB"), once=True),
    produce(
        "produce-1k-1",
        1_024,
        200_000,
        Row("produce 1 KiB, 1 in flight", "CPU µs/request", micros_per_request),
        Row("produce 1 KiB, 1 in flight, ack p50", "µs", quantile("latency_micros", "p50")),
        Row("produce 1 KiB, 1 in flight, ack p99", "µs", quantile("latency_micros", "p99")),
        once=True,
        connections=1,
        in_flight=1,
    ),
    e2e(1_000),
    e2e(20_000),
    Case(
        "memory",
        [
            Row("after these loads: resident", "MiB", lambda r: r["resident_kib"] / 1024, chart="memory after the loads"),
            Row("after these loads: anonymous", "MiB", lambda r: r["anonymous_kib"] / 1024),
        ],
        kind="memory",
    ),
    # Behind the memory after loads: what these leave is of other loads than those that all forms have.
    produce(
        "produce-random", 65_536, 24_576, per_gb("produce 64 KiB of random bytes", "random 64 KiB"), long=True, random=True
    ),
    produce(
        "produce-random-lz4",
        65_536,
        24_576,
        per_gb("produce 64 KiB of random bytes, lz4", "random 64 KiB lz4"),
        long=True,
        random=True,
        codec="lz4",
    ),
    produce_spread("produce-16p", 4, 5, 16, long=True),
    produce_spread("produce-keyed-16p", 4, 5, 16, keyed=True, long=True),
    produce_spread("produce-50x16", 50, 5, 16, long=True),
    produce_spread("produce-keyed-50x16", 50, 5, 16, keyed=True, long=True),
    produce_together("produce-1k-16p-together", 16, long=True),
    produce_spread("produce-400", 400, 1, 16, keyed=True, long=True),
    produce_spread("produce-1000p", 4, 5, 1_000, keyed=True, long=True),
    # With its settings these are about as many as Kafka makes in one request.
    produce_spread("produce-10000p", 4, 5, 9_990, keyed=True, named=True),
    connections(),
    backlog(1_000),
    soak(20_000),
    driver("kafka-perf-produce", "kafka-produce", "kafka-producer-perf-test", 400_000),
    paced(2_000),
    driver("kafka-perf-consume", "kafka-consume", "kafka-consumer-perf-test", 600_000),
    driver("rdkafka-produce", "rdkafka-produce", "rdkafka_performance, producer", 600_000),
    driver("rdkafka-consume", "rdkafka-consume", "rdkafka_performance, consumer", 600_000),
    Case(
        "syscalls",
        [Row("system calls, produce 1 KiB, 1 in flight", "calls/request", lambda r: r["calls"], chart="system calls")],
        kind="syscalls",
        once=True,
    ),
]


def choose(keys, long):
    """The cases of the short or the long form, or those named."""
    if keys is None:
        here = [case for case in ALL if not case.named]
        return [whole(case) for case in here] if long else [short(case) for case in here if not case.long]
    wanted = list(dict.fromkeys(keys.split(",")))
    known = ALL + [case for case in map(at_rate, wanted) if case]
    if unknown := set(wanted) - {case.key for case in known}:
        sys.exit(f"unknown cases: {', '.join(sorted(unknown))}")
    return [whole(case) for case in known if case.key in wanted]


def at_rate(key):
    """The case of a name that gives a rate of its own, as e2e-5000; nothing if there is one of this name already."""
    rate = key.removeprefix("e2e-")
    its_own = rate != key and rate.isascii() and rate.isdigit() and not rate.startswith("0")
    return e2e(int(rate)) if its_own and key not in {case.key for case in ALL} else None


def whole(case):
    return replace(case, once=False)


def short(case):
    return replace(case, without=(*case.without, "kafka")) if case.kafka_long else case
