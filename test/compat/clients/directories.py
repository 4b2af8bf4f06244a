"""Several log directories: where partitions go, how they move, and what a disk that fails takes with it.

A disk is made to fail where a file that the node must make is in the way as a directory: the system then
refuses with an error that is neither "full" nor "missing", to Kafka and to Dohle alike.
"""

import threading
import time

from harness.node import NodeError
from harness.report import Unable, expect, expect_equal

from .checks import SOON, now_ms, wait_for
from .driver import ClientError, Driver, b64

STORAGE_ERROR = 56
LOG_DIR_NOT_FOUND = 57
INVALID_REPLICA_ASSIGNMENT = 39
OBSTACLE = "recovery-point-offset-checkpoint.tmp"
# Enough for several steps of a copy.
VALUE = b"v" * 50_000


def run(report, node, work, quick):
    """Uses two directories."""
    if not node.restartable:
        raise Unable("the node is not ours to stop")
    it = Directories(node, work)
    try:
        for name, check in (
            ("new partitions go where the fewest are", it.spread),
            ("a partition moves while it is written", it.move),
            ("a move that is killed goes on", it.killed_move),
            ("a move is taken back", it.taken_back),
            ("what cannot be moved is refused", it.refused),
            ("cordoned directories get nothing new", it.cordoned),
            ("a disk that fails takes its partitions, no others", it.failed),
            ("a disk that is missing at the start does the same", it.missing),
            ("a node without its metadata ends", it.without_metadata),
        ):
            report.check(name, check)
    finally:
        it.driver.stop()


def obstruct(directory):
    """Makes each write of its checkpoint fail from now on; one that is under way ends first."""

    def made():
        try:
            (directory / OBSTACLE).mkdir()
            return True
        except FileExistsError:
            return False

    wait_for(made, SOON, "the checkpoint is written")


class Directories:
    """The checks, in order: the last ones end the node."""

    def __init__(self, node, work):
        self.node, self.work = node, work
        self.prefix = f"dirs-{now_ms() % 10_000_000}"
        self.data, self.more = node.folder / "data", node.folder / "more"
        self.driver = Driver("java", node.bootstrap, work / "driver.log")

    def call(self, do, **arguments):
        return self.driver.call(do, **arguments)

    def topic(self, name, partitions=1):
        topic = f"{self.prefix}-{name}"
        self.call("create_topic", topic=topic, partitions=partitions, configs={})
        wait_for(lambda: topic in self.call("topics"), SOON, f"{topic} in the list of topics")
        wait_for(lambda: -1 not in self.call("leaders", topic=topic), SOON, f"leaders of {topic}")
        return topic

    def produce(self, topic, values, partition=0, **options):
        records = [{"p": partition, "ts": None, "k": None, "v": b64(v), "h": []} for v in values]
        placed = self.call("produce", topic=topic, codec="none", records=records, **options)
        expect(all(isinstance(p, list) for p in placed), f"not appended: {placed[-1]}")

    def values(self, topic, count, partition=0):
        start = {str(partition): 0}
        got = self.call("consume", topic=topic, **{"from": start}, count=count, seconds=60)
        expect_equal([r["o"] for r in got], list(range(count)), "offsets")
        return [r["v"] for r in got]

    def lies_in(self, partition):
        """The directory of a partition, by what the node tells."""
        dirs = self.call("log_dirs")
        found = [path for path, told in dirs.items() if partition in told["partitions"]]
        expect(len(found) <= 1, f"{partition} is in {found}")
        return found[0] if found else None

    def other(self, path):
        return str(self.more if path == str(self.data) else self.data)

    def moved(self, partition, to, seconds=2 * SOON):
        def there():
            dirs = self.call("log_dirs")
            futures = [p for told in dirs.values() for p in told["partitions"] if p.endswith(" future")]
            return partition in dirs[to]["partitions"] and not futures

        wait_for(there, seconds, lambda: f"{partition} is in {self.call('log_dirs')}")

    def names(self, partition):
        return sorted(p.name for d in (self.data, self.more) for p in d.glob(f"{partition}*"))

    def count(self, directory, topic, wanted):
        """Kafka tells of partitions before it makes them."""
        found = lambda: len(list(directory.glob(f"{topic}-*")))
        wait_for(lambda: found() == wanted, SOON, lambda: f"{found()} partitions in {directory}, not {wanted}")

    def restart(self):
        self.node.start()
        wait_for(self.answers, SOON, "the client finds the node again")

    def answers(self):
        try:
            return self.call("topics") is not None
        except ClientError:
            return False

    # -- the checks

    def spread(self):
        topic = self.topic("spread", 6)
        for directory in (self.data, self.more):
            self.count(directory, topic, 3)
        dirs = self.call("log_dirs")
        expect_equal(sorted(dirs), sorted([str(self.data), str(self.more)]), "directories told")
        counts = [len(told["partitions"]) for told in dirs.values()]
        expect_equal(counts, [3, 3], "partitions in each")
        for told in dirs.values():
            expect_equal(told["error"], 0, "error")
            expect(0 < told["usable"] <= told["total"], f"volume {told['usable']} of {told['total']}")

    def move(self):
        topic = self.topic("move")
        sent = [b"%d " % i + VALUE for i in range(100)]
        self.produce(topic, sent[:60])
        start = self.lies_in(f"{topic}-0")
        more, failed = sent[60:], []

        def write():
            try:
                for i in range(0, len(more), 4):
                    self.writer.call("produce", topic=topic, codec="none", records=[
                        {"p": 0, "ts": None, "k": None, "v": b64(v), "h": []} for v in more[i : i + 4]
                    ])
            except Exception as error:
                failed.append(error)

        self.writer = Driver("java", self.node.bootstrap, self.work / "writer.log")
        thread = threading.Thread(target=write)
        thread.start()
        self.call("move", topic=topic, partition=0, dir=self.other(start))
        self.moved(f"{topic}-0", self.other(start))
        thread.join()
        self.writer.stop()
        expect(not failed, f"a writer failed: {failed}")
        expect_equal(self.values(topic, 100), [b64(v) for v in sent], "values after the move")
        wait_for(
            lambda: self.names(f"{topic}-0") == [f"{topic}-0"], SOON, lambda: f"left {self.names(topic)}"
        )
        # and back, with a start in between
        self.node.kill()
        self.restart()
        expect_equal(self.lies_in(f"{topic}-0"), self.other(start), "directory after the kill")
        expect_equal(self.values(topic, 100), [b64(v) for v in sent], "values after the kill")
        self.call("move", topic=topic, partition=0, dir=start)
        self.moved(f"{topic}-0", start)
        self.produce(topic, [b"after"])
        expect_equal(self.values(topic, 101)[-1], b64(b"after"), "the last value")

    def killed_move(self):
        topic = self.topic("killed")
        sent = [b"%d " % i + VALUE for i in range(600)]
        for i in range(0, 600, 60):
            self.produce(topic, sent[i : i + 60])
        start = self.lies_in(f"{topic}-0")
        target = self.other(start)
        # slow enough to be caught at it
        throttle = {"replica.alter.log.dirs.io.max.bytes.per.second": str(8 << 20)}
        self.call("set_broker_configs", configs=throttle)
        self.call("move", topic=topic, partition=0, dir=target)
        copied = lambda: any(name.endswith("-future") for name in self.names(f"{topic}-0"))
        # the answer comes a moment before the copy is begun
        wait_for(copied, SOON, lambda: f"no copy among {self.names(topic)}")
        kills, wanted = 0, [b64(v) for v in sent]
        for pause in (0.0, 0.02, 0.05, 0.1, 0.2):
            time.sleep(pause)
            self.node.kill()
            kills += copied()
            self.restart()
        self.call("set_broker_configs", configs={next(iter(throttle)): str(2**63 - 1)})
        self.moved(f"{topic}-0", target)
        expect_equal(self.values(topic, 600), wanted, "values after the move")
        wait_for(
            lambda: self.names(f"{topic}-0") == [f"{topic}-0"], SOON, lambda: f"left {self.names(topic)}"
        )
        self.node.kill()
        self.restart()
        expect_equal(self.lies_in(f"{topic}-0"), target, "directory after another kill")
        expect_equal(self.values(topic, 600), wanted, "values after another kill")
        expect(kills > 0, f"only {kills} of the kills came while there was a copy")
        return f"killed {kills} times while there was a copy"

    def taken_back(self):
        topic = self.topic("back")
        self.produce(topic, [VALUE] * 100)
        start = self.lies_in(f"{topic}-0")
        self.call("move", topic=topic, partition=0, dir=self.other(start))
        self.call("move", topic=topic, partition=0, dir=start)
        self.moved(f"{topic}-0", start)
        expect_equal(self.values(topic, 100), [b64(VALUE)] * 100, "values")
        self.call("move", topic=topic, partition=0, dir=self.other(start))
        self.call("delete_topic", topic=topic)
        wait_for(lambda: not self.names(f"{topic}-0"), SOON, lambda: f"left {self.names(topic)}")

    def refused(self):
        topic = self.topic("refused")
        for directory, code in (("/no/such", LOG_DIR_NOT_FOUND), (str(self.data) + "x", LOG_DIR_NOT_FOUND)):
            try:
                self.call("move", topic=topic, partition=0, dir=directory)
            except ClientError as error:
                expect_equal(error.code, code, f"code for {directory}")
            else:
                expect(False, f"moved to {directory}")

    def cordoned(self):
        self.call("set_broker_configs", configs={"cordoned.log.dirs": str(self.more)})
        topic = self.topic("cordoned", 5)
        self.count(self.data, topic, 5)
        try:
            self.call("move", topic=topic, partition=0, dir=str(self.more))
        except ClientError as error:
            expect_equal(error.code, INVALID_REPLICA_ASSIGNMENT, "code")
        else:
            expect(False, "moved to a cordoned directory")
        self.call("set_broker_configs", configs={"cordoned.log.dirs": ""})

    def both(self, name):
        """A topic with a partition in each directory, and which is where."""
        topic = self.topic(name, 2)
        wait_for(lambda: all(self.lies_in(f"{topic}-{p}") for p in (0, 1)), SOON, "both partitions are made")
        place = {self.lies_in(f"{topic}-{p}"): p for p in (0, 1)}
        if len(place) == 1:
            (path,) = place
            self.call("move", topic=topic, partition=1, dir=self.other(path))
            self.moved(f"{topic}-1", self.other(path))
            place = {path: 0, self.other(path): 1}
        here, there = place[str(self.data)], place[str(self.more)]
        for partition in (here, there):
            self.produce(topic, [b"%d" % partition] * 5, partition)
        return topic, here, there

    def without(self, topic, here, there):
        """What holds while the second directory is away."""
        wanted = [1, 1]
        wanted[there] = -1
        wait_for(lambda: self.call("leaders", topic=topic) == wanted, 90, lambda: self.call("leaders", topic=topic))
        self.produce(topic, [b"more"], here)
        expect_equal(self.values(topic, 6, here)[-1], b64(b"more"), "the last value of the other")
        dirs = self.call("log_dirs")
        expect_equal(dirs[str(self.more)]["error"], STORAGE_ERROR, "error told of the directory")
        expect_equal(dirs[str(self.data)]["error"], 0, "error told of the other")
        made = self.topic(f"made-{now_ms() % 100000}", 3)
        self.count(self.data, made, 3)

    def back(self, topic, here, there):
        wait_for(lambda: self.call("leaders", topic=topic) == [1, 1], SOON, "leaders of both")
        expect_equal(self.values(topic, 5, there), [b64(b"%d" % there)] * 5, "values of the one that was away")
        expect_equal(len(self.values(topic, 6, here)), 6, "values of the other")

    def failed(self):
        topic, here, there = self.both("failed")
        obstruct(self.more)
        # something to write down
        self.writes(topic, there)
        try:
            self.without(topic, here, there)
        finally:
            self.node.terminate()
            (self.more / OBSTACLE).rmdir()
            self.restart()
        wait_for(lambda: self.call("leaders", topic=topic) == [1, 1], SOON, "leaders of both")
        got = self.values(topic, 5, there)
        expect_equal(got, [b64(b"%d" % there)] * 5, "values of the one that was away")

    def writes(self, topic, partition):
        """Appends while the disk fails: whether it is acknowledged is open."""
        try:
            self.produce(topic, [b"unsure"], partition, seconds=30)
        except Exception:
            pass

    def missing(self):
        topic, here, there = self.both("missing")
        self.node.terminate()
        aside = self.node.folder / "aside"
        self.more.rename(aside)
        if self.node.kind == "kafka":
            # Kafka would make it anew and then call it not formatted; a file in its place is an error.
            self.more.write_text("")
        self.restart()
        try:
            self.without(topic, here, there)
        finally:
            self.node.terminate()
            if self.more.exists():
                self.more.unlink()
            aside.rename(self.more)
            self.restart()
        self.back(topic, here, there)

    def without_metadata(self):
        topic, here, _ = self.both("metadata")
        obstruct(self.data)
        self.writes(topic, here)
        wait_for(lambda: not self.node.alive(), 90, "the node is still there")
        expect(self.node.process.returncode != 0, "the node says that all is well")
        (self.data / OBSTACLE).rmdir()
        try:
            self.restart()
        except NodeError as error:
            expect(False, f"the node does not start again: {error}")
        expect_equal(self.values(topic, 5, here), [b64(b"%d" % here)] * 5, "values after it came back")
