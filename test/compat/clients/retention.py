"""What goes and what stays: records by time, by bytes and by request, topics, and the files of all of these.

A client says what it sees; the node's own files say what lies behind it. Everything must hold on Apache
Kafka, too.
"""

import random
import re
import shutil

from harness.report import Unable, expect, expect_equal

from .checks import SOON, UNKNOWN_TOPIC, now_ms, wait_for
from .driver import ClientError, Driver, b64

HOUR = 3_600_000
# The smallest that a topic may ask for.
SEGMENT = 1 << 20
# Of `retention.properties`.
DELAY = 2


def run(report, node, work, quick):
    """Lets records, topics and files go."""
    it = Retention(node, work)
    try:
        for name, check in (
            ("records go by time", it.by_time),
            ("a topic that is too old as a whole goes on", it.all_too_old),
            ("records go by bytes", it.by_bytes),
            ("compacted topics keep what is old", it.compacted),
            ("deleted records stay deleted after a kill", it.deleted_records),
            ("a topic made again has nothing of the old one", it.made_again),
            ("a kill leaves nothing of a deleted topic behind", it.deleted_topic_and_kill),
            ("what the metadata does not know is set aside", it.stray),
        ):
            report.check(name, check)
    finally:
        it.driver.stop()


class Retention:
    """The checks; each has topics of its own."""

    def __init__(self, node, work):
        self.node, self.work = node, work
        self.prefix = f"retention-{now_ms() % 10_000_000}"
        self.driver = Driver("confluent-kafka", node.bootstrap, work / "driver.log")

    # -- what a client does

    def topic(self, name, **configs):
        topic = f"{self.prefix}-{name}"
        self.create(topic, **configs)
        return topic

    def create(self, topic, **configs):
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.driver.call("create_topic", topic=topic, partitions=1, configs=configs)
        wait_for(lambda: topic in self.driver.call("topics"), SOON, f"{topic} in the list of topics")

    def produce(self, topic, records):
        """Appends (timestamp, value) in batches of their own, so that each can begin a segment."""
        for ts, value in records:
            record = {"p": 0, "ts": ts, "k": b64(b"key"), "v": b64(value), "h": []}
            (placed,) = self.driver.call("produce", topic=topic, codec="none", records=[record])
            expect(isinstance(placed, list), f"not appended: {placed}")
        return placed[1]

    def offset(self, topic, at):
        return self.driver.call("offset_for", topic=topic, partition=0, at=at)

    def consume(self, topic, start, count, seconds=SOON):
        return self.driver.call(
            "consume", topic=topic, **{"from": {"0": start}}, count=count, seconds=seconds
        )

    def starts_at(self, topic, offset, seconds=SOON):
        told = lambda: f"start of {topic} is {self.offset(topic, 'earliest')}, not {offset}"
        wait_for(lambda: self.offset(topic, "earliest") == offset, seconds, told)

    # -- what lies on the disk

    def data(self):
        if not self.node.restartable:
            raise Unable("the node's files are not ours to read")
        return self.node.folder / "data"

    def files(self, topic):
        return sorted(path.name for path in (self.data() / f"{topic}-0").iterdir())

    def dirs(self, topic):
        return sorted(path.name for path in self.data().glob(f"{topic}-0*"))

    def restart(self):
        self.node.kill()
        self.node.start()
        wait_for(self.answers, SOON, "the client finds the node again")

    def answers(self):
        try:
            return self.driver.call("topics") is not None
        except ClientError:
            return False

    # -- the checks

    def by_time(self):
        topic = self.topic("time", **{"retention_ms": HOUR, "segment_ms": 60_000})
        now = now_ms()
        ages = [3 * HOUR, 2 * HOUR, HOUR + 600_000, HOUR // 2, HOUR // 4, 0]
        self.produce(topic, [(now - age, f"{age} old".encode()) for age in ages])
        self.starts_at(topic, 3)
        got = self.consume(topic, 3, 3)
        expect_equal([r["v"] for r in got], [b64(f"{age} old".encode()) for age in ages[3:]], "what stays")
        expect_equal(self.offset(topic, "latest"), 6, "the end")
        # to a consumer that wants them they are out of range: it goes on at the end
        expect_equal(self.consume(topic, 0, 1, seconds=4), [], "what went is read")
        gone = lambda: [f for f in self.files(topic) if f.endswith(".deleted")]
        expect(
            any(re.fullmatch(r"0{20}\.log\.deleted", f) for f in gone())
            or not any(f.startswith("0" * 20) for f in self.files(topic)),
            f"neither waiting nor gone: {self.files(topic)}",
        )
        wait_for(lambda: not gone(), DELAY + SOON, lambda: f"files still there: {gone()}")
        logs = [f for f in self.files(topic) if f.endswith(".log")]
        expect_equal(logs, [f"{base:020}.log" for base in (3, 4, 5)], "segments that stay")
        # one that is closed in the meantime goes when the setting changes
        self.driver.call("set_topic_configs", topic=topic, configs={"retention.ms": str(HOUR // 3)})
        self.starts_at(topic, 4)

    def all_too_old(self):
        topic = self.topic("old", retention_ms=HOUR)
        self.produce(topic, [(now_ms() - 2 * HOUR, b"old")] * 5)
        self.starts_at(topic, 5)
        expect_equal(self.offset(topic, "latest"), 5, "the end")
        expect_equal(self.produce(topic, [(now_ms(), b"new")]), 5, "the next offset")
        expect_equal([r["o"] for r in self.consume(topic, 5, 1)], [5], "offsets read")

    def by_bytes(self):
        topic = self.topic("bytes", segment_bytes=SEGMENT)
        source = random.Random(3)
        values = [source.randbytes(200_000) for _ in range(25)]
        self.produce(topic, [(now_ms(), value) for value in values])
        expect_equal(self.offset(topic, "earliest"), 0, "the start without a limit")
        # five batches fit a segment; as many bytes as the limit stay at least
        self.driver.call("set_topic_configs", topic=topic, configs={"retention.bytes": str(2 * SEGMENT)})
        self.starts_at(topic, 10)
        got = self.consume(topic, 10, 15)
        expect_equal([r["v"] for r in got], [b64(value) for value in values[10:]], "what stays")
        self.driver.call("set_topic_configs", topic=topic, configs={"retention.bytes": "1"})
        self.starts_at(topic, 20)

    def compacted(self):
        configs = {"cleanup_policy": "compact", "retention_ms": 1, "retention_bytes": 1, "segment_ms": 60_000}
        topic, other = self.topic("compacted", **configs), self.topic("plain", retention_ms=HOUR)
        old = [(now_ms() - age * HOUR, b"old") for age in (5, 4, 3)]
        self.produce(topic, old)
        self.produce(other, old)
        self.starts_at(other, 3)
        expect_equal(self.offset(topic, "earliest"), 0, "start of the compacted topic")

    def deleted_records(self):
        topic = self.topic("records", segment_ms=60_000)
        now = now_ms()
        self.produce(topic, [(now + i * 120_000, f"{i}".encode()) for i in range(6)])
        self.driver.call("delete_records", topic=topic, partition=0, before=3)
        expect_equal(self.offset(topic, "earliest"), 3, "the start")
        if self.node.kind == "kafka":
            # Kafka notes it once a minute; what it has not noted is served again.
            return "not killed: Kafka forgets what it has not noted"
        self.restart()
        expect_equal(self.offset(topic, "earliest"), 3, "the start after the kill")
        expect_equal(self.consume(topic, 0, 1, seconds=4), [], "what was deleted is read")
        names = lambda: [f for f in self.files(topic) if f.endswith(".log")]
        whole = [f"{base:020}.log" for base in (3, 4, 5)]
        wait_for(lambda: names() == whole, SOON, lambda: f"segments {names()}")
        self.driver.call("delete_records", topic=topic, partition=0, before=6)
        self.restart()
        ends = [self.offset(topic, at) for at in ("earliest", "latest")]
        expect_equal(ends, [6, 6], "start and end after the second kill")
        return None

    def made_again(self):
        topic = self.topic("again")
        for round_ in range(6):
            self.produce(topic, [(now_ms(), f"{round_} {i}".encode()) for i in range(round_ + 2)])
            if round_ % 2:
                self.driver.call("delete_records", topic=topic, partition=0, before=2)
            self.driver.call("delete_topic", topic=topic)
            wait_for(lambda: topic not in self.driver.call("topics"), SOON, "deletion of the topic")
            self.create(topic)
            ends = [self.offset(topic, at) for at in ("earliest", "latest")]
            expect_equal(ends, [0, 0], f"start and end after round {round_}")
        if self.node.restartable:
            waiting = [d for d in self.dirs(topic) if d.endswith("-delete")]
            expect(all(re.search(r"-0\.[0-9a-f]{32}-delete$", d) for d in waiting), f"names {waiting}")
            wait_for(
                lambda: self.dirs(topic) == [f"{topic}-0"], DELAY + SOON, lambda: f"left: {self.dirs(topic)}"
            )
        self.produce(topic, [(now_ms(), b"last")])
        self.restart_or_not()
        expect_equal([r["v"] for r in self.consume(topic, 0, 1)], [b64(b"last")], "records at the end")

    def restart_or_not(self):
        if self.node.restartable:
            self.restart()

    def deleted_topic_and_kill(self):
        self.data()
        topic = self.topic("gone")
        self.produce(topic, [(now_ms(), b"gone")])
        self.driver.call("delete_topic", topic=topic)
        self.restart()
        expect(topic not in self.driver.call("topics"), "the topic is back")
        try:
            self.offset(topic, "latest")
            expect(self.node.kind != "dohle", "a topic that is gone has an offset")
            raise Unable("this client asks before it is told")
        except ClientError as error:
            expect_equal(error.code, UNKNOWN_TOPIC, "the error")
        if self.node.kind == "kafka":
            # Kafka answers before it renames; a topic that is gone meanwhile is set aside at the start.
            return "not judged: what is left"
        wait_for(lambda: not self.dirs(topic), DELAY + SOON, lambda: f"left: {self.dirs(topic)}")
        return None

    def stray(self):
        topic = self.topic("known")
        self.produce(topic, [(now_ms(), b"known")])
        data, ghost = self.data(), f"{self.prefix}-ghost"
        self.node.terminate()
        shutil.copytree(data / f"{topic}-0", data / f"{ghost}-0")
        (data / f"{ghost}-0" / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAbg")
        self.node.start()
        wait_for(self.answers, SOON, "the client finds the node again")
        expect_equal([r["v"] for r in self.consume(topic, 0, 1)], [b64(b"known")], "the known topic")
        for _ in range(2):
            (aside,) = self.dirs(ghost)
            expect(re.fullmatch(re.escape(ghost) + r"-0\.[0-9a-f]{32}-stray", aside), f"called {aside}")
            expect(any(f.name.endswith(".log") for f in (data / aside).iterdir()), "its records are gone")
            self.restart()
