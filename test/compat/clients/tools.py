"""Kafka's own command-line tools against the node.

They are the Java client as operators use it, and the readers of the files that a node writes: what
DumpLogSegments cannot read, Kafka could not take over. A tool is judged by its exit code and by the numbers
and names in its output, never by its wording.
"""

import json
import re
import subprocess

from harness import install
from harness.report import Unable, expect, expect_equal

from .checks import SOON, now_ms, wait_for

SECONDS = 90
RECORDS = 20000
MAINS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "producer-performance": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-performance": "org.apache.kafka.tools.ConsumerPerformance",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
}


def run(report, node, work, quick):
    """Uses every tool."""
    it = Tools(node, work)
    for name, check in (
        ("kafka-broker-api-versions", it.api_versions),
        ("kafka-cluster cluster-id", it.cluster),
        ("kafka-metadata-quorum describe", it.quorum),
        ("kafka-topics", it.topics),
        ("kafka-configs", it.configs),
        ("kafka-console-producer and -consumer", it.console),
        ("kafka-producer-perf-test and -consumer-perf-test", it.performance),
        ("kafka-verifiable-producer and -consumer", it.verifiable),
        ("kafka-consumer-groups", it.groups),
        ("kafka-get-offsets", it.offsets),
        ("kafka-delete-records", it.delete_records),
        ("kafka-log-dirs", it.log_dirs),
        ("kafka-dump-log of topics", it.dump_topics),
        ("kafka-dump-log of committed offsets", it.dump_offsets),
        ("kafka-dump-log of metadata", it.dump_metadata),
        ("kafka-topics --delete", it.delete),
    ):
        report.check(name, check)


class Tools:
    """The checks; later ones use the topics that earlier ones wrote."""

    def __init__(self, node, work):
        self.node, self.work = node, work
        self.libs = install.kafka_tools() / "libs"
        self.prefix = f"tools-{now_ms() % 10_000_000}"
        self.group = f"{self.prefix}-group"

    def topic(self, name):
        return f"{self.prefix}-{name}"

    def start(self, tool, *arguments, **options):
        heap = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        command = ["java", *heap, "-cp", f"{self.libs}/*", MAINS[tool], *[str(a) for a in arguments]]
        with open(self.work / "commands.log", "a") as log:
            log.write(" ".join(command[7:]) + "\n")
        return subprocess.Popen(
            command,
            stdin=options.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=open(self.work / "stderr.log", "ab"),
            text=True,
            start_new_session=True,
        )

    def tool(self, tool, *arguments, given=None, code=0):
        """Runs a tool on the node; returns what it printed."""
        return self.plain(tool, "--bootstrap-server", self.node.bootstrap, *arguments, given=given, code=code)

    def plain(self, tool, *arguments, given=None, code=0):
        process = self.start(
            tool, *arguments, stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL
        )
        try:
            out, _ = process.communicate(given, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            expect(False, f"{tool} did not end within {SECONDS} s: {out[-200:]}")
        expect_equal(process.returncode, code, f"exit of {tool} ({out[-200:]!r}; {self.work}/stderr.log)")
        return out

    # -- cluster

    def api_versions(self):
        out = self.tool("broker-api-versions")
        for api in ("Produce(0)", "Fetch(1)", "ApiVersions(18)", "JoinGroup(11)"):
            line = next((line for line in out.splitlines() if api in line), "")
            expect("usable" in line and "UNSUPPORTED" not in line, f"{api}: {line!r}")

    def cluster(self):
        out = self.plain("cluster", "cluster-id", "--bootstrap-server", self.node.bootstrap)
        expect(re.search(r"Cluster ID: \S{22}\b", out), f"no cluster id in {out!r}")

    def quorum(self):
        out = self.tool("metadata-quorum", "describe", "--status")
        expect(re.search(r"LeaderId:\s+1\b", out), f"no leader 1 in {out!r}")
        mark = int(re.search(r"HighWatermark:\s+(-?\d+)", out)[1])
        expect(mark > 0, f"high watermark {mark}")
        rows = self.tool("metadata-quorum", "describe", "--replication").splitlines()
        expect(any(row.startswith("1\t") or re.match(r"1\s", row) for row in rows), f"no node 1 in {rows}")
        expect("Leader" in "".join(rows), f"no leader in {rows}")

    # -- topics

    def topics(self):
        topic = self.topic("topic")
        self.tool(
            "topics",
            "--create",
            "--topic",
            topic,
            "--partitions",
            2,
            "--replication-factor",
            1,
            "--config",
            "retention.ms=7200000",
        )
        expect(topic in self.tool("topics", "--list").split(), "the topic is not listed")
        out = self.tool("topics", "--describe", "--topic", topic)
        expect(
            re.search(r"PartitionCount:\s*2\b", out) and "retention.ms=7200000" in out,
            f"described as {out!r}",
        )
        expect_equal(len(re.findall(r"Leader:\s*1\b", out)), 2, "partitions led by node 1")
        self.tool("topics", "--alter", "--topic", topic, "--partitions", 3)
        expect(
            re.search(r"PartitionCount:\s*3\b", self.tool("topics", "--describe", "--topic", topic)),
            "three partitions",
        )
        self.tool("topics", "--create", "--topic", topic, "--partitions", 2, code=1)

    def configs(self):
        topic = self.topic("topic")
        entity = ["--entity-type", "topics", "--entity-name", topic]
        self.tool(
            "configs",
            "--alter",
            *entity,
            "--add-config",
            "max.message.bytes=2000000,cleanup.policy=[compact,delete]",
        )
        out = self.tool("configs", "--describe", *entity)
        for wanted in ("max.message.bytes=2000000", "cleanup.policy=compact,delete", "retention.ms=7200000"):
            expect(wanted in out, f"{wanted} is not in {out!r}")
        self.tool("configs", "--alter", *entity, "--delete-config", "max.message.bytes,cleanup.policy")
        out = self.tool("configs", "--describe", "--all", *entity)
        expect("max.message.bytes=1048588" in out, "the default came not back")
        expect(out.count("synonyms=") >= 20, f"only {out.count('synonyms=')} configs told")
        out = self.tool("configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1")
        expect(out.count("synonyms=") >= 100, f"only {out.count('synonyms=')} configs of a broker told")
        self.tool("configs", "--alter", *entity, "--add-config", "no.such.config=1", code=1)

    def delete(self):
        topic = self.topic("topic")
        self.tool("topics", "--delete", "--topic", topic)
        wait_for(lambda: topic not in self.tool("topics", "--list").split(), SOON, "deletion of the topic")

    # -- records

    def console(self):
        topic = self.topic("console")
        self.tool("topics", "--create", "--topic", topic, "--partitions", 1)
        lines = [f"key {i}\tvalue {i}" for i in range(50)]
        self.tool(
            "console-producer",
            "--topic",
            topic,
            "--reader-property",
            "parse.key=true",
            "--compression-codec",
            "zstd",
            given="\n".join(lines) + "\n",
        )
        got = self.tool(
            "console-consumer",
            "--topic",
            topic,
            "--from-beginning",
            "--max-messages",
            50,
            "--timeout-ms",
            30000,
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "print.offset=true",
            "--group",
            self.group,
        )
        expect_equal(got.splitlines(), [f"Offset:{i}\t{line}" for i, line in enumerate(lines)], "lines read")

    def performance(self):
        topic = self.topic("performance")
        self.tool("topics", "--create", "--topic", topic, "--partitions", 3)
        common = ["--topic", topic]
        out = self.plain(
            "producer-performance",
            *common,
            "--num-records",
            RECORDS,
            "--record-size",
            1000,
            "--throughput",
            -1,
            "--producer-props",
            f"bootstrap.servers={self.node.bootstrap}",
            "compression.type=lz4",
            "acks=all",
        )
        last = out.splitlines()[-1]
        expect(last.startswith(f"{RECORDS} records sent"), f"ended with {last!r}")
        out = self.tool(
            "consumer-performance", *common, "--messages", RECORDS, "--timeout", 30000, "--hide-header"
        )
        rate = out.strip().splitlines()[-1].split(",")
        expect(int(rate[4]) >= RECORDS, f"{rate[4].strip()} records read")
        return f"written at {last.split(',')[1].strip()}"

    def verifiable(self):
        topic, count = self.topic("verifiable"), 2000
        self.tool("topics", "--create", "--topic", topic, "--partitions", 3)
        out = self.tool("verifiable-producer", "--topic", topic, "--max-messages", count, "--acks", -1)
        told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        values = [t["value"] for t in told if t["name"] == "producer_send_success"]
        expect_equal(sorted(int(v) for v in values), list(range(count)), "acknowledged values")
        out = self.tool(
            "verifiable-consumer",
            "--topic",
            topic,
            "--group-id",
            f"{self.prefix}-verifiable",
            "--max-messages",
            count,
            "--reset-policy",
            "earliest",
            "--session-timeout",
            6000,
            "--verbose",
        )
        told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        read = [int(t["value"]) for t in told if t["name"] == "record_data"]
        expect_equal(sorted(read), list(range(count)), "values read")
        expect(
            any(t["name"] == "offsets_committed" and t["success"] for t in told), "no offsets were committed"
        )

    def groups(self):
        listed = self.tool("consumer-groups", "--list").split()
        expect(self.group in listed, f"{self.group} is not among {listed}")
        row = self.group_row()
        expect_equal(row[3:6], ["50", "50", "0"], "committed offset, end and lag")
        state = self.tool("consumer-groups", "--describe", "--group", self.group, "--state")
        expect("Empty" in state, f"state told: {state!r}")
        topic = self.topic("console")
        self.tool(
            "consumer-groups",
            "--reset-offsets",
            "--group",
            self.group,
            "--topic",
            topic,
            "--to-offset",
            20,
            "--execute",
        )
        expect_equal(self.group_row()[3:6], ["20", "50", "30"], "offset, end and lag after the reset")
        self.tool("consumer-groups", "--delete-offsets", "--group", self.group, "--topic", topic)
        self.tool("consumer-groups", "--delete", "--group", f"{self.prefix}-verifiable")
        listed = self.tool("groups", "--list")
        expect(f"{self.prefix}-verifiable" not in listed, "the deleted group is listed")

    def group_row(self):
        out = self.tool("consumer-groups", "--describe", "--group", self.group)
        rows = [line.split() for line in out.splitlines() if line.startswith(self.group)]
        expect_equal(len(rows), 1, f"rows of the group in {out!r}")
        return rows[0]

    def offsets(self):
        topic = self.topic("verifiable")
        for time, wanted in ((-1, 2000), (-2, 0), ("latest", 2000), ("earliest", 0)):
            out = self.tool("get-offsets", "--topic", topic, "--time", time)
            rows = re.findall(rf"{topic}:(\d):(\d+)", out)
            expect_equal([p for p, _ in rows], ["0", "1", "2"], "partitions")
            expect_equal(sum(int(o) for _, o in rows), wanted, f"sum of offsets at {time}")

    def delete_records(self):
        topic, file = self.topic("console"), self.work / "delete.json"
        file.write_text(
            json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 30}]})
        )
        out = self.tool("delete-records", "--offset-json-file", file)
        expect(re.search(r"low_watermark:\s*30\b", out), f"no low watermark 30 in {out!r}")
        out = self.tool("get-offsets", "--topic", topic, "--time", -2)
        expect(f"{topic}:0:30" in out, f"start offset told: {out!r}")

    def log_dirs(self):
        topic = self.topic("performance")
        out = self.tool("log-dirs", "--describe", "--topic-list", topic)
        told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
        (broker,) = told["brokers"]
        partitions = [p for d in broker["logDirs"] for p in d["partitions"]]
        expect_equal(
            sorted(p["partition"] for p in partitions), [f"{topic}-{i}" for i in range(3)], "partitions"
        )
        expect(sum(p["size"] for p in partitions) > 10000, f"sizes {[p['size'] for p in partitions]}")

    # -- files

    def segments(self, name):
        if not self.node.restartable:
            raise Unable("the node's files are not ours to read")
        found = sorted((self.node.folder / "data").glob(f"{name}/*.log"))
        expect(found, f"no segments of {name}")
        return found

    def dump(self, files, *options):
        out = self.plain("dump-log", "--files", ",".join(str(f) for f in files), *options)
        for word in ("not valid", "isvalid: false", "CORRUPT", "Exception", "Found"):
            expect(
                word.lower() not in out.lower(),
                f"{word!r} in {[line for line in out.splitlines() if word.lower() in line.lower()][:2]}",
            )
        return out

    def dump_topics(self):
        files = [f for i in range(3) for f in self.segments(self.topic(f"performance-{i}"))]
        out = self.dump(files, "--deep-iteration")
        expect_equal(len(re.findall(r"^\| offset: ", out, re.M)), RECORDS, "records in the files")
        # not the time index: of an active segment it ends in zeros that only a clean stop cuts
        self.dump(
            [f.with_suffix(".index") for f in files if f.with_suffix(".index").exists()],
            "--index-sanity-check",
        )

    def dump_offsets(self):
        if not self.node.restartable:
            raise Unable("the node's files are not ours to read")
        files = [
            f for f in (self.node.folder / "data").glob("__consumer_offsets-*/*.log") if f.stat().st_size
        ]
        expect(files, "no committed offsets in the node's files")
        out = self.dump(files, "--offsets-decoder", "--print-data-log")
        expect(self.group in out, f"{self.group} is in no record")

    def dump_metadata(self):
        out = self.dump(
            self.segments("__cluster_metadata-0"), "--cluster-metadata-decoder", "--skip-record-metadata"
        )
        for wanted in ("REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD", self.topic("console")):
            expect(wanted in out, f"no {wanted} in the metadata log")
