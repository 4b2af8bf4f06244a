"""All that a node tells of its data, asked on the wire.

Kafka and Dohle are asked the same; an observation is made of plain values, so two of them are compared field
by field, record batches byte by byte. The questions depend only on the data.
"""

import json
import struct
import subprocess
import time

from harness import install
from harness.report import expect
from wire.connection import Connection

READER = install.HERE / "disk" / "python" / "read.py"
TOPIC = 2
# What else has configs of its own, and the source that DescribeConfigs gives for them: a broker, a subscription to
# clients' metrics, a group; and the broker that stands for all.
OTHERS = {4: ("BROKER", 2), 16: ("CLIENT_METRICS", 7), 32: ("GROUP", 8)}
ALL_BROKERS = ("", 4, 3)
# Special times of ListOffsets: latest, earliest, newest record, local start, end of what is tiered.
SPECIAL = [-1, -2, -3, -4, -5]
# So many of a partition's own timestamps are looked up.
TIMES = 8
# `producer.id.expiration.ms`.
PRODUCER_SECONDS = 86_400
# KAFKA_STORAGE_ERROR: the log could not be opened.
OFFLINE = 56
# A node may take this long from its first answer to leading all that it has.
SETTLE_SECONDS = 120
# High watermarks that stay for so long are the ends: after a crash they rise as logs become durable.
STABLE_SECONDS = 1.0


class Batch:
    """The head of a record batch, or of an old message, at the start of some bytes."""

    def __init__(self, data, at=0):
        self.base, length = struct.unpack_from(">qi", data, at)
        self.bytes = data[at : at + 12 + length]
        self.is_whole = len(self.bytes) == 12 + length
        self.magic = data[at + 16] if at + 16 < len(data) else None
        if self.is_whole and self.magic == 2:
            fields = struct.unpack_from(">hiqqqhii", self.bytes, 21)
            attributes, delta, _, self.timestamp, self.producer = fields[:5]
            self.last, self.is_control = self.base + delta, bool(attributes & 0x20)
        else:
            self.last, self.is_control = self.base, False
            self.timestamp = struct.unpack_from(">q", self.bytes, 18)[0] if self.magic == 1 else -1


def batches(data):
    """The whole batches at the start of some bytes."""
    at = 0
    while at + 17 <= len(data):
        batch = Batch(data, at)
        if not batch.is_whole:
            return
        yield batch
        at += len(batch.bytes)


class Observer:
    """Asks one node."""

    def __init__(self, node):
        self.node, self.connection = node, Connection(node, 30)
        self.leaders = {}

    def ask(self, api, version, **body):
        return self.connection.call(api, version, body)

    def all(self):
        """Everything, as {what: {whose: value}}; of partitions that are offline only that they are."""
        metadata = self.ask("Metadata", 12, Topics=None)
        topics = {t["Name"]: t for t in metadata["Topics"]}
        self.leaders = {
            (name, p["PartitionIndex"]): p["LeaderEpoch"]
            for name, t in topics.items()
            for p in t["Partitions"]
        }
        self.has_groups = "__consumer_offsets" in topics
        offline = self.settle(list(self.leaders))
        parts = [p for p in self.leaders if p not in offline]
        found = {
            "offline": {label(p): True for p in offline},
            "cluster": {"id": metadata["ClusterId"]},
            "features": self.features(),
            "topics": {n: [t["TopicId"], len(t["Partitions"]), t["IsInternal"]] for n, t in topics.items()},
            "configs": self.configs(sorted(topics)),
            "groups": self.groups(),
            "group types": self.group_types(),
            "producers": self.producers(parts),
            "epochs": self.epochs(parts),
            "offsets": self.offsets(parts, SPECIAL),
        }
        records, aborted = {}, {}
        for part in parts:
            records[label(part)] = self.records(part, found["offsets"][label(part)])
            aborted[label(part)] = self.committed(part, found["offsets"][label(part)])
        found |= {"records": records, "committed": aborted, "times": self.times(parts, records)}
        self.connection.socket.close()
        return found

    def settle(self, parts):
        """Waits until every partition is led to its end and every group's coordinator has read its own: a node
        serves before that. Returns the partitions that are offline.
        """
        # so many names that each partition of the offsets topic has some
        groups = [{"GroupId": f"nobody-{i}", "Topics": []} for i in range(32)]
        until, known, since = time.monotonic() + SETTLE_SECONDS, None, 0.0
        while True:
            ends, epochs = self.offsets(parts, [-1]), self.epochs(parts)
            codes = {p: {a[0] for of in (ends, epochs) for a in of[label(p)].values()} for p in parts}
            offline = [p for p in parts if OFFLINE in codes[p]]
            wrong = {code for p in parts if p not in offline for code in codes[p]}
            if self.has_groups:
                wrong |= {g["ErrorCode"] for g in self.ask("OffsetFetch", 8, Groups=groups)["Groups"]}
            if wrong - {0} or ends != known:
                known, since = ends, time.monotonic()
            elif time.monotonic() - since > STABLE_SECONDS:
                return offline
            expect(time.monotonic() < until, f"not settled within {SETTLE_SECONDS} s: errors {wrong}")
            time.sleep(0.1)

    def features(self):
        answer = self.ask("ApiVersions", 3, ClientSoftwareName="compat", ClientSoftwareVersion="1")
        return {f["Name"]: f["MaxVersionLevel"] for f in answer.get("FinalizedFeatures", [])}

    def configs(self, topics):
        resources = [{"ResourceType": TOPIC, "ResourceName": n, "ConfigurationKeys": None} for n in topics]
        answer = self.ask("DescribeConfigs", 4, Resources=resources)
        dynamic = 1
        return {
            r["ResourceName"]: {c["Name"]: c["Value"] for c in r["Configs"] if c["ConfigSource"] == dynamic}
            for r in answer["Results"]
        }

    def resources(self):
        """Configs that other resources than topics have been given: {kind:name: {key: value}}."""
        listed = self.ask("ListConfigResources", 1, ResourceTypes=list(OTHERS))["ConfigResources"]
        named = [(r["ResourceName"], r["ResourceType"], OTHERS[r["ResourceType"]][1]) for r in listed]
        found = {}
        for name, kind, source in (*named, ALL_BROKERS):
            asked = {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": None}
            (told,) = self.ask("DescribeConfigs", 4, Resources=[asked])["Results"]
            expect(not told["ErrorCode"], f"configs of {name!r}: error {told['ErrorCode']}")
            own = {c["Name"]: c["Value"] for c in told["Configs"] if c["ConfigSource"] == source}
            found[f"{OTHERS[kind][0]}:{name}"] = own
        return found

    def group_types(self):
        """Of every group its type and the kind of its protocol."""
        listed = self.ask("ListGroups", 5)["Groups"]
        return {g["GroupId"]: [g["GroupType"], g["ProtocolType"]] for g in listed}

    def groups(self):
        """Committed offsets of every group."""
        ids = [g["GroupId"] for g in self.ask("ListGroups", 4)["Groups"]]
        if not ids:
            return {}
        answer = self.ask("OffsetFetch", 8, Groups=[{"GroupId": g, "Topics": None} for g in ids])
        told = lambda p: [p["CommittedOffset"], p["Metadata"], p["ErrorCode"], p["CommittedLeaderEpoch"]]
        return {
            g["GroupId"]: {
                label((t["Name"], p["PartitionIndex"])): told(p) for t in g["Topics"] for p in t["Partitions"]
            }
            for g in answer["Groups"]
        }

    def producers(self, parts):
        answer = self.ask("DescribeProducers", 0, Topics=by_topic(parts, "PartitionIndexes"))
        return {
            label((t["Name"], p["PartitionIndex"])): [
                p["ErrorCode"],
                {f"producer {a['ProducerId']}": {k: v for k, v in a.items()} for a in p["ActiveProducers"]},
            ]
            for t in answer["Topics"]
            for p in t["Partitions"]
        }

    def epochs(self, parts):
        """Where each leader epoch up to the current one ends."""
        found = {label(p): {} for p in parts}
        for epoch in range(max(self.leaders.values(), default=-1) + 1):
            asked = [p for p in parts if self.leaders[p] > epoch]
            topics = by_topic(asked, "Partitions", lambda i: {"Partition": i, "LeaderEpoch": epoch})
            topics = [{"Topic": t.pop("Name"), **t} for t in topics]
            if not topics:
                continue
            for t in self.ask("OffsetForLeaderEpoch", 4, ReplicaId=-1, Topics=topics)["Topics"]:
                for p in t["Partitions"]:
                    end = [p["ErrorCode"], p["LeaderEpoch"], p["EndOffset"]]
                    found[label((t["Topic"], p["Partition"]))][epoch] = end
        return found

    def offsets(self, parts, times):
        """ListOffsets at each time, of all records and of committed ones; a time may differ by partition."""
        found = {label(p): {} for p in parts}
        for isolation in (0, 1):
            for when in times:
                for part, answer in self.list_offsets({p: when for p in parts}, isolation):
                    found[label(part)][f"{when} {isolation}"] = answer
        return found

    def list_offsets(self, times, isolation):
        topics = by_topic(times, "Partitions")
        for topic in topics:
            topic["Partitions"] = [
                {"PartitionIndex": i, "Timestamp": times[topic["Name"], i]} for i in topic["Partitions"]
            ]
        answer = self.ask("ListOffsets", 9, ReplicaId=-1, IsolationLevel=isolation, Topics=topics)
        for t in answer["Topics"]:
            for p in t["Partitions"]:
                told = [p["ErrorCode"], p["Offset"], p["Timestamp"], p["LeaderEpoch"]]
                yield (t["Name"], p["PartitionIndex"]), told

    def times(self, parts, records):
        """Look-ups of timestamps that batches of the partition bear, and of the ones right behind."""
        own = {}
        for part in parts:
            data = bytes.fromhex(records[label(part)]["bytes"])
            stamps = sorted({b.timestamp for b in batches(data) if b.timestamp >= 0})
            picked = stamps[:: max(1, len(stamps) // TIMES)]
            own[part] = [t + more for t in picked for more in (0, 1)]
        found = {label(p): {} for p in parts}
        for turn in range(max((len(stamps) for stamps in own.values()), default=0)):
            times = {p: stamps[turn] for p, stamps in own.items() if turn < len(stamps)}
            for part, answer in self.list_offsets(times, 0):
                found[label(part)][times[part]] = answer
        return found

    def fetch(self, part, offset, isolation):
        asked = {"Partition": part[1], "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
        asked |= {"CurrentLeaderEpoch": -1, "LastFetchedEpoch": -1, "LogStartOffset": -1}
        answer = self.ask(
            "Fetch",
            12,
            ReplicaId=-1,
            MaxWaitMs=0,
            MinBytes=0,
            MaxBytes=1 << 22,
            IsolationLevel=isolation,
            SessionEpoch=-1,
            Topics=[{"Topic": part[0], "Partitions": [asked]}],
        )
        (topic,) = answer["Responses"]
        (told,) = topic["Partitions"]
        return told

    def records(self, part, offsets):
        """High watermark, log start, and every byte from the log start on."""
        start, end = offsets["-2 0"][1], offsets["-1 0"][1]
        data, told, next_ = bytearray(), None, start
        while told is None or next_ < end:
            told = self.fetch(part, next_, 0)
            if told["ErrorCode"]:
                return {"error": told["ErrorCode"], "bytes": data.hex()}
            got = list(batches(bytes.fromhex((told["Records"] or "0x")[2:])))
            if not got and next_ < end:
                # the rest of a compacted log may hold nothing
                break
            for batch in got:
                if batch.last >= next_:
                    data += batch.bytes
                    next_ = batch.last + 1
        return {
            "high watermark": told["HighWatermark"],
            "log start": told["LogStartOffset"],
            "bytes": data.hex(),
        }

    def committed(self, part, offsets):
        """Last stable offset, and the aborted transactions that a consumer is told at a few offsets."""
        start, end = offsets["-2 1"][1], offsets["-1 1"][1]
        found = {}
        for offset in sorted({start, (start + end) // 2, end}):
            told = self.fetch(part, offset, 1)
            if told["ErrorCode"]:
                found[str(offset)] = {"error": told["ErrorCode"]}
                continue
            aborted = told["AbortedTransactions"] or []
            data = bytes.fromhex((told["Records"] or "0x")[2:])
            found[str(offset)] = {
                "last stable": told["LastStableOffset"],
                # which ones depends on how far the answer reaches, which the node may choose
                "aborted": sorted([a["ProducerId"], a["FirstOffset"]] for a in aborted),
                "batches": [[b.base, b.last] for b in batches(data)],
            }
        return found


def label(part):
    return f"{part[0]}-{part[1]}"


def by_topic(parts, field, make=lambda index: index):
    found = {}
    for name, index in sorted(parts):
        found.setdefault(name, []).append(make(index))
    return [{"Name": name, field: indexes} for name, indexes in found.items()]


def observe(node, *more):
    """All that the node tells on the wire, and what a consumer sees; `more` is for the program that reads."""
    found = Observer(node).all()
    command = [install.python(), READER, node.bootstrap, *more]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    expect(done.returncode == 0, f"the reader: {done.stderr[-400:]}")
    read = json.loads(done.stdout)
    found["consumed"] = read["seen"]
    return found, {p: {int(o): crc for o, crc in v.items()} for p, v in read["values"].items()}


def surviving(live):
    """What of a running node's state is there after a restart: producers are forgotten by the time of their
    last record, which for old records is at once.
    """
    fresh = (time.time() - PRODUCER_SECONDS) * 1000
    kept = lambda told: {k: p for k, p in told.items() if p["LastTimestamp"] > fresh}
    return live | {"producers": {p: [code, kept(told)] for p, (code, told) in live["producers"].items()}}


def comparable(seen, wanted):
    """Two observations without what may differ, for reasons given here."""
    seen, wanted = (alike(o, seen["epochs"], wanted["epochs"]) for o in (seen, wanted))
    for part, record in wanted["records"].items():
        if may_be_blind(record["bytes"], wanted["offsets"][part]):
            times = [of["times"][part] for of in (seen, wanted) if part in of["times"]]
            blind = {t for of in times for t, told in of.items() if told[1] == -1}
            for of in (seen, wanted):
                of["times"][part] = {t: told for t, told in of["times"][part].items() if t not in blind}
    return seen, wanted


def as_found(since, *observations):
    """Observations without what Kafka's transaction coordinator has written since that time (milliseconds): of a
    transaction whose end was decided before a kill it writes the markers that are missing at its start, and notes
    that all is done. Dohle has no such coordinator yet. What was there before is compared byte by byte all the same.
    """
    kept = lambda p, data: (b for b in batches(bytes.fromhex(data)) if not is_coordinators(p, b, since))
    older = lambda p, data: "".join(b.bytes.hex() for b in kept(p, data))
    logs = [{p: r["bytes"] for p, r in told["records"].items()} for told in observations]
    grown = {p for log in logs for p, data in log.items() if older(p, data) != data}
    for told, log in zip(observations, logs):
        found = {p: older(p, data) for p, data in log.items() if p in grown}
        rest = {what: {w: v for w, v in of.items() if w not in grown} for what, of in told.items()}
        yield rest | {"found": found}


def is_coordinators(partition, batch, since):
    """Whether a transaction coordinator has written a batch since that time."""
    return batch.timestamp >= since and (batch.is_control or partition.startswith("__transaction_state-"))


def alike(observation, *epochs):
    """Each start of a node begins a leader epoch: only those are compared that both know, and an end of the
    log is in whichever epoch is the current one.
    """
    known = {p: set(epochs[0][p]) & set(epochs[1].get(p, ())) for p in epochs[0]}
    ends = {
        p: {e: told for e, told in of.items() if e in known.get(p, ())}
        for p, of in observation["epochs"].items()
    }
    offsets = {}
    for part, answers in observation["offsets"].items():
        end = answers["-1 0"][1]
        offsets[part] = {
            which: told[:3] if told[1] == end or which.startswith("-1 ") else told
            for which, told in answers.items()
        }
    return observation | {"epochs": ends, "offsets": offsets, "times": dict(observation["times"])}


def may_be_blind(data, offsets):
    """Whether a segment may be newer by what is known of it than its records are: it begins with offsets that
    are all cleaned away, or with messages of format 0, and counts as new as its file; or its newest records
    are deleted, for the log starts behind them.

    Kafka looks for a timestamp in the first segment that is new enough, and if it is not there tells that no
    record is so late. Dohle looks on.
    """
    found, start = list(batches(bytes.fromhex(data))), offsets["-2 0"][1]
    return bool(found) and (start > 0 or found[0].base > start or any(b.timestamp < 0 for b in found))


def differences(got, wanted, path=()):
    """Where two observations differ, as lines."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in sorted(got.keys() | wanted.keys(), key=str):
            missing = "nothing"
            yield from differences(got.get(key, missing), wanted.get(key, missing), (*path, str(key)))
    elif got != wanted:
        yield f"{' / '.join(path)}: {told(got, wanted)}"


def told(got, wanted):
    """A difference in short; of long texts where it begins."""
    if isinstance(got, str) and isinstance(wanted, str) and max(len(got), len(wanted)) > 200:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        return f"{len(got) // 2} bytes instead of {len(wanted) // 2}, other from byte {at // 2} on"
    return f"{got!r} instead of {wanted!r}"
