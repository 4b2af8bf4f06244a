"""What one client wrote every other client reads: each codec, each pair.

Every client writes its own batch in each codec; then every client reads every batch and must see what was
written. Then one group is made of members from four clients, which must agree on the range assignor.
"""

from concurrent.futures import ThreadPoolExecutor

from harness.report import expect, expect_equal

from .checks import CODECS, SOON, batch, expect_records, now_ms, wait_for
from .driver import CLIENTS, Driver, b64

# Clients whose group protocol has an assignor named "range".
IN_ONE_GROUP = ["java", "confluent-kafka", "franz-go", "kafka-python", "aiokafka"]


def run(report, node, work, quick):
    """Writes with each client, reads with each, then groups several."""
    prefix = f"cross-{now_ms() % 10_000_000}"
    with ThreadPoolExecutor(2) as pool:
        drivers = dict(
            zip(CLIENTS, pool.map(lambda c: Driver(c, node.bootstrap, work / f"{c}.log"), CLIENTS))
        )
    try:
        pairs(report, drivers, prefix)
        report.check("one group of five clients", lambda: one_group(drivers, prefix))
    finally:
        for driver in drivers.values():
            driver.stop()


def pairs(report, drivers, prefix):
    since = now_ms()
    for codec in CODECS:
        written = {}
        for client, driver in drivers.items():
            topic = f"{prefix}-{client}-{codec}"

            def write():
                drivers["java"].call("create_topic", topic=topic, partitions=1, configs={})
                wait_for(
                    lambda: topic in drivers["java"].call("topics"), SOON, f"{topic} in the list of topics"
                )
                sent = batch(codec, driver)
                placed = driver.call("produce", topic=topic, codec=codec, records=sent)
                expect(not any(isinstance(p, dict) for p in placed), f"refused: {placed}")
                written[client] = topic, sent

            report.check(f"{client} writes {codec}", write)
        for client, driver in drivers.items():

            def read():
                for writer, (topic, sent) in written.items():
                    got = driver.call(
                        "consume", topic=topic, **{"from": {"0": 0}}, count=len(sent), seconds=SOON
                    )
                    try:
                        expect_records(got, sent, since)
                    except Exception as error:
                        error.args = (f"written by {writer}: {error.args[0]}",)
                        raise

            report.check(f"{client} reads {codec} of {len(written)} clients", read)


def one_group(drivers, prefix):
    """Members from different clients share a topic and consume everything."""
    topic, group, partitions = f"{prefix}-mixed", f"{prefix}-mixed", 10
    drivers["java"].call("create_topic", topic=topic, partitions=partitions, configs={})
    members = [drivers[client] for client in IN_ONE_GROUP]
    for driver in members:
        driver.call("join", member="m", group=group, topic=topic, assignor="range")
    held = lambda: [driver.call("assignment", member="m") for driver in members]
    fair = lambda h: sorted(p for parts in h for p in parts) == list(range(partitions)) and all(h)
    wait_for(lambda: fair(held()), 2 * SOON, lambda: f"partitions shared; last: {held()}")
    sent = [
        {"p": p, "ts": None, "k": None, "v": b64(f"{p} {i}".encode()), "h": []}
        for p in range(partitions)
        for i in range(5)
    ]
    drivers["java"].call("produce", topic=topic, codec="none", records=sent)
    seen = []

    def all_seen():
        for driver in members:
            seen.extend(v for _, _, v in driver.call("drained", member="m"))
        return len(seen) >= len(sent)

    wait_for(all_seen, SOON, lambda: f"{len(seen)} of {len(sent)} records")
    expect_equal(sorted(seen), sorted(r["v"] for r in sent), "records of the group")
    for driver in members:
        driver.call("leave", member="m")
