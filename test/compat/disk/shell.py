"""The metadata as Kafka's own MetadataShell shows it, of snapshots and of logs.

Two clusters of a kind get the same topics, configs and producer ids; then their images must be the same, from
whichever node and file. The shell is of the release before and knows no level of 4.4, so the clusters begin
with that release's levels.
"""

import re
import subprocess
import time

from harness import install
from harness.node import free_port
from harness.report import Failed, expect, expect_equal

from .observe import Observer, differences

MAIN = "org.apache.kafka.shell.MetadataShell"
# Levels that the shell knows and that both nodes serve.
NOT_SERVED = ("group", "share", "streams", "transaction")
LEVELS = [
    *("--standalone", "--release-version", install.TOOLS.rpartition(".")[0]),
    *(word for name in NOT_SERVED for word in ("--feature", f"{name}.version=0")),
]
# A snapshot each second, or one would have to wait for an hour.
OFTEN = {"metadata.log.max.snapshot.interval.ms": "1000"}
# It takes half a second; now and then it waits for ever until it has caught up, whoever wrote the file.
SECONDS = 30
# So often the shell is started on a file, and what it says of an image of nothing.
TRIES, NOTHING_READ = 5, "offset -1,"
# Kinds of resources in requests, and what is done to a config.
TOPIC, BROKER, SET, DELETE = 2, 4, 0, 1
# What a node draws, and what depends on when it wrote and not on what: (pattern, its stand-in).
MASKS = (
    (r"incarnationId=[\w-]{22}", "incarnationId=DRAWN"),
    (r"\bepoch=\d+", "epoch=OFFSET"),
    (r"^offset \d+, epoch \d+, time \S+$", "some moment"),
)


def shell(work, file):
    """What the shell prints of a snapshot or log: {path: what is there}.

    Now and then it does not wait until it has read the file, and shows an image of nothing, or waits for ever and
    shows none: then again.
    """
    image = f"none in {SECONDS} s"
    for _ in range(TRIES):
        printed = run_shell(work, file)
        if printed is None:
            continue
        image = leaves(printed)
        if not image.get("provenance", NOTHING_READ).startswith(NOTHING_READ):
            return image
    raise Failed(f"the shell reads nothing in {file}: {image}")


def run_shell(work, file):
    """What it prints; nothing if it does not end in time."""
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    command += ["-cp", f"{install.kafka_tools() / 'libs'}/*", MAIN, "--snapshot", str(file), "tree", "/image"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return None
    (work / f"shell-{file.parent.parent.parent.name}-{file.name}.txt").write_text(done.stdout + done.stderr)
    said = [line for line in done.stderr.splitlines() if not line.startswith("SLF4J:")]
    expect(done.returncode == 0 and not said, f"exit {done.returncode} of the shell on {file}: {said[:3]}")
    return done.stdout


def leaves(text):
    """The tree as {path: what is there}, each deeper line two columns further right."""
    found, path = {}, []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip(" "))) // 2
        del path[depth:]
        if line.endswith(":"):
            path.append(line.strip()[:-1])
            found.setdefault("/".join(path), "")
        else:
            found["/".join(path)] = line.strip()
    return found


def metadata_shell(it):
    """The shell shows of Dohle's snapshot and of its log what it shows of Kafka's."""
    images, ranges = {}, {}
    for kind in (it.kafka, it.dohle):
        node = kind(kind.__name__, (free_port(), free_port()), OFTEN)
        node.format(LEVELS)
        node.start()
        administer(node)
        snapshot = snapshot_of_all(node)
        node.kill()
        properties = (node.folder / "data" / "meta.properties").read_text()
        directory = re.search(r"directory\.id=(\S+)", properties)[1]
        for file in (snapshot, snapshot.with_name(f"{0:020}.log")):
            image, ranges[kind] = comparable(shell(it.work, file), node, directory)
            images[f"{node.kind}'s {file.suffix[1:]}"] = image
    wanted = images.pop("kafka's checkpoint")
    for name in (
        "configs/TOPIC:grown/retention.ms",
        "configs/BROKER:1/background.threads",
        "topics/byName/grown/4",
    ):
        expect(name in wanted, f"the image of Kafka's snapshot has no {name}")
    for whose, image in images.items():
        wrong = list(differences(image, wanted))
        expect(not wrong, f"{len(wrong)} differences in {whose}: " + "; ".join(wrong[:8]))
    for name, (low, high) in ranges[it.dohle].items():
        theirs = ranges[it.kafka].get(name, (0, 0))
        expect(
            theirs[0] <= low <= high <= theirs[1], f"Dohle says that it can {name} {low}-{high}, not {theirs}"
        )
    return f"{len(wanted)} nodes of the tree"


def administer(node):
    """Leaves something in every part of the image that Dohle writes."""
    observer = Observer(node)
    topic = lambda name, count, assigned=(), **configs: {
        "Name": name,
        "NumPartitions": -1 if assigned else count,
        "ReplicationFactor": -1 if assigned else 1,
        "Assignments": [{"PartitionIndex": i, "BrokerIds": ids} for i, ids in enumerate(assigned)],
        "Configs": [{"Name": key.replace("_", "."), "Value": value} for key, value in configs.items()],
    }
    topics = [
        topic("grown", 3, retention_ms="-1", segment_bytes="1048576"),
        topic("assigned", 0, assigned=[[1], [1]]),
        topic("compacted", 1, cleanup_policy="compact,delete"),
        topic("gone", 2, retention_ms="5"),
    ]
    config = lambda kind, name, operation, key, value: {
        "ResourceType": kind,
        "ResourceName": name,
        "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}],
    }
    configs = [
        config(TOPIC, "grown", DELETE, "segment.bytes", None),
        config(TOPIC, "assigned", SET, "max.message.bytes", "12345"),
        config(BROKER, "", SET, "message.max.bytes", "2000000"),
        config(BROKER, "1", SET, "background.threads", "9"),
    ]
    grown = [{"Name": "grown", "Count": 5, "Assignments": None}]
    for api, version, body, answers in (
        ("CreateTopics", 7, {"Topics": topics, "timeoutMs": 30000}, "Topics"),
        ("CreatePartitions", 3, {"Topics": grown, "TimeoutMs": 30000}, "Results"),
        ("IncrementalAlterConfigs", 1, {"Resources": configs}, "Responses"),
        (
            "DeleteTopics",
            6,
            {"Topics": [{"Name": "gone", "TopicId": "0" * 32}], "TimeoutMs": 30000},
            "Responses",
        ),
    ):
        told = observer.ask(api, version, **body)[answers]
        expect(not any(one["ErrorCode"] for one in told), f"{api}: {told}")
    producer = {"TransactionalId": None, "TransactionTimeoutMs": 0, "ProducerId": -1, "ProducerEpoch": -1}
    until("producer id", lambda: observer.ask("InitProducerId", 4, **producer)["ErrorCode"] == 0)
    coordinator = lambda: observer.ask("FindCoordinator", 4, KeyType=0, CoordinatorKeys=["group"])[
        "Coordinators"
    ]
    until("coordinator of groups", lambda: coordinator()[0]["ErrorCode"] == 0)


def snapshot_of_all(node):
    """The newest snapshot, once it has all that the log has now."""
    part = {"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}
    told = Observer(node).ask("DescribeQuorum", 1, Topics=[part])["Topics"][0]["Partitions"][0]
    end = told["CurrentVoters"][0]["LogEndOffset"]
    folder = node.folder / "data" / "__cluster_metadata-0"
    newest = lambda: max(folder.glob("*.checkpoint"))
    until(f"snapshot up to {end} in {folder}", lambda: int(newest().name[:20]) >= end > 0)
    return newest()


def until(what, ready):
    end = time.monotonic() + SECONDS
    while not ready():
        expect(time.monotonic() < end, f"no {what} within {SECONDS} s")
        time.sleep(0.2)


def comparable(image, node, directory):
    """An image with names for what this node alone has drawn, as its directory's id; and the ranges of features that the node says it
    can, which are told of the broker and of the controller alike.
    """
    names = {directory: "DIRECTORY"}
    for path, value in image.items():
        if match := re.fullmatch(r"topics/byName/([^/]+)/id", path):
            names[value] = f"ID-OF-{match[1]}"
    for port, name in zip(node.ports, ("PORT", "CONTROLLER-PORT")):
        names[f"port={port}"] = f"port={name}"
    found, told = {}, set()
    for path, value in image.items():
        for drawn, name in names.items():
            path, value = path.replace(drawn, name), value.replace(drawn, name)
        for pattern, name in MASKS:
            value = re.sub(pattern, name, value)
        told.update(re.findall(r"supportedFeatures=(\{.*?\})", value))
        found[path] = re.sub(r"supportedFeatures=\{.*?\}", "supportedFeatures=TOLD", value)
    expect_equal(len(told), 1, f"kinds of supported features told by {node.kind}")
    ranges = re.findall(r"([\w.]+): (\d+)(?:-(\d+))?", told.pop())
    return found, {name: (int(low), int(high or low)) for name, low, high in ranges}
