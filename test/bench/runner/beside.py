"""Loads that run beside something else: thousands of idle connections, a reader of a backlog.

Each is measured without it and with it in the same broker, one right after the other, so that what the machine does
besides hits both. The first has the long warm-up, or a compiler would flatter the second.
"""

from . import pairs

# Within the 10,000 open files that many systems allow a process at the least.
CONNECTIONS = 9_000

BATCH_SIZE = 65_536
# It fits into the floor's ring, which is 256 MiB, with what is produced meanwhile.
BACKLOG_BATCHES = 3_072


def connections(system, seconds, warm_up):
    """Requests on ten connections, before and behind the opening of thousands that are then silent."""
    busy = ["--topic", "busy", "--size", 1_024, "--connections", 10, "--in-flight", 1]
    busy += ["--seconds", seconds]
    before = system.load("produce", *busy, "--warm-up-seconds", warm_up)
    with system.beside("idle", "--connections", CONNECTIONS, "--seconds", seconds, "--hold") as idle:
        opened = idle.report()
        behind = system.load("produce", *busy, "--warm-up-seconds", 1)
    grown = opened["anonymous_kib"] - opened["anonymous_kib_before"]
    return behind | pairs.worst(before, behind) | {
        "micros_before": micros(before),
        "micros_behind": micros(behind),
        "open_micros": opened["broker_cpu_seconds_opening"] / CONNECTIONS * 1e6,
        "kib_each": grown / CONNECTIONS,
        "idle_share": opened["broker_cpu_seconds"] / opened["seconds"],
    }


def micros(report):
    return report["broker_cpu_seconds"] / report["requests"] * 1e6


def backlog(system, seconds, warm_up, rate):
    """Messages on a schedule into a partition, alone and while a consumer reads what it had before at full speed."""
    topic = ["--topic", "backlog"]
    fill = ["--keep", "--size", BATCH_SIZE, "--warm-up-requests", 0, "--requests", BACKLOG_BATCHES, "--seconds", 120]
    system.load("produce", *topic, *fill)
    paced = [*topic, "--rate", rate, "--seconds", seconds]
    alone = system.load("e2e", *paced, "--warm-up-seconds", warm_up)
    # It is reading before the messages count, and until they no longer do.
    read = [*topic, "--batches", 0, "--size", 1 << 20, "--connections", 1]
    read += ["--warm-up-seconds", 1, "--seconds", seconds + 1]
    with system.beside("fetch", *read) as reading:
        together = system.load("e2e", *paced, "--warm-up-seconds", 1.5)
        drained = reading.report()
    return together | pairs.worst(alone, pairs.apart(together, drained)) | {
        "drain_mb_per_second": drained["raw_bytes"] / drained["seconds"] / 1e6,
        "alone": alone,
    }
