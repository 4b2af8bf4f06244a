"""One load for half an hour: what grows, and what old segments cost when they go, shows in no load of seconds."""

from statistics import mean, median

MINUTES = 30
# Those at either end that are compared: what grows shows between them.
END = 5

# A segment is full after 13 s; the broker looks for old ones each five minutes, as by default, and finds 22 then.
TOPIC_CONFIG = ("segment.bytes=268435456", "retention.bytes=1073741824")


def run(system, rate, warm_up):
    """Messages on a schedule into one partition and out of it; a report of all minutes."""
    topic = ["--topic", "soak", "--keep", *(part for config in TOPIC_CONFIG for part in ("--topic-config", config))]
    load = [*topic, "--rate", rate, "--seconds", 60]
    return report([system.load("e2e", *load, "--warm-up-seconds", 1 if n else warm_up) for n in range(MINUTES)])


def report(minutes):
    """Sums, what is usual in a minute, what was worst, and how the last minutes differ from the first."""
    sums = ("seconds", "messages", "broker_cpu_seconds", "client_cpu_seconds", "foreign_cpu_seconds", "steal_seconds", "never_back")
    of = lambda name: [minute["e2e_micros"][name] for minute in minutes]
    cpu = [minute["broker_cpu_seconds"] / minute["messages"] for minute in minutes]
    return {name: sum(minute[name] for minute in minutes) for name in sums} | {
        "p50": median(of("p50")),
        "p99": median(of("p99")),
        "p99_worst": max(of("p99")),
        "p999": median(of("p999")),
        "max": max(of("max")),
        "cpu_growth": growth(cpu),
        "p99_growth": growth(of("p99")),
        "anonymous_kib": minutes[-1]["anonymous_kib"],
        "anonymous_growth": growth([minute["anonymous_kib"] for minute in minutes]),
    }


def growth(values):
    """The last ones by the first ones."""
    return mean(values[-END:]) / mean(values[:END])
