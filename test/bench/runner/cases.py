"""What is run: each case is one load and the rows that it gives.

A measured phase ends after some seconds or some requests, whichever comes first: the seconds bound a slow
broker's time, the requests bound a fast one's disk. CPU time comes in ticks of 10 ms, so phases are as long as
the ten minutes of the short form allow.
"""

import sys
from dataclasses import dataclass, field

GB = 1e9


@dataclass
class Row:
    """A number of a report; smaller is better in all that are compared."""

    title: str
    unit: str
    value: callable
    compared: bool = True


@dataclass
class Case:
    key: str
    rows: list
    # "life": the steps of a node's life; "load": a command of the generator; "syscalls": the same under strace.
    kind: str = "load"
    command: str = ""
    options: dict = field(default_factory=dict)
    long: bool = False


def micros_per_request(report):
    return report["broker_cpu_seconds"] / report["requests"] * 1e6


def seconds_per_gb(report):
    return report["broker_cpu_seconds"] / (report["raw_bytes"] / GB)


def micros_per_message(report):
    return report["broker_cpu_seconds"] / report["messages"] * 1e6


def quantile(histogram, name):
    return lambda report: report[histogram][name]


def produce(key, size, requests, *rows, long=False, **options):
    options = {"size": size, "requests": requests, **options}
    return Case(key, list(rows), command="produce", options=options, long=long)


def fetch(key, size, requests, *rows, long=False):
    return Case(key, list(rows), command="fetch", options={"size": size, "requests": requests}, long=long)


def e2e(rate):
    title = f"end to end {rate:,}/s"
    rows = [
        Row(f"{title}, CPU of produce and fetch", "µs/message", micros_per_message),
        Row(f"{title}, messages in a request", "messages", lambda r: r["messages"] / r["produce_requests"], False),
        Row(f"{title}, p50", "µs", quantile("e2e_micros", "p50")),
        Row(f"{title}, p99", "µs", quantile("e2e_micros", "p99")),
        Row(f"{title}, p99.9", "µs", quantile("e2e_micros", "p999")),
    ]
    return Case(f"e2e-{rate}", rows, command="e2e", options={"rate": rate, "seconds": 20}, long=True)


def per_gb(title):
    return Row(title, "CPU s/GB", seconds_per_gb)


ALL = [
    Case("start", [Row("start → first ack, empty directory", "ms", lambda r: r["first_ack_ms"])], kind="life"),
    Case(
        "idle",
        [
            Row("idle after start: resident", "MiB", lambda r: r["resident_kib"] / 1024),
            Row("idle after start: anonymous", "MiB", lambda r: r["anonymous_kib"] / 1024),
            Row("idle: CPU", "% of a core", lambda r: r["broker_cpu_seconds"] / r["seconds"] * 100),
        ],
        kind="life",
    ),
    Case("kill", [Row("start after kill -9, 256 MiB → first ack", "ms", lambda r: r["first_ack_ms"])], kind="life"),
    produce("produce-1k", 1_024, 400_000, Row("produce 1 KiB, 20 in flight", "CPU µs/request", micros_per_request)),
    produce("produce-64k", 65_536, 24_576, per_gb("produce 64 KiB, 20 in flight")),
    produce("produce-64k-lz4", 65_536, 65_536, per_gb("produce 64 KiB lz4, per raw GB"), codec="lz4"),
    fetch("fetch-64k", 65_536, 65_536, per_gb("fetch 64 KiB")),
    fetch("fetch-1m", 1_048_576, 6_144, per_gb("fetch 1 MiB")),
    produce("produce-64k-zstd", 65_536, 65_536, per_gb("produce 64 KiB zstd, per raw GB"), codec="zstd", long=True),
    produce("produce-16k", 16_384, 98_304, per_gb("produce 16 KiB, 20 in flight"), long=True),
    produce("produce-1m", 1_048_576, 1_536, per_gb("produce 1 MiB, 20 in flight"), long=True),
    produce(
        "produce-1k-1",
        1_024,
        200_000,
        Row("produce 1 KiB, 1 in flight", "CPU µs/request", micros_per_request),
        Row("produce 1 KiB, 1 in flight, ack p50", "µs", quantile("latency_micros", "p50")),
        Row("produce 1 KiB, 1 in flight, ack p99", "µs", quantile("latency_micros", "p99")),
        long=True,
        connections=1,
        in_flight=1,
    ),
    e2e(1_000),
    e2e(20_000),
    Case("memory", [Row("after these loads: anonymous", "MiB", lambda r: r["anonymous_kib"] / 1024)], kind="memory"),
    Case("syscalls", [Row("system calls, produce 1 KiB, 1 in flight", "calls/request", lambda r: r["calls"])], kind="syscalls"),
]


def choose(keys, long):
    """The cases of the short or the long form, or those named."""
    if keys is None:
        return [case for case in ALL if long or not case.long]
    wanted = keys.split(",")
    if unknown := set(wanted) - {case.key for case in ALL}:
        sys.exit(f"unknown cases: {', '.join(sorted(unknown))}")
    return [case for case in ALL if case.key in wanted]
