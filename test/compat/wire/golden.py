"""Answers compared with Kafka's, field by field and byte by byte, in every version.

`golden/answers.jsonl` holds what Apache Kafka answered, one line for an API, a case and a version. The codec
proves of each live answer that its fields make exactly its bytes, so equal fields are equal bytes. Masked
with `*` is only what differs between two nodes or moments: ids that the node draws, ports, paths, clocks,
and the text of error messages (whether there is one is compared). Where a zero, −1, null or empty value would
tell something it is not masked.

ApiVersions is compared by range: each API that the node lists must have Kafka's versions, and it must list
all that `SERVED` names.
"""

import json

from harness.install import HERE
from harness.report import Failed, expect, expect_equal, shorten

from .cases import collect
from .connection import Connection
from .schema import NO_UUID, request

FILE = HERE / "golden" / "answers.jsonl"
VERSIONS_FILE = HERE / "golden" / "api-versions.json"
DELIBERATE_FILE = HERE / "lists" / "golden-differs.tsv"
# What this version of Dohle must serve to a client.
SERVED = """
    Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup
    DescribeGroups ListGroups ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch
    DescribeConfigs AlterConfigs DescribeLogDirs CreatePartitions DeleteGroups IncrementalAlterConfigs OffsetDelete
    DescribeQuorum DescribeCluster DescribeProducers ListConfigResources DescribeTopicPartitions
""".split()
# Fields of any answer that another node fills otherwise.
VOLATILE = {
    "BatchIndexErrorMessage",
    "ClusterId",
    "ErrorMessage",
    "Leader",
    "LogDir",
    "MemberId",
    "Port",
    "ReplicaDirectoryId",
    "SessionId",
    "TopicId",
    "TotalBytes",
    "UsableBytes",
}
# Fields of one API's answers that the same node fills otherwise a moment later: masked whatever they hold.
MOVING = {
    "DescribeQuorum": {
        "HighWatermark",
        "LogEndOffset",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "LeaderEpoch",
    },
    "InitProducerId": {"ProducerId"},
}
# Values that say something whichever node they come from.
TELLING = (None, 0, -1, "", NO_UUID)
# Lists whose order a node is free in, with what they are sorted by.
UNORDERED = {"Configs": "Name", "ConfigResources": "ResourceName"}


def masked(value, api, name=""):
    """An answer without what two equal nodes may tell differently."""
    if isinstance(value, dict):
        return {key: masked(inner, api, key) for key, inner in value.items()}
    if isinstance(value, list):
        items = [masked(inner, api, name) for inner in value]
        return sorted(items, key=lambda item: item[UNORDERED[name]]) if name in UNORDERED else items
    if name in MOVING.get(api, set()) or name in VOLATILE and value not in TELLING:
        return "*"
    return value


def difference(wanted, got, path=""):
    """The first place in which two answers differ, or nothing."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in [*wanted, *(k for k in got if k not in wanted)]:
            if key not in got or key not in wanted:
                side = "missing" if key not in got else "not in Kafka's answer"
                return f"{path}.{key} is {side}: {shorten((wanted | got)[key], 120)}"
            if found := difference(wanted[key], got[key], f"{path}.{key}"):
                return found
        return None
    if isinstance(wanted, list) and isinstance(got, list):
        for i, (w, g) in enumerate(zip(wanted, got)):
            label = w.get("Name") if isinstance(w, dict) and isinstance(w.get("Name"), str) else i
            if found := difference(w, g, f"{path}[{label}]"):
                return found
        if len(wanted) != len(got):
            more = (wanted if len(wanted) > len(got) else got)[min(len(wanted), len(got))]
            return f"{path} has {len(got)} elements instead of {len(wanted)}; the first too many or too few: {shorten(more, 120)}"
        return None
    return (
        None
        if wanted == got and type(wanted) is type(got)
        else f"{path} is {shorten(got, 120)} instead of {shorten(wanted, 120)}"
    )


def read():
    rows = (json.loads(line) for line in FILE.read_text().splitlines())
    return {(row["api"], row["case"], row["version"]): row["answer"] for row in rows}


def bless(report, node, work):
    """Writes what this node answers as the golden answers."""
    answers, failures = collect(node)
    with open(FILE, "w") as out:
        for (api, case, version), answer in answers.items():
            row = {"api": api, "case": case, "version": version, "answer": masked(answer, api)}
            out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    with Connection(node) as connection:
        ranges = api_ranges(
            connection.call("ApiVersions", 4, {"ClientSoftwareName": "compat", "ClientSoftwareVersion": "1"})
        )
    VERSIONS_FILE.write_text(json.dumps(ranges, indent=1) + "\n")
    report.note(f"{len(answers)} answers written, {len(failures)} requests unanswered")
    for key, failure in failures.items():
        report.note(f"unanswered: {key}: {failure}")
    report.succeed("answers written")


def api_ranges(answer):
    return {str(a["ApiKey"]): [a["MinVersion"], a["MaxVersion"]] for a in answer["ApiKeys"]}


def run(report, node, work, quick):
    """Asks everything and compares."""
    report.check("ApiVersions", lambda: api_versions(node))
    golden = read()
    deliberate = {} if node.kind == "kafka" else read_deliberate()
    answers, failures = collect(node)
    cases = {}
    for api, case, version in golden:
        cases.setdefault((api, case), []).append(version)
    for (api, case), versions in cases.items():
        name = (
            f"{api}: {case} (v{versions[0]}–{versions[-1]})"
            if len(versions) > 1
            else f"{api}: {case} (v{versions[0]})"
        )
        if reason := deliberate.get((api, case)):
            report.check(name, lambda: differs(golden, answers, failures, api, case, versions, reason))
        else:
            report.check(name, lambda: compare(golden, answers, failures, api, case, versions))


def read_deliberate():
    """Cases in which we answer otherwise than Kafka on purpose: (API, case) to reason."""
    rows = (line.split("\t") for line in DELIBERATE_FILE.read_text().splitlines())
    return {(row[0], row[1]): row[2] for row in rows if len(row) == 3}


def differs(golden, answers, failures, api, case, versions, reason):
    """A deliberate difference must be one, or its row has to go."""
    try:
        compare(golden, answers, failures, api, case, versions)
    except Failed:
        return f"differs on purpose: {reason}"
    raise Failed("equals Kafka's answer: remove the row in golden-differs.tsv")


def compare(golden, answers, failures, api, case, versions):
    wrong = []
    for version in versions:
        key = (api, case, version)
        if key in answers:
            if found := difference(golden[key], masked(answers[key], api)):
                wrong.append((version, found))
        else:
            wrong.append((version, failures.get(key, "not asked")))
    if wrong:
        raise Failed(
            f"v{wrong[0][0]}{wrong[0][1]}"
            + (f"; {len(wrong)} of {len(versions)} versions" if len(versions) > 1 else "")
        )


def api_versions(node):
    """Every version of ApiVersions tells the same ranges, and they are Kafka's."""
    kafka = json.loads(VERSIONS_FILE.read_text())
    served = {str(request(api).key): api for api in SERVED}
    body = {"ClientSoftwareName": "compat", "ClientSoftwareVersion": "1", "NodeId": -1, "ClusterId": None}
    first = None
    for version in request("ApiVersions").versions():
        with Connection(node) as connection:
            answer = connection.call("ApiVersions", version, body)
        expect_equal(answer["ErrorCode"], 0, f"error of v{version}")
        ranges = api_ranges(answer)
        wrong = {served.get(k, k): r for k, r in ranges.items() if kafka.get(k) != r}
        expect(not wrong, f"v{version}: other ranges than Kafka's: {wrong}")
        missing = [api for key, api in served.items() if key not in ranges]
        expect(not missing, f"v{version}: not served: {missing}")
        expect_equal(first := first or ranges, ranges, f"ranges in v{version}")
    return f"{len(first)} of Kafka's {len(kafka)} APIs"
