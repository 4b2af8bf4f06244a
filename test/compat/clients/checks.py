"""What every client must be able to do with a node: the same checks for each.

A check talks to the client through its driver, and where the client has no call for a thing (kcat cannot
create a topic) a second driver, the Java client's, prepares it. Expected values are made here, never taken
from what the client or the node said.
"""

import hashlib
import random
import time
from contextlib import contextmanager

from harness.report import Failed, Unable, expect, expect_equal

from .driver import ClientError, Driver, b64
from .hashes import partition_of

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# The broker's default `message.max.bytes`.
MESSAGE_MAX = 1048588
MESSAGE_TOO_LARGE = 10
UNKNOWN_TOPIC = 3
TOPIC_EXISTS = 36
GROUP_ID_NOT_FOUND = 69
BULK_SIZE = 10240
# What comes at once may take so long on a machine that is busy with other things.
SOON = 60


def wait_for(condition, seconds, what):
    """Waits until `condition()` is true; its last value is told on failure."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failed(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.1)


def now_ms():
    return int(time.time() * 1000)


def batch(codec, driver):
    """Records that hold everything that a record can hold, as far as the client can write it."""
    timestamps = "timestamps" not in driver.hello["cannot"]
    nulls = "null headers" not in driver.hello["cannot"]
    base = now_ms() - 3_600_000
    text = f"value in {codec} ".encode() * 40
    shapes = [
        (b"key", text, []),
        (None, text, []),
        (b"null value", None, []),
        (b"", b"", []),
        (b"empty value", b"", [["one", b"1"]]),
        ("klíč ☕".encode(), "hodnota ☕".encode(), [["name", "jméno".encode()]]),
        (
            b"headers",
            text,
            [["twice", b"a"], *([["null", None]] if nulls else []), ["empty", b""], ["twice", b"b"]],
        ),
        (b"big", random.Random(7).randbytes(2000).hex().encode() + text * 20, []),
    ]
    return [
        {
            "p": 0,
            "ts": base + 1000 * i if timestamps else None,
            "k": b64(k),
            "v": b64(v),
            "h": [[n, b64(d)] for n, d in h],
        }
        for i, (k, v, h) in enumerate(shapes)
    ]


def headers(pairs):
    """Headers by name, values of one name in their order: what every client's interface can tell."""
    found = {}
    for name, data in pairs:
        found.setdefault(name, []).append(data)
    return found


def expect_records(got, sent, since):
    """Compares consumed records with what was produced; without own timestamps only their age is known."""
    expect_equal(len(got), len(sent), "number of records")
    for g, s in zip(got, sent):
        for name, field in (("key", "k"), ("value", "v")):
            expect_equal(g[field], s[field], f"{name} at offset {g['o']}")
        expect_equal(headers(g["h"]), headers(s["h"]), f"headers at offset {g['o']}")
        if s["ts"] is not None:
            expect_equal(g["ts"], s["ts"], f"timestamp at offset {g['o']}")
        else:
            expect(since - 60_000 < g["ts"] <= now_ms() + 60_000, f"timestamp {g['ts']} is not of now")


class Checks:
    """The checks of one client on one node."""

    def __init__(self, client, node, work, bulk):
        self.client, self.node, self.work, self.bulk = client, node, work, bulk
        self.prefix = f"{client}-{now_ms() % 10_000_000}"
        self.driver = self.started(client)
        # prepares what the client cannot; the same driver when it can
        self.other = (
            self.driver if "create_topic" not in self.driver.hello["cannot"] else self.started("java")
        )

    def started(self, client):
        return Driver(client, self.node.bootstrap, self.work / f"{client}.log")

    def can(self, action):
        return action not in self.driver.hello["cannot"]

    def stop(self):
        for driver in {self.driver, self.other}:
            driver.stop()

    def topic(self, name, partitions=1, **configs):
        """A fresh topic, usable: the metadata lists it."""
        topic = f"{self.prefix}-{name}"
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.other.call("create_topic", topic=topic, partitions=partitions, configs=configs)
        wait_for(lambda: topic in self.other.call("topics"), SOON, f"{topic} in the list of topics")
        return topic

    def produce(self, topic, records, codec="none", idempotent=False):
        """Produces and returns where each record went; any refusal fails the check."""
        placed = self.driver.call("produce", topic=topic, codec=codec, idempotent=idempotent, records=records)
        refused = [p for p in placed if isinstance(p, dict)]
        expect(not refused, f"refused: {refused[:3]}")
        return placed

    def after_restart(self, do, **arguments):
        """A call that a client may need some tries for: its connections broke with the node."""
        until = time.monotonic() + SOON
        while True:
            try:
                return self.driver.call(do, **arguments)
            except ClientError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def consume(self, topic, count, start=None, driver=None):
        start = start or {"0": 0}
        return (driver or self.driver).call(
            "consume", topic=topic, **{"from": start}, count=count, seconds=SOON
        )

    # -- records

    def codec(self, codec):
        """Every shape of record in one codec: keys, values, headers, timestamps, nulls."""
        since, topic = now_ms(), self.topic(f"codec-{codec}")
        sent = batch(codec, self.driver)
        placed = self.produce(topic, sent, codec)
        if self.can("timestamps"):
            expect_equal(placed, [[0, i] for i in range(len(sent))], "offsets")
        got = self.consume(topic, len(sent))
        expect_equal([r["o"] for r in got], list(range(len(sent))), "offsets read")
        expect_records(got, sent, since)
        # from the middle of a batch
        tail = self.consume(topic, 2, {"0": len(sent) - 2})
        expect_equal([r["o"] for r in tail], [len(sent) - 2, len(sent) - 1], "offsets read from the middle")

    def offsets_for_times(self):
        """Offsets by timestamp, within compressed batches too, and at both ends."""
        topic = self.topic("times")
        base = now_ms() - 3_600_000
        writer = self.driver if self.can("timestamps") else self.other
        for codec in ("none", "gzip"):
            first = 0 if codec == "none" else 10
            sent = [
                {"p": 0, "ts": base + 1000 * (first + i), "k": None, "v": b64(b"v"), "h": []}
                for i in range(10)
            ]
            writer.call("produce", topic=topic, codec=codec, records=sent)
        ask = lambda at: self.driver.call("offset_for", topic=topic, partition=0, at=at)
        for at, wanted in (
            ("earliest", 0),
            ("latest", 20),
            (base - 5, 0),
            (base + 2500, 3),
            (base + 12_000, 12),
            (base + 19_000, 19),
            (base + 19_001, -1),
        ):
            expect_equal(
                ask(at), wanted, f"offset for {at if isinstance(at, str) else f'base {at - base:+}'}"
            )

    def append_time(self):
        """With message.timestamp.type=LogAppendTime the node's clock counts, not the record's."""
        topic = self.topic("append-time", message_timestamp_type="LogAppendTime")
        since = now_ms()
        for codec in ("none", "zstd"):
            self.produce(
                topic,
                [
                    {
                        "p": 0,
                        "ts": None if not self.can("timestamps") else since - 3_600_000,
                        "k": None,
                        "v": b64(b"v"),
                        "h": [],
                    }
                ],
                codec,
            )
        for r in self.consume(topic, 2):
            expect(
                since - 1000 <= r["ts"] <= now_ms() + 1000,
                f"timestamp {r['ts']} instead of the append's, {since}",
            )

    def partitions_by_key(self):
        """Equal keys go where Java's murmur2 partitioner puts them."""
        topic, partitions = self.topic("keys", 7), 7
        keys = [f"key-{i}".encode() for i in range(10 if not self.can("timestamps") else 200)]
        sent = [{"p": None, "ts": None, "k": b64(key), "v": b64(key), "h": []} for key in keys]
        self.produce(topic, sent)
        got = self.consume(topic, len(keys), {str(p): 0 for p in range(partitions)})
        found = {r["v"]: r["p"] for r in got}
        expect_equal(found, {b64(key): partition_of(key, partitions) for key in keys}, "partitions of keys")

    def large_messages(self):
        """A batch just under max.message.bytes is stored, one above it refused with MESSAGE_TOO_LARGE."""
        topic = self.topic("large")
        letter = b"0123456789abcdef"
        record = lambda size: {
            "p": 0,
            "ts": None,
            "k": None,
            "v": b64((letter * (size // 16 + 1))[:size]),
            "h": [],
        }
        # a batch of one record costs 61 bytes, the record's own fields some 12 more
        largest = record(MESSAGE_MAX - 61 - 20)
        self.produce(topic, [largest])
        (got,) = self.consume(topic, 1)
        expect(got["v"] == largest["v"], "the largest message came back changed")
        for size in (MESSAGE_MAX, 3 << 20):
            (refused,) = self.driver.call(
                "produce", topic=topic, codec="none", idempotent=False, records=[record(size)]
            )
            expect_equal(refused, {"error": MESSAGE_TOO_LARGE}, f"answer to {size} bytes")
        small = record(100)
        placed = self.produce(topic, [small])
        expect(placed[0] in (None, [0, 1]), f"the next message went to {placed[0]}, not to offset 1")
        # compression counts: three megabytes of one pattern fit
        self.produce(topic, [record(3 << 20)], "gzip")
        wide = self.topic("wide", max_message_bytes=4 << 20)
        self.produce(wide, [record(3 << 20)])
        expect_equal(len(self.consume(wide, 1)), 1, "records of a topic with a larger limit")

    def bulk_checksum(self):
        """A large topic is read back equal, by checksum, written by an idempotent producer."""
        topic = self.topic("bulk")
        count = self.bulk.stat().st_size // BULK_SIZE
        self.driver.call(
            "bulk_produce", topic=topic, file=str(self.bulk), size=BULK_SIZE, codec="none", idempotent=True
        )
        expect_equal(
            self.driver.call("offset_for", topic=topic, partition=0, at="latest"), count, "end offset"
        )
        sum_ = self.driver.call("bulk_consume", topic=topic, count=count, seconds=90)
        expect_equal(sum_, hashlib.sha256(self.bulk.read_bytes()).hexdigest(), "checksum")
        return f"{self.bulk.stat().st_size / 1e6:.0f} MB"

    def idempotent(self):
        """An idempotent producer's batches are stored once, in order, in every codec."""
        topic = self.topic("idempotent", 2)
        for codec in CODECS:
            sent = [
                {"p": i % 2, "ts": None, "k": None, "v": b64(f"{codec} {i}".encode()), "h": []}
                for i in range(10)
            ]
            self.produce(topic, sent, codec, idempotent=True)
        for p in range(2):
            got = self.consume(topic, 25, {str(p): 0})
            wanted = [b64(f"{codec} {i}".encode()) for codec in CODECS for i in range(p, 10, 2)]
            expect_equal([r["v"] for r in got], wanted, f"records of partition {p}")

    # -- administration

    def admin(self):
        """Topics and their configs: create, grow, describe, change, cut, delete, and the errors."""
        if not self.can("create_topic"):
            raise Unable(f"{self.client} has no admin calls")
        call, topic = self.driver.call, f"{self.prefix}-admin"
        call(
            "create_topic",
            topic=topic,
            partitions=2,
            configs={"retention.ms": "7200000", "cleanup.policy": "delete"},
        )
        wait_for(lambda: topic in call("topics"), SOON, f"{topic} in the list of topics")
        expect_equal(call("partitions", topic=topic), 2, "partitions")
        self.refused(TOPIC_EXISTS, "create_topic", topic=topic, partitions=2, configs={})
        configs = call("topic_configs", topic=topic)
        expect_equal(configs.get("retention.ms"), "7200000", "retention.ms as created")
        expect_equal(configs.get("max.message.bytes"), str(MESSAGE_MAX), "max.message.bytes by default")
        expect(len(configs) >= 20, f"only {len(configs)} configs told of a topic")
        call(
            "set_topic_configs",
            topic=topic,
            configs={"retention.ms": "3600000", "max.message.bytes": "2000000"},
        )
        changed = lambda: call("topic_configs", topic=topic)
        wait_for(lambda: changed().get("retention.ms") == "3600000", SOON, "retention.ms as changed")
        expect_equal(changed().get("max.message.bytes"), "2000000", "max.message.bytes as changed")
        call("add_partitions", topic=topic, total=5)
        wait_for(lambda: call("partitions", topic=topic) == 5, SOON, "five partitions")
        self.produce(
            topic, [{"p": 4, "ts": None, "k": None, "v": b64(b"%d" % i), "h": []} for i in range(10)]
        )
        call("delete_records", topic=topic, partition=4, before=6)
        ends = [call("offset_for", topic=topic, partition=4, at=at) for at in ("earliest", "latest")]
        expect_equal(ends, [6, 10], "offsets after the deletion of records")
        got = self.consume(topic, 4, {"4": 6})
        expect_equal([r["o"] for r in got], [6, 7, 8, 9], "what is left")
        call("delete_topic", topic=topic)
        wait_for(lambda: topic not in call("topics"), SOON, "deletion of the topic")
        self.refused(UNKNOWN_TOPIC, "delete_topic", topic=topic)

    def refused(self, code, do, **arguments):
        try:
            self.driver.call(do, **arguments)
        except ClientError as error:
            expect_equal(error.code, code, f"error of {do}")
        else:
            raise Failed(f"{do} was not refused")

    # -- groups

    def group(self):
        """Members join, share all partitions, hand them over when one leaves or dies; nothing is lost."""
        partitions = 6
        topic, group = self.topic("group", partitions), f"{self.prefix}-group"
        seen = {}

        def produce(round_):
            sent = [
                {"p": p, "ts": None, "k": None, "v": b64(f"{round_} {p} {i}".encode()), "h": []}
                for p in range(partitions)
                for i in range(1 if not self.can("timestamps") else 20)
            ]
            for p in range(partitions):
                part = [r for r in sent if r["p"] == p]
                self.produce(topic, part)
            return {r["v"] for r in sent}

        def share(members):
            """Waits until the members hold all partitions, each one once, and nobody goes without."""
            held = lambda: [d.call("assignment", member=m) for d, m in members]
            fair = lambda h: sorted(p for parts in h for p in parts) == list(range(partitions)) and all(h)
            began = time.monotonic()
            wait_for(lambda: fair(held()), 2 * SOON, lambda: f"partitions shared; last: {held()}")
            return time.monotonic() - began

        def drain(members, wanted):
            def all_seen():
                for driver, member in members:
                    for p, o, v in driver.call("drained", member=member):
                        expect(seen.setdefault((p, o), v) == v, f"offset {o} of partition {p} has two values")
                return wanted <= set(seen.values())

            wait_for(
                all_seen, SOON, lambda: f"{len(wanted - set(seen.values()))} of {len(wanted)} records unseen"
            )

        doomed = self.started(self.client)
        try:
            a, b, c = (self.driver, "a"), (self.driver, "b"), (doomed, "c")
            first = produce("first")
            times = []
            for driver, member in (a, b, c):
                driver.call("join", member=member, group=group, topic=topic, assignor="range")
            times.append(share([a, b, c]))
            drain([a, b, c], first)
            if self.can("describe_group"):
                self.described(group, "stable", 3)
                expect(group in self.driver.call("groups"), "the group is not listed")
            self.driver.call("leave", member="b")
            times.append(share([a, c]))
            doomed.kill()  # its session (6 s) has to run out
            times.append(share([a]))
            drain([a], produce("second"))
            if self.can("commit"):
                self.driver.call("commit", member="a")
                ends = {
                    str(p): self.driver.call("offset_for", topic=topic, partition=p, at="latest")
                    for p in range(partitions)
                }
                kept = self.driver.call(
                    "committed", group=group, topic=topic, partitions=list(range(partitions))
                )
                expect_equal(kept, ends, "committed offsets")
            self.driver.call("leave", member="a")
        finally:
            doomed.stop()
        if self.can("delete_group"):
            self.described(group, "empty", 0)
            self.driver.call("delete_group", group=group)
            expect(group not in self.driver.call("groups"), "the deleted group is listed")
            # the group is gone, its offsets with it
            self.refused(GROUP_ID_NOT_FOUND, "delete_group", group=group)
        return "shared after " + ", ".join(f"{t:.1f}" for t in times) + " s (three, one left, one killed)"

    def described(self, group, state, members):
        """Waits until the group is told so: a member whose session ran out on a slow disk joins once more."""

        def told():
            group_ = self.driver.call("describe_group", group=group)
            return group_["state"].lower(), group_["members"]

        wait_for(
            lambda: told() == (state, members), SOON, lambda: f"{group} {state} of {members}; last: {told()}"
        )

    def restart(self, how):
        """Records and committed offsets survive the node's end; the group goes on where it was."""
        if not self.node.restartable:
            raise Unable("the node is not ours to stop")
        topic, group = self.topic(f"restart-{how}"), f"{self.prefix}-restart-{how}"
        values = [f"{how} {i}".encode() for i in range(30)]
        record = lambda v: {"p": 0, "ts": None, "k": None, "v": b64(v), "h": []}
        self.produce(topic, [record(v) for v in values[:20]])
        self.read_in_group(group, topic, values[:20])
        stop = self.node.kill if how == "kill" else self.node.terminate
        stop()
        seconds = self.node.start()
        got = self.consume(topic, 20)
        expect_equal([r["v"] for r in got], [b64(v) for v in values[:20]], "records after the restart")
        if self.can("committed"):
            kept = self.after_restart("committed", group=group, topic=topic, partitions=[0])
            expect_equal(kept, {"0": 20}, "committed offset after the restart")
        self.produce(topic, [record(v) for v in values[20:]])
        self.read_in_group(group, topic, values[20:])
        return f"served again after {seconds:.2f} s"

    def read_in_group(self, group, topic, values):
        """One member reads exactly these values, then commits and leaves."""
        call, seen = self.driver.call, []
        call("join", member="r", group=group, topic=topic, assignor="range")

        def all_seen():
            seen.extend(v for _, _, v in call("drained", member="r"))
            return len(seen) >= len(values)

        try:
            wait_for(all_seen, 20, lambda: f"{len(seen)} of {len(values)} records")
        except Failed:
            if seen:
                raise
            # kafka-python can divide a topic before it knows its partitions, and then notices only when
            # its metadata gets old. Whether the node has the records is judged by who joins anew.
            call("leave", member="r")
            call("join", member="r", group=group, topic=topic, assignor="range")
            wait_for(all_seen, SOON, lambda: f"{len(seen)} of {len(values)} records, after a second join")
        if self.can("commit"):
            call("commit", member="r")
        else:
            time.sleep(1)  # kcat commits by itself when it leaves
        call("leave", member="r")
        expect_equal(seen, [b64(v) for v in values], "records of the group")


@contextmanager
def checks(client, node, work, bulk):
    made = Checks(client, node, work, bulk)
    try:
        yield made
    finally:
        made.stop()
