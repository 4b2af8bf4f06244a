"""Bytes that no well-behaved client sends, and the promises that only bytes show.

Each check is a trap in which some Kafka-compatible broker was caught. After every one of them the node must
be alive and serve the next client as before.
"""

import os
import random
import statistics
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from harness.report import Failed, Unable, expect, expect_equal

from .batches import batch, hexed
from .cases import TIMESTAMP
from .connection import PATIENCE, Closed, Connection, answer, frame
from .golden import SERVED
from .schema import WireError, request

FRAMES = 3000
WORKERS = 4
SEED = 20261122
MEMORY = 64 << 20
# What a small answer takes at most without Nagle's delay, which is 40 ms, and how long a disk may need to get that quick.
QUICK_MS = 25
DISK_SECONDS = 120
UNSUPPORTED_VERSION = 35
TOPIC = "wire"


def run(report, node, work, quick):
    """Springs every trap."""
    it = Traps(node)
    it.create_topic()
    for name, trap in (
        ("ApiVersions of an unknown version is answered with v0 and error 35", it.unknown_api_versions),
        ("an unknown key closes the connection", it.unknown_key),
        ("an unknown version closes the connection", it.unknown_version),
        ("a frame of a negative or enormous length closes the connection", it.bad_lengths),
        ("another protocol on the port closes the connection", it.other_protocols),
        ("announced bytes that never come cost no memory", it.announced_bytes),
        ("a truncated header closes the connection", it.truncated_headers),
        ("bytes after a request's end are refused or ignored", it.trailing_bytes),
        ("lengths beyond the frame are refused", it.inner_lengths),
        ("a frame in single bytes is answered", it.single_bytes),
        ("pipelined requests are answered in order", it.pipelined),
        ("a waiting fetch does not let a later answer overtake it", it.waiting_fetch),
        ("a fetch waits no longer than asked", it.fetch_waits),
        ("an append wakes a waiting fetch", it.fetch_wakes),
        ("small answers are not delayed", it.no_delay),
        ("produce with acks=0 is not answered", it.no_acks),
        ("500 idle connections", it.idle_connections),
        ("requests are not logged", it.no_log_per_request),
        ("an idle node rests", it.idle_node),
        (f"{FRAMES} random and mutated frames", it.storm),
    ):
        report.check(name, lambda: it.survived(trap))


class Traps:
    """The checks on one node."""

    def __init__(self, node):
        self.node = node

    def connect(self, timeout=PATIENCE):
        return Connection(self.node, timeout)

    def survived(self, trap):
        """Springs one trap, then sees that the node serves a new client."""
        detail = trap()
        with self.connect() as c:
            listed = c.call("Metadata", 12, {"Topics": [{"Name": TOPIC}]})
            expect_equal(listed["Topics"][0]["ErrorCode"], 0, "error of the topic afterwards")
        return detail

    def create_topic(self):
        topic = {
            "Name": TOPIC,
            "NumPartitions": 1,
            "ReplicationFactor": 1,
            "Configs": [{"Name": "retention.ms", "Value": "-1"}],
        }
        until = time.monotonic() + PATIENCE
        with self.connect() as c:
            made = c.call("CreateTopics", 7, {"Topics": [topic], "timeoutMs": 60000})["Topics"][0]
            self.topic_id = made["TopicId"]
            # Kafka may tell a leader a moment before that leader knows
            while c.call("Produce", 9, self.produce())["Responses"][0]["PartitionResponses"][0]["ErrorCode"]:
                expect(time.monotonic() < until, f"topic {TOPIC} cannot be written to")
                time.sleep(0.1)

    def produce(self, acks=-1, value=b"value"):
        records = hexed(batch([(b"key", value)], TIMESTAMP))
        return {
            "Acks": acks,
            "TimeoutMs": 60000,
            "TopicData": [{"Name": TOPIC, "PartitionData": [{"Index": 0, "Records": records}]}],
        }

    def end(self, connection):
        part = {"PartitionIndex": 0, "Timestamp": -1}
        body = {"ReplicaId": -1, "Topics": [{"Name": TOPIC, "Partitions": [part]}]}
        return connection.call("ListOffsets", 5, body)["Topics"][0]["Partitions"][0]["Offset"]

    def fetch(self, offset, wait):
        part = {"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20, "CurrentLeaderEpoch": -1}
        topics = [{"Topic": TOPIC, "Partitions": [part]}]
        return {
            "ReplicaId": -1,
            "MaxWaitMs": wait,
            "MinBytes": 1,
            "MaxBytes": 1 << 20,
            "SessionEpoch": -1,
            "Topics": topics,
        }

    # -- versions and keys

    def unknown_api_versions(self):
        # a client of the future sends what it likes after a header that stays readable
        for version in (6, 99, 32767, -1):
            for body in (b"", bytes(random.Random(version).randbytes(50))):
                with self.connect() as c:
                    c.send_frame(struct.pack(">hhih", 18, version, 77, 4) + b"late" + b"\0" + body)
                    got = answer("ApiVersions", 0, c.receive_frame(), 77)
                    expect_equal(got["ErrorCode"], UNSUPPORTED_VERSION, f"error of v{version}")
                    own = [a for a in got["ApiKeys"] if a["ApiKey"] == 18]
                    newest = request("ApiVersions").newest
                    expect_equal(
                        own,
                        [{"ApiKey": 18, "MinVersion": 0, "MaxVersion": newest}],
                        "versions told of ApiVersions",
                    )
                    # and the connection can go on
                    c.correlation = 77
                    expect_equal(
                        c.call("ApiVersions", 0, {})["ErrorCode"], 0, "error of v0 on the same connection"
                    )

    def unknown_key(self):
        for key in (95, 999, 32767, -1):
            self.closes(struct.pack(">hhih", key, 0, 5, -1), f"key {key}")

    def unknown_version(self):
        for api, version in (
            ("Metadata", 99),
            ("Produce", 2),
            ("Fetch", 3),
            ("Fetch", 19),
            ("JoinGroup", -1),
            ("CreateTopics", 1),
        ):
            self.closes(
                struct.pack(">hhih", request(api).key, version, 5, -1) + bytes(40), f"{api} v{version}"
            )

    def closes(self, frame_, what):
        with self.connect() as c:
            with suppress(Closed):
                c.send_frame(frame_)
            expect(c.is_closed_by_node(), f"{what}: the connection stays open or is answered")

    # -- frames

    def bad_lengths(self):
        for length in (-1, -(1 << 31), (100 << 20) + 1, (1 << 31) - 1):
            with self.connect() as c:
                c.send_raw(struct.pack(">i", length) + b"some bytes")
                expect(c.is_closed_by_node(), f"a frame of {length} bytes: the connection stays open")

    def other_protocols(self):
        for data in (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
            b"SSH-2.0-OpenSSH_9.2\r\n",
        ):
            with self.connect() as c:
                with suppress(Closed):
                    c.send_raw(data)
                expect(c.is_closed_by_node(), f"{data[:12]!r}: the connection stays open")

    def announced_bytes(self):
        """Twenty clients announce 90 MB each and send ten bytes."""
        if self.node.kind == "kafka":
            raise Unable("Kafka allocates what is announced, and does not recover from it")
        before = self.memory()
        held = []
        try:
            for _ in range(20):
                c = self.connect()
                held.append(c)
                c.send_raw(struct.pack(">i", 90 << 20) + struct.pack(">hhih", 0, 9, 1, -1))
            time.sleep(0.5)
            self.memory_grew_little(before)
        finally:
            for c in held:
                c.socket.close()

    def truncated_headers(self):
        whole = frame("Metadata", 12, {"Topics": []}, 1)
        for size in range(0, 14):
            self.closes(whole[:size], f"a frame of the first {size} bytes of a request")

    def trailing_bytes(self):
        with self.connect() as c:
            with suppress(Closed, WireError):
                c.send_frame(frame("Metadata", 1, {"Topics": []}, 1) + bytes(100))
                answer("Metadata", 1, c.receive_frame(), 1)

    def inner_lengths(self):
        """Counts and sizes that the frame cannot hold, at the places where requests have them."""
        header = struct.pack(">hhih", 3, 1, 7, -1)
        for size in (2, 1 << 16, 1 << 24, (1 << 31) - 1):
            self.closes(header + struct.pack(">i", size), f"Metadata of {size} topics")
            self.closes(
                header + struct.pack(">ih", 1, min(size, 32767)) + b"x", f"a topic name of {size} bytes"
            )
        produce = (
            struct.pack(">hhih", 0, 3, 7, -1)
            + struct.pack(">hhi", -1, 1, 1000)
            + struct.pack(">i", 1)
            + struct.pack(">h", 4)
            + b"wire"
        )
        self.closes(produce + struct.pack(">iii", 1, 0, (1 << 31) - 1), "records of 2 GiB")
        flexible = struct.pack(">hhih", 3, 12, 7, -1) + b"\0"
        for varint in (b"\xff\xff\xff\xff\x07", b"\xff" * 10, b"\x80"):
            self.closes(flexible + varint, f"a count of {varint.hex()}")

    def single_bytes(self):
        with self.connect() as c:
            whole = frame("Metadata", 12, {"Topics": [{"Name": TOPIC}]}, 1)
            for byte in struct.pack(">i", len(whole)) + whole:
                c.send_raw(bytes([byte]))
            answer("Metadata", 12, c.receive_frame(), 1)

    # -- order and time

    def pipelined(self):
        """Two hundred requests of many kinds in one write: as many answers, in the same order."""
        kinds = [
            ("ApiVersions", 3, {"ClientSoftwareName": "compat", "ClientSoftwareVersion": "1"}),
            ("Metadata", 9, {"Topics": [{"Name": TOPIC}]}),
            ("Produce", 9, self.produce()),
            (
                "ListOffsets",
                5,
                {
                    "ReplicaId": -1,
                    "Topics": [{"Name": TOPIC, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}],
                },
            ),
            ("Fetch", 11, self.fetch(0, 0)),
            ("DescribeConfigs", 4, {"Resources": [{"ResourceType": 2, "ResourceName": TOPIC}]}),
        ]
        sent = [kinds[i % len(kinds)] for i in range(200)]
        frames = [frame(api, version, body, i) for i, (api, version, body) in enumerate(sent)]
        with self.connect() as c:
            before = self.end(c)
            c.send_raw(b"".join(struct.pack(">i", len(f)) + f for f in frames))
            offsets = []
            for i, (api, version, _) in enumerate(sent):
                got = answer(api, version, c.receive_frame(), i)
                if api == "Produce":
                    offsets.append(got["Responses"][0]["PartitionResponses"][0]["BaseOffset"])
            c.correlation = 1000
            expect_equal(
                offsets, list(range(before, before + len(offsets))), "offsets of the pipelined batches"
            )

    def waiting_fetch(self):
        with self.connect() as c:
            end, began = self.end(c), time.monotonic()
            fetch = c.send("Fetch", 11, self.fetch(end, 600))
            listed = c.send("Metadata", 9, {"Topics": []})
            c.receive("Fetch", 11, fetch)
            expect(
                time.monotonic() - began > 0.5, "the fetch was answered before its time and without records"
            )
            c.receive("Metadata", 9, listed)

    def fetch_waits(self):
        with self.connect() as c:
            end = self.end(c)
            for wait in (0, 300):
                took = [self.waited(c, end, wait) for _ in range(5)]
                told = f"asked to wait {wait} ms it took {', '.join(f'{t * 1000:.0f}' for t in took)} ms"
                expect(wait / 1000 - 0.02 <= min(took), told)
                # A machine that is busy with other things is late now and then.
                expect(sorted(took)[2] <= wait / 1000 + 0.25, told)

    def waited(self, c, end, wait):
        began = time.monotonic()
        got = c.call("Fetch", 11, self.fetch(end, wait))
        expect_equal(got["Responses"][0]["Partitions"][0]["Records"], "0x", "records at the end")
        return time.monotonic() - began

    def fetch_wakes(self):
        with self.connect() as reader, self.connect() as writer:
            times = []
            for _ in range(10):
                fetch = reader.send("Fetch", 11, self.fetch(self.end(writer), 60_000))
                time.sleep(0.05)
                writer.call("Produce", 9, self.produce())
                # From when the append is acknowledged: how slow the disk is nobody judges here.
                began = time.monotonic()
                got = reader.receive("Fetch", 11, fetch)
                times.append(time.monotonic() - began)
                expect(
                    len(got["Responses"][0]["Partitions"][0]["Records"]) > 2, "the fetch woke without records"
                )
            median = statistics.median(times) * 1000
            expect(
                median < 30, f"a waiting fetch was answered {median:.0f} ms after the append, in the median"
            )
            return f"{median:.1f} ms"

    def no_delay(self):
        """Nagle's algorithm with delayed acknowledgements costs 40 ms; it shows in answers after answers.

        Requests that wait for no disk must be quick in the median. A disk may take as long now and then, and
        for minutes while it writes back what others left: so of those that wait for it the quickest third
        counts, and in one round of many. Nagle's delay leaves no round quick.
        """
        with self.connect() as c:
            end, took = self.end(c), {}
            for api, version, body, share, patience in (
                ("Fetch", 11, self.fetch(max(0, end - 1), 0), 2, 0),
                ("Metadata", 9, {"Topics": [{"Name": TOPIC}]}, 2, 0),
                ("Produce", 9, self.produce(), 3, DISK_SECONDS),
            ):
                until = time.monotonic() + patience
                ms = self.quickest(c, api, version, body, share)
                while ms >= QUICK_MS and time.monotonic() < until:
                    ms = self.quickest(c, api, version, body, share)
                took[api] = ms
                expect(ms < QUICK_MS, f"{ms:.0f} ms for a small {api}, for one in {share}")
            return ", ".join(f"{api} {ms:.1f} ms" for api, ms in took.items())

    @staticmethod
    def quickest(c, api, version, body, share):
        """How many milliseconds the quickest of 40 requests took at most, one in `share` of them."""
        times = []
        for _ in range(40):
            began = time.monotonic()
            c.call(api, version, body)
            times.append(time.monotonic() - began)
        return sorted(times)[len(times) // share] * 1000

    def no_acks(self):
        with self.connect() as c:
            before = self.end(c)
            for _ in range(3):
                c.send("Produce", 9, self.produce(acks=0))
            expect_equal(c.call("Metadata", 9, {"Topics": []})["ThrottleTimeMs"], 0, "throttle time")
            until = time.monotonic() + 60
            while self.end(c) < before + 3:
                expect(time.monotonic() < until, "the unacknowledged records were not stored")

    def idle_connections(self):
        before = self.memory()
        held = [self.connect() for _ in range(500)]
        try:
            for c in held[::50]:
                c.call("Metadata", 9, {"Topics": []})
            self.memory_grew_little(before)
        finally:
            for c in held:
                c.socket.close()

    # -- resources

    def own(self):
        if self.node.pid is None:
            raise Unable("the node is not ours to measure")

    def memory(self):
        return self.node.resident_bytes() if self.node.pid else None

    def memory_grew_little(self, before):
        """The Java heap grows as it likes; only our own node is held to this."""
        if before is not None and self.node.kind == "dohle":
            grown = self.node.resident_bytes() - before
            expect(grown < MEMORY, f"{grown >> 20} MiB more resident memory")

    def no_log_per_request(self):
        self.own()
        lines = lambda: sum(1 for _ in open(self.node.log, "rb"))
        before = lines()
        with self.connect() as c:
            for _ in range(300):
                c.call("Produce", 9, self.produce())
                c.call("Metadata", 9, {"Topics": [{"Name": TOPIC}]})
        time.sleep(0.2)
        expect(lines() - before < 30, f"{lines() - before} lines logged for 600 requests")

    def idle_node(self):
        self.own()
        if self.node.kind != "dohle":
            raise Unable("a bound for our own node only")
        fields = lambda: Path(f"/proc/{self.node.pid}/stat").read_text().rsplit(")", 1)[1].split()
        used = lambda: sum(int(f) for f in fields()[11:13]) / os.sysconf("SC_CLK_TCK")
        shares = []
        # What it was asked for before may take a slow disk a while. No multiple of what it does each five seconds.
        for _ in range(8):
            before, seconds = used(), 4
            time.sleep(seconds)
            shares.append((used() - before) / seconds)
            if len(shares) > 1 and max(shares[-2:]) <= 0.01:
                return f"{max(shares[-2:]):.2%} of a core"
        told = ", ".join(f"{share:.1%}" for share in shares)
        raise Failed(f"{told} of a core while nobody asks for anything")

    # -- the storm

    def storm(self):
        """Frames made of noise and of requests with flipped, cut, doubled and overwritten bytes.

        The generator is seeded, so a failure comes again. What a node answers does not matter; that it
        lives, serves, and keeps its memory does.
        """
        corpus = list(self.corpus())
        with self.connect() as c:  # warm
            for _ in range(50):
                c.call("Produce", 9, self.produce(value=bytes(10000)))
        before = self.memory()
        with ThreadPoolExecutor(WORKERS) as pool:
            rains = [pool.submit(self.rain, SEED + i, corpus, FRAMES // WORKERS) for i in range(WORKERS)]
            answered = [r.result() for r in rains]
        self.memory_grew_little(before)
        grown = "" if before is None else f", memory {(self.memory() - before) / 2**20:+.0f} MiB"
        return f"seed {SEED}, {sum(answered)} answered{grown}"

    def rain(self, seed, corpus, count):
        source, answered, c = random.Random(seed), 0, self.connect(0.15)
        for _ in range(count):
            data = self.mutated(source, corpus)
            try:
                c.send_raw(data)
                c.receive_frame()
                answered += 1
            except (Closed, OSError, WireError):
                # closed, or waiting for bytes that never come: both are answers
                c.socket.close()
                c = self.connect(0.15)
        c.socket.close()
        return answered

    def mutated(self, source, corpus):
        """A frame with its length, one in ten of them noise, one in ten with a wrong length."""
        data = bytearray(source.choice(corpus))
        if source.random() < 0.1:
            data[8:] = source.randbytes(source.randrange(0, 300))
        for _ in range(source.choice((0, 1, 1, 1, 2, 3, 8))):
            kind, at = source.randrange(5), source.randrange(8, max(9, len(data)))
            if kind == 0:
                data[at : at + 1] = bytes([source.randrange(256)])
            elif kind == 1:
                del data[at:]
            elif kind == 2:
                del data[at : at + source.randrange(1, 9)]
            elif kind == 3:
                data[at:at] = source.randbytes(source.randrange(1, 9))
            else:
                data[at : at + 4] = struct.pack(
                    ">i", source.choice((-1, -2, 1 << 20, (1 << 31) - 1, -(1 << 31), 0, 1))
                )
        length = (
            len(data)
            if source.random() > 0.1
            else source.choice((0, 1, len(data) // 2, len(data) + 5, 1 << 20, -5))
        )
        return struct.pack(">i", length) + bytes(data)

    def corpus(self):
        """One frame for each version of each API that we serve, with something in every list.

        Names stay invalid or unknown under most mutations, so that no mutated request creates a million
        partitions or reconfigures the broker: that would test patience, not parsing.
        """
        for api in SERVED:
            for version in request(api).versions():
                body = filled(request(api), version)
                if api in ("CreateTopics", "CreatePartitions"):
                    body |= {"validateOnly": True, "ValidateOnly": True}
                yield frame(api, version, body, 1)


def filled(schema, version):
    """A request with one element in every list and small values in every field."""

    def value(field, type_):
        if type_ in field.structs:
            return struct_(field.structs[type_])
        return {
            "string": "bad/name",
            "bytes": "0x0001",
            "uuid": "00" * 15 + "05",
            "bool": True,
            "float64": 1.0,
            "records": hexed(batch([(b"key", b"value")], TIMESTAMP)),
        }.get(type_, 1)

    def struct_(fields):
        out = {}
        for field in fields:
            if version in field.versions and version not in field.tagged:
                inner = value(field, field.element)
                out[field.name] = [inner] if field.is_array else inner
        return out

    return struct_(schema.fields)
