"""What a node and its files tell of a golden directory, in the words of manifest.tsv, and what of it is not compared.

What Dohle serves is asked on the wire. ACLs, quotas and SCRAM credentials it only keeps: they are read from the
snapshot that it writes, and transactions from their coordinator's log, by Kafka's own tool.
"""

import json
import re
from base64 import urlsafe_b64encode
from fnmatch import fnmatchcase

from harness.lists import LISTS
from harness.report import expect

LEFT_OUT = LISTS / "manifest-differs.tsv"
# Numbers in records, as Kafka's clients call them.
RESOURCES = {2: "TOPIC", 3: "GROUP", 4: "CLUSTER", 5: "TRANSACTIONAL_ID", 6: "DELEGATION_TOKEN", 7: "USER"}
PATTERNS = {3: "LITERAL", 4: "PREFIXED"}
OPERATIONS = {2: "ALL", 3: "READ", 4: "WRITE", 5: "CREATE", 6: "DELETE", 7: "ALTER", 8: "DESCRIBE"}
PERMISSIONS = {2: "DENY", 3: "ALLOW"}
MECHANISMS = {1: "SCRAM_SHA_256", 2: "SCRAM_SHA_512"}
TRANSACTIONS = (
    *("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"),
    *("Dead", "PrepareEpochFence"),
)


def rows(text, sample):
    """What Kafka told: {(kind, name): {field: value}}."""
    found = {}
    for line in text.splitlines():
        of, kind, name, field, value = line.split("\t")
        if of == sample:
            put(found, kind, name, field, value)
    return found


def put(found, kind, name, field, value):
    fields = found.setdefault((kind, name), {})
    expect(field not in fields, f"{kind} {name} {field} twice")
    fields[field] = value


def observed(seen, configs):
    """The same of an observation, and of what configs other resources than topics have."""
    found = {("cluster", "id"): {"-": seen["cluster"]["id"]}}
    for name, level in seen["features"].items():
        put(found, "feature", name, "level", str(level))
    for name, (topic_id, count, _) in seen["topics"].items():
        text = urlsafe_b64encode(bytes.fromhex(topic_id)).decode().rstrip("=")
        found["topic", name] = {"id": text, "partitions": str(count)}
        found["topic", name] |= {f"config {key}": value for key, value in seen["configs"][name].items()}
    for resource, values in configs.items():
        for key, value in values.items():
            put(found, "config", resource, key, value)
    for part in seen["offsets"]:
        found["partition", part] = partition(seen, part)
    for part, (_, producers) in seen["producers"].items():
        for p in producers.values():
            state = (
                f"epoch {p['ProducerEpoch']} last_sequence {p['LastSequence']} last_timestamp {p['LastTimestamp']} "
                f"coordinator_epoch {p['CoordinatorEpoch']} txn_start {p['CurrentTxnStartOffset']}"
            )
            put(found, "producer", part, f"id {p['ProducerId']}", state)
    for group, (kind, protocol) in seen["group types"].items():
        found["group", group] = {"type": kind.capitalize(), "protocol": protocol}
        for part, (offset, metadata, _, epoch) in seen["groups"][group].items():
            text = f"{offset} epoch {'-' if epoch < 0 else epoch} metadata {metadata}"
            put(found, "group", group, f"committed {part}", text)
    return found


def partition(seen, part):
    answers = seen["offsets"][part]
    newest = answers["-3 0"]
    fields = {
        "log_start_offset": str(answers["-2 0"][1]),
        "log_end_offset": str(seen["records"][part]["high watermark"]),
        "high_watermark": str(answers["-1 0"][1]),
        "last_stable_offset": str(answers["-1 1"][1]),
        "max_timestamp": f"{newest[2]}@{newest[1]}",
    }
    for isolation, (count, first, last, digest) in seen["consumed"].get(part, {}).items():
        fields |= {f"{isolation}_records": str(count), f"{isolation}_first_last": f"{first}..{last}"}
        fields[f"{isolation}_sha256"] = digest
    return fields


def kept(printed):
    """ACLs, quotas and credentials, of what DumpLogSegments prints of a metadata snapshot."""
    found, quotas, users = {}, {}, {}
    for record in map(json.loads, re.findall(r" payload: (\{.*\})$", printed, re.M)):
        kind, data = record["type"], record["data"]
        if kind == "ACCESS_CONTROL_ENTRY_RECORD":
            resource = (
                f"{RESOURCES[data['resourceType']]} {data['resourceName']} {PATTERNS[data['patternType']]}"
            )
            rule = f"{OPERATIONS[data['operation']]} {PERMISSIONS[data['permissionType']]}"
            put(found, "acl", resource, "-", f"{data['principal']} {data['host']} {rule}")
        elif kind == "CLIENT_QUOTA_RECORD":
            entity = {of["entityType"]: of["entityName"] or "null" for of in data["entity"]}
            quotas.setdefault(java_map(entity), {})[data["key"]] = data["value"]
        elif kind == "USER_SCRAM_CREDENTIAL_RECORD":
            credential = f"{MECHANISMS[data['mechanism']]}:{data['iterations']}"
            users.setdefault(data["name"], []).append(credential)
    for entity, values in quotas.items():
        put(found, "quota", entity, "-", java_map(values))
    for user, credentials in users.items():
        put(found, "scram", user, "-", java_list(credentials))
    return found


def transactions(printed):
    """The last state of each transactional id, of what DumpLogSegments prints of the coordinator's logs."""
    last = {}
    for key, value in re.findall(r" key: (\{.*?\}) payload: (.*)$", printed, re.M):
        last[json.loads(key)["data"]["transactionalId"]] = value
    found = {}
    for name, value in last.items():
        if value.startswith("{"):  # anything else tells that the id is gone
            data = json.loads(value)["data"]
            topics = data["transactionPartitions"] or ()
            parts = [f"{topic['topic']}-{i}" for topic in topics for i in topic["partitionIds"]]
            state = (
                f"{TRANSACTIONS[data['transactionStatus']]} producer {data['producerId']} epoch {data['producerEpoch']} "
                f"partitions {java_list(parts)} timeout {data['transactionTimeoutMs']}"
            )
            put(found, "transaction", name, "state", state)
    return found


def java_map(values):
    return "{" + ", ".join(f"{key}={value}" for key, value in sorted(values.items())) + "}"


def java_list(values):
    return "[" + ", ".join(sorted(values)) + "]"


# Nothing is told.
ABSENT = "absent"


class LeftOut:
    """Rows of a sample in which the two may differ, each for the reason that it tells.

    What Kafka tells and what Dohle tells are patterns, or that it is absent.
    """

    def __init__(self, table, sample):
        rows = [line.split("\t") for line in table.splitlines()[1:]]
        expect(all(len(row) == 7 and row[6] for row in rows), f"rows without a reason: {rows}")
        self.rows = {tuple(row[1:6]): 0 for row in rows if fnmatchcase(sample, row[0])}

    def covers(self, kind, name, field, values):
        """Whether what differs there may: Kafka's value and Dohle's are what a row tells of them."""
        for row in self.rows:
            where, told = row[:3], row[3:]
            if all(map(fnmatchcase, (kind, name, field), where)) and all(map(is_told, values, told)):
                self.rows[row] += 1
                return True
        return False

    def useless(self):
        """Rows that nothing needed."""
        return [" ".join(row) for row, count in self.rows.items() if not count]


def is_told(value, told):
    if value is None or told == ABSENT:
        return value is None and told == ABSENT
    return fnmatchcase(value, told)


def differences(seen, wanted, left_out):
    """Where a node tells other than Kafka told, as lines."""
    for kind, name in sorted(wanted.keys() | seen.keys()):
        theirs, ours = wanted.get((kind, name), {}), seen.get((kind, name), {})
        for field in sorted(theirs.keys() | ours.keys()):
            values = (theirs.get(field), ours.get(field))
            if values[0] != values[1] and not left_out.covers(kind, name, field, values):
                yield f"{kind} {name} {field}: {values[1]} instead of {values[0]}"
    for row in left_out.useless():
        yield f"{row}: left out, and nothing differs"
