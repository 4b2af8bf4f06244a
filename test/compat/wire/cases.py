"""Requests whose answers do not depend on the moment: empty answers, errors, descriptions.

`Asker` sends them in every version that Kafka serves and keeps the answers under (API, case, version). The
order matters: some cases change what a later one sees, and they do so the same way on every node.
"""

import time

from harness.report import Failed

from .batches import batch, hexed
from .connection import PATIENCE, Closed, Connection
from .schema import WireError, request

# Far enough back that no node's clock makes it a future one; the topics keep everything.
TIMESTAMP = 1_700_000_000_000
# A topic id and names that no node has.
UNKNOWN_ID = "0123456789abcdef0123456789abcdef"
UNKNOWN = "golden-unknown"
EMPTY, FULL, WRITTEN = "golden-empty", "golden-full", "golden-written"
TOPIC, BROKER = 2, 4
# How long a node may take for what it writes, and a member be silent meanwhile: no answer hangs on how slow a disk is.
LIMIT_MS = 60_000


class Asker:
    """Sends requests and keeps the answers."""

    def __init__(self, node):
        self.node, self.connection = node, Connection(node)
        self.answers, self.failures = {}, {}
        self.ids = {}

    def ask(self, api, version, body):
        """One request; a closed connection is opened anew, and raised."""
        try:
            return self.connection.call(api, version, body)
        except (Closed, OSError, WireError):
            self.connection.socket.close()
            self.connection = Connection(self.node)
            raise

    def keep(self, case, api, version, body):
        """Asks and keeps the answer; what went wrong is kept in its place."""
        key = (api, case, version)
        try:
            self.answers[key] = self.ask(api, version, body)
        except (Closed, OSError, WireError) as error:
            self.failures[key] = f"{type(error).__name__}: {error}"
        return self.answers.get(key)

    def every(self, api, case, body, low=0, high=99):
        """One case in every version; `body` is a dictionary or makes one of a version."""
        for version in request(api).versions():
            if low <= version <= high:
                self.keep(case, api, version, body(version) if callable(body) else body)

    # -- what the cases need

    def prepare(self):
        """Creates the topics and waits until each has a leader and groups have a coordinator."""
        names = {EMPTY: 1, FULL: 2, WRITTEN: 1}
        topics = [
            {
                "Name": n,
                "NumPartitions": c,
                "ReplicationFactor": 1,
                "Configs": [{"Name": "retention.ms", "Value": "-1"}],
            }
            for n, c in names.items()
        ]
        made = self.ask("CreateTopics", 7, {"Topics": topics, "timeoutMs": LIMIT_MS})
        self.ids = {t["Name"]: t["TopicId"] for t in made["Topics"]} | {UNKNOWN: UNKNOWN_ID}
        self.until(
            "leaders",
            lambda: all(
                t["ErrorCode"] == 0
                and all(p["LeaderId"] >= 0 and p["ErrorCode"] == 0 for p in t["Partitions"])
                for t in self.ask("Metadata", 9, {"Topics": [{"Name": n} for n in names]})["Topics"]
            ),
        )
        records = batch([(b"k1", b"v1"), (None, b"v2"), (b"k3", None)], TIMESTAMP)
        body = self.produce_body(9, FULL, records)
        code = lambda: self.ask("Produce", 9, body)["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
        # Kafka may tell a leader a moment before that leader knows
        self.until("a written batch", lambda: code() == 0)

    def prepare_groups(self):
        ask = lambda: self.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["golden"]})
        self.until("a coordinator", lambda: ask()["Coordinators"][0]["ErrorCode"] == 0)
        # not loading any more
        body = {"GroupId": "golden", "Topics": None}
        self.until("a loaded coordinator", lambda: self.ask("OffsetFetch", 7, body)["ErrorCode"] == 0)

    @staticmethod
    def until(what, ready):
        end = time.monotonic() + PATIENCE
        while not ready():
            if time.monotonic() > end:
                raise Failed(f"not within {PATIENCE} s: {what}")
            time.sleep(0.1)

    def topic(self, version, name, from_version, field="Topic"):
        """A topic by its id from a version on, by its name before."""
        return {"TopicId": self.ids[name]} if version >= from_version else {field: name}

    def produce_body(self, version, name, records, acks=-1):
        data = [{"Index": 0, "Records": hexed(records)}]
        topic = self.topic(version, name, 13, "Name") | {"PartitionData": data}
        return {"Acks": acks, "TimeoutMs": LIMIT_MS, "TopicData": [topic]}

    def fetch_body(self, version, name, partition=0, offset=0, epoch=-1):
        parts = [
            {
                "Partition": partition,
                "CurrentLeaderEpoch": epoch,
                "FetchOffset": offset,
                "LastFetchedEpoch": -1,
                "PartitionMaxBytes": 1 << 20,
            }
        ]
        return {
            "ReplicaId": -1,
            "MaxWaitMs": 10,
            "MinBytes": 1,
            "MaxBytes": 1 << 20,
            "SessionEpoch": -1,
            "Topics": [self.topic(version, name, 13) | {"Partitions": parts}],
        }


def collect(node):
    """All answers of a node, and what it failed to answer."""
    asker = Asker(node)
    asker.prepare()
    for part in (metadata, fetch, offsets, produce, topics, configs, cluster):
        part(asker)
    asker.prepare_groups()
    for part in (groups, group_lives, late):
        part(asker)
    asker.connection.socket.close()
    return asker.answers, asker.failures


def metadata(it):
    by_name = lambda *names: {"Topics": [{"Name": n} for n in names], "AllowAutoTopicCreation": False}
    it.every("Metadata", "one topic", by_name(FULL))
    it.every("Metadata", "unknown topic", by_name(UNKNOWN))
    it.every("Metadata", "invalid topic name", by_name("not/valid"))
    it.every("Metadata", "no topics", {"Topics": [], "AllowAutoTopicCreation": False}, low=1)
    by_id = lambda id_: {"Topics": [{"TopicId": id_, "Name": None}], "AllowAutoTopicCreation": False}
    it.every("Metadata", "one topic by id", by_id(it.ids[FULL]), low=12)
    it.every("Metadata", "unknown topic id", by_id(UNKNOWN_ID), low=12)
    allowed = by_name(FULL) | {
        "IncludeTopicAuthorizedOperations": True,
        "IncludeClusterAuthorizedOperations": True,
    }
    it.every("Metadata", "authorized operations", allowed, low=8)
    describe = lambda *names, **more: {"Topics": [{"Name": n} for n in names], **more}
    it.every("DescribeTopicPartitions", "one topic", describe(FULL))
    it.every("DescribeTopicPartitions", "unknown topic", describe(UNKNOWN))
    it.every("DescribeTopicPartitions", "limited", describe(FULL, ResponsePartitionLimit=1))
    cursor = {"TopicName": FULL, "PartitionIndex": 1}
    it.every("DescribeTopicPartitions", "from a cursor", describe(FULL, Cursor=cursor))


def fetch(it):
    for case, name, more in (
        ("empty partition", EMPTY, {}),
        ("records", FULL, {}),
        ("at the end", FULL, {"offset": 3}),
        ("unknown topic", UNKNOWN, {}),
        ("unknown partition", FULL, {"partition": 7}),
        ("offset out of range", EMPTY, {"offset": 100}),
        ("leader epoch too new", EMPTY, {"epoch": 99}),
    ):
        low = 9 if "epoch" in more else 0
        it.every("Fetch", case, lambda v, n=name, m=more: it.fetch_body(v, n, **m), low=low)
    it.every("Fetch", "a new session", lambda v: it.fetch_body(v, EMPTY) | {"SessionEpoch": 0}, low=7)
    missing = lambda v: it.fetch_body(v, EMPTY) | {"SessionId": 77, "SessionEpoch": 5}
    it.every("Fetch", "an unknown session", missing, low=7)
    it.every("Fetch", "nothing asked", lambda v: it.fetch_body(v, EMPTY) | {"Topics": []})


def offsets(it):
    def listing(name, timestamp, partition=0, epoch=-1):
        part = {"PartitionIndex": partition, "CurrentLeaderEpoch": epoch, "Timestamp": timestamp}
        return {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [part]}], "TimeoutMs": 5000}

    for case, body, low in (
        ("latest of an empty partition", listing(EMPTY, -1), 0),
        ("earliest of an empty partition", listing(EMPTY, -2), 0),
        ("a time in an empty partition", listing(EMPTY, TIMESTAMP), 0),
        ("latest", listing(FULL, -1), 0),
        ("earliest", listing(FULL, -2), 0),
        ("a time", listing(FULL, TIMESTAMP), 0),
        ("a time after the last record", listing(FULL, TIMESTAMP + 1), 0),
        ("largest timestamp", listing(FULL, -3), 7),
        ("largest timestamp of an empty partition", listing(EMPTY, -3), 7),
        ("earliest local", listing(FULL, -4), 8),
        ("latest tiered", listing(FULL, -5), 9),
        ("unknown topic", listing(UNKNOWN, -1), 0),
        ("unknown partition", listing(FULL, -1, partition=7), 0),
        ("leader epoch too new", listing(FULL, -1, epoch=99), 4),
    ):
        it.every("ListOffsets", case, body, low=low)

    def ending(name, epoch, current=-1):
        part = {"Partition": 0, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}
        return {"ReplicaId": -2, "Topics": [{"Topic": name, "Partitions": [part]}]}

    it.every("OffsetForLeaderEpoch", "the current epoch", ending(FULL, 0))
    it.every("OffsetForLeaderEpoch", "a later epoch", ending(FULL, 5))
    it.every("OffsetForLeaderEpoch", "unknown topic", ending(UNKNOWN, 0))
    it.every("OffsetForLeaderEpoch", "leader epoch too new", ending(FULL, 0, 99))
    cut = lambda name, offset: {
        "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}],
        "TimeoutMs": LIMIT_MS,
    }
    it.every("DeleteRecords", "beyond the end", cut(FULL, 100))
    it.every("DeleteRecords", "unknown topic", cut(UNKNOWN, 0))
    it.every("DeleteRecords", "nothing", cut(EMPTY, 0))
    producers = lambda name, *parts: {"Topics": [{"Name": name, "PartitionIndexes": list(parts)}]}
    it.every("DescribeProducers", "none", producers(FULL, 0))
    it.every("DescribeProducers", "unknown topic", producers(UNKNOWN, 0))


def produce(it):
    good = batch([(b"key", b"value")], TIMESTAMP)
    flipped = bytearray(good)
    flipped[-1] ^= 0x40
    for case, name, data, acks in (
        ("one batch", WRITTEN, good, -1),
        ("unknown topic", UNKNOWN, good, -1),
        ("wrong CRC", WRITTEN, bytes(flipped), -1),
        ("format 1 bytes", WRITTEN, batch([(b"k", b"v")], TIMESTAMP, magic=1), -1),
        ("format 3 bytes", WRITTEN, batch([(b"k", b"v")], TIMESTAMP, magic=3), -1),
        ("more records told than there are", WRITTEN, batch([(b"k", b"v")], TIMESTAMP, count=5), -1),
        ("gzip that is none", WRITTEN, batch([(b"k", b"v")], TIMESTAMP, attributes=1), -1),
        ("an unknown codec", WRITTEN, batch([(b"k", b"v")], TIMESTAMP, attributes=7), -1),
        ("a control batch", WRITTEN, batch([(b"\0\0\0\1", b"\0\0\0\0\0\0")], TIMESTAMP, attributes=0x20), -1),
        ("cut short", WRITTEN, good[:-3], -1),
        ("two batches for one partition", WRITTEN, good + good, -1),
        ("no bytes", WRITTEN, b"", -1),
        ("too large", WRITTEN, batch([(None, bytes(1_100_000))], TIMESTAMP), -1),
        ("acks of 2", WRITTEN, good, 2),
    ):
        it.every("Produce", case, lambda v, n=name, d=data, a=acks: it.produce_body(v, n, d, a))


def topics(it):
    make = lambda name, parts=1, copies=1, check=False, **configs: {
        "Topics": [
            {
                "Name": name,
                "NumPartitions": parts,
                "ReplicationFactor": copies,
                "Configs": [{"Name": k.replace("_", "."), "Value": v} for k, v in configs.items()],
            }
        ],
        "timeoutMs": 5000,
        "validateOnly": check,
    }
    for case, body in (
        ("exists", make(EMPTY)),
        ("an invalid name", make("not/valid")),
        ("an empty name", make("")),
        ("no partitions", make("golden-new", parts=0)),
        ("too few brokers", make("golden-new", copies=3)),
        ("an unknown config", make("golden-new", no_such="1")),
        ("a config out of range", make("golden-new", retention_ms="-7")),
        ("checked only", make("golden-new", parts=3, check=True, retention_ms="7200000")),
        ("checked only, by defaults", make("golden-new", parts=-1, copies=-1, check=True)),
        ("nothing", {"Topics": [], "timeoutMs": 5000}),
    ):
        low = 4 if "defaults" in case else 0
        it.every("CreateTopics", case, body, low=low)
    delete = lambda v, name: {"Topics": [{"Name": name}]} if v >= 6 else {"TopicNames": [name]}
    it.every("DeleteTopics", "unknown topic", lambda v: delete(v, UNKNOWN) | {"TimeoutMs": 5000})
    it.every(
        "DeleteTopics",
        "unknown topic id",
        {"Topics": [{"Name": None, "TopicId": UNKNOWN_ID}], "TimeoutMs": 5000},
        low=6,
    )
    grow = lambda name, count, check=False: {
        "Topics": [{"Name": name, "Count": count, "Assignments": None}],
        "TimeoutMs": 5000,
        "ValidateOnly": check,
    }
    it.every("CreatePartitions", "unknown topic", grow(UNKNOWN, 2))
    it.every("CreatePartitions", "fewer than there are", grow(FULL, 1))
    it.every("CreatePartitions", "as many as there are", grow(FULL, 2))
    it.every("CreatePartitions", "checked only", grow(FULL, 4, True))


def configs(it):
    describe = lambda type_, name, keys=None, synonyms=False: {
        "Resources": [{"ResourceType": type_, "ResourceName": name, "ConfigurationKeys": keys}],
        "IncludeSynonyms": synonyms,
    }
    it.every("DescribeConfigs", "a topic", describe(TOPIC, EMPTY))
    it.every("DescribeConfigs", "a topic with synonyms", describe(TOPIC, EMPTY, synonyms=True))
    it.every(
        "DescribeConfigs",
        "some keys of a topic",
        describe(TOPIC, EMPTY, ["retention.ms", "no.such", "cleanup.policy"]),
    )
    it.every("DescribeConfigs", "no keys", describe(TOPIC, EMPTY, []))
    it.every("DescribeConfigs", "unknown topic", describe(TOPIC, UNKNOWN))
    it.every("DescribeConfigs", "an invalid topic name", describe(TOPIC, "not/valid"))
    keys = [
        "num.partitions",
        "log.retention.hours",
        "message.max.bytes",
        "auto.create.topics.enable",
        "compression.type",
    ]
    it.every("DescribeConfigs", "some keys of a broker", describe(BROKER, "1", keys, True))
    it.every("DescribeConfigs", "another broker", describe(BROKER, "9"))
    it.every("DescribeConfigs", "not a broker's number", describe(BROKER, "x"))
    it.every("DescribeConfigs", "an unknown type", describe(99, "x"))

    def alter(name, key, value, check=True, operation=0):
        config = {"Name": key, "Value": value, "ConfigOperation": operation}
        return {
            "Resources": [{"ResourceType": TOPIC, "ResourceName": name, "Configs": [config]}],
            "ValidateOnly": check,
        }

    for api in ("IncrementalAlterConfigs", "AlterConfigs"):
        for case, body in (
            ("checked only", alter(EMPTY, "retention.ms", "7200000")),
            ("unknown topic", alter(UNKNOWN, "retention.ms", "7200000")),
            ("an unknown config", alter(EMPTY, "no.such", "1")),
            ("a value of the wrong kind", alter(EMPTY, "retention.ms", "soon")),
            ("a null value", alter(EMPTY, "retention.ms", None)),
        ):
            it.every(api, case, body)
    it.every(
        "IncrementalAlterConfigs", "append to what is no list", alter(EMPTY, "retention.ms", "1", operation=2)
    )
    it.every(
        "IncrementalAlterConfigs", "an unknown operation", alter(EMPTY, "retention.ms", "1", operation=9)
    )
    it.every("ListConfigResources", "topics", {"ResourceTypes": [TOPIC]}, low=1)
    it.every("ListConfigResources", "an unknown type", {"ResourceTypes": [99]}, low=1)
    it.every("ListConfigResources", "client metrics", {}, high=0)


def cluster(it):
    it.every("DescribeCluster", "brokers", {})
    it.every("DescribeCluster", "authorized operations", {"IncludeClusterAuthorizedOperations": True})
    it.every("DescribeCluster", "controllers, asked of a broker", {"EndpointType": 2}, low=1)
    quorum = lambda name: {"Topics": [{"TopicName": name, "Partitions": [{"PartitionIndex": 0}]}]}
    it.every("DescribeQuorum", "metadata", quorum("__cluster_metadata"))
    it.every("DescribeQuorum", "another topic", quorum(EMPTY))
    it.every("DescribeLogDirs", "one partition", {"Topics": [{"Topic": EMPTY, "Partitions": [0]}]})
    it.every("DescribeLogDirs", "unknown topic", {"Topics": [{"Topic": UNKNOWN, "Partitions": [0]}]})
    idempotent = {
        "TransactionalId": None,
        "TransactionTimeoutMs": 60000,
        "ProducerId": -1,
        "ProducerEpoch": -1,
    }
    it.every("InitProducerId", "idempotent", idempotent)


def groups(it):
    it.every("ListGroups", "none", {})
    it.every(
        "FindCoordinator",
        "a group",
        lambda v: {"KeyType": 0, "CoordinatorKeys": ["golden"]} if v >= 4 else {"Key": "golden"},
    )
    it.every("FindCoordinator", "two groups", {"KeyType": 0, "CoordinatorKeys": ["golden", "other"]}, low=4)
    it.every(
        "FindCoordinator",
        "an unknown type",
        lambda v: {"KeyType": 9} | ({"CoordinatorKeys": ["golden"]} if v >= 4 else {"Key": "golden"}),
        low=1,
    )
    group = "golden-none"
    join = lambda g, member: {
        "GroupId": g,
        "SessionTimeoutMs": 10000,
        "RebalanceTimeoutMs": 10000,
        "MemberId": member,
        "ProtocolType": "consumer",
        "Protocols": [{"Name": "range", "Metadata": "0x"}],
    }
    it.every("JoinGroup", "unknown member", join(group, "nobody"))
    it.every("JoinGroup", "an empty group id", join("", ""))
    it.every("JoinGroup", "a session too short", join(group, "") | {"SessionTimeoutMs": 1})
    it.every("JoinGroup", "no protocols", join(group, "") | {"Protocols": []})
    member = {"GroupId": group, "GenerationId": 3, "MemberId": "nobody"}
    it.every("SyncGroup", "unknown member", member | {"ProtocolType": "consumer", "ProtocolName": "range"})
    it.every("Heartbeat", "unknown member", member)
    leave = lambda v: (
        {"GroupId": group} | ({"Members": [{"MemberId": "nobody"}]} if v >= 3 else {"MemberId": "nobody"})
    )
    it.every("LeaveGroup", "unknown member", leave)
    it.every("DescribeGroups", "unknown group", {"Groups": [group]})
    it.every("DeleteGroups", "unknown group", {"GroupsNames": [group]})
    parts = [{"PartitionIndex": 0}]
    it.every(
        "OffsetDelete", "unknown group", {"GroupId": group, "Topics": [{"Name": EMPTY, "Partitions": parts}]}
    )

    def fetched(version, name, partition=0, all_=False):
        if version < 8:
            return {
                "GroupId": group,
                "Topics": None if all_ else [{"Name": name, "PartitionIndexes": [partition]}],
            }
        topic = it.topic(version, name, 10, "Name") | {"PartitionIndexes": [partition]}
        return {
            "Groups": [
                {"GroupId": group, "MemberId": None, "MemberEpoch": -1, "Topics": None if all_ else [topic]}
            ]
        }

    it.every("OffsetFetch", "unknown group", lambda v: fetched(v, EMPTY))
    it.every("OffsetFetch", "unknown topic", lambda v: fetched(v, UNKNOWN))
    it.every("OffsetFetch", "everything of an unknown group", lambda v: fetched(v, EMPTY, all_=True), low=2)

    def commit(version, name, generation, who, partition=0, text=""):
        part = {
            "PartitionIndex": partition,
            "CommittedOffset": 5,
            "CommittedLeaderEpoch": -1,
            "CommittedMetadata": text,
        }
        topic = it.topic(version, name, 10, "Name") | {"Partitions": [part]}
        return {
            "GroupId": group,
            "GenerationIdOrMemberEpoch": generation,
            "MemberId": who,
            "RetentionTimeMs": -1,
            "Topics": [topic],
        }

    it.every("OffsetCommit", "unknown member", lambda v: commit(v, EMPTY, 3, "nobody"))
    it.every("OffsetCommit", "unknown topic", lambda v: commit(v, UNKNOWN, -1, ""))
    it.every("OffsetCommit", "metadata too large", lambda v: commit(v, EMPTY, -1, "", text="x" * 5000))


def group_lives(it):
    """Whole lives of groups of one member, each in the next version of every request."""
    for step in range(10):
        group = f"golden-life-{step}"
        newest = lambda api: min(request(api).versions().start + step, request(api).newest)
        keep = lambda api, body: it.keep(f"in a group's life {step}", api, newest(api), body)
        join = {
            "GroupId": group,
            "SessionTimeoutMs": LIMIT_MS,
            "RebalanceTimeoutMs": LIMIT_MS,
            "MemberId": "",
            "ProtocolType": "consumer",
            "Protocols": [{"Name": "range", "Metadata": "0x0000"}, {"Name": "other", "Metadata": "0x"}],
        }
        joined = keep("JoinGroup", join)
        if joined and joined["ErrorCode"] == 79:
            joined = it.keep(
                f"in a group's life {step}, with its id",
                "JoinGroup",
                newest("JoinGroup"),
                join | {"MemberId": joined["MemberId"]},
            )
        if not joined:
            continue
        me = {"GroupId": group, "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"]}
        assignment = [{"MemberId": joined["MemberId"], "Assignment": "0x000100000000"}]
        keep(
            "SyncGroup", me | {"ProtocolType": "consumer", "ProtocolName": "range", "Assignments": assignment}
        )
        keep("Heartbeat", me)
        topic = it.topic(newest("OffsetCommit"), FULL, 10, "Name")
        part = {
            "PartitionIndex": 1,
            "CommittedOffset": 42 + step,
            "CommittedLeaderEpoch": 0,
            "CommittedMetadata": "told",
        }
        commit = {
            "GroupId": group,
            "GenerationIdOrMemberEpoch": me["GenerationId"],
            "MemberId": me["MemberId"],
            "RetentionTimeMs": -1,
        }
        keep("OffsetCommit", commit | {"Topics": [topic | {"Partitions": [part]}]})
        version = newest("OffsetFetch")
        topics = [it.topic(version, FULL, 10, "Name") | {"PartitionIndexes": [0, 1]}]
        keep(
            "OffsetFetch",
            {
                "GroupId": group,
                "Topics": topics,
                "Groups": [{"GroupId": group, "MemberEpoch": -1, "MemberId": None, "Topics": topics}],
            },
        )
        keep("DescribeGroups", {"Groups": [group]})
        keep("DeleteGroups", {"GroupsNames": [group]})
        leaving = {"GroupId": group, "MemberId": me["MemberId"], "Members": [{"MemberId": me["MemberId"]}]}
        keep("LeaveGroup", leaving)
        it.keep(
            f"after a group's life {step}", "DescribeGroups", newest("DescribeGroups"), {"Groups": [group]}
        )
        keep(
            "OffsetDelete",
            {"GroupId": group, "Topics": [{"Name": FULL, "Partitions": [{"PartitionIndex": 1}]}]},
        )
        it.keep(
            f"after a group's life {step}", "DeleteGroups", newest("DeleteGroups"), {"GroupsNames": [group]}
        )


def late(it):
    """What is asked last, because it ends what the others need."""
    it.every(
        "DescribeLogDirs", "the written partition's size", {"Topics": [{"Topic": FULL, "Partitions": [0]}]}
    )
    cut = {"Topics": [{"Name": FULL, "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": LIMIT_MS}
    it.every("DeleteRecords", "two records", cut)
    it.every("Fetch", "after a deletion of records", lambda v: it.fetch_body(v, FULL, offset=2))
    it.every("Fetch", "before the log's start", lambda v: it.fetch_body(v, FULL, offset=0))
