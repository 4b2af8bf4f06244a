"""Driver for kafka-python: a codec of its own, in pure Python. The protocol is in `clients/driver.py`."""

import logging
import sys
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor
from loop import Client, Digest, KafkaError, Member, chunks, record, unb64

# For a whole call, and for each request in it: a node may wait for a slow disk.
SECONDS = 100
REQUEST_SECONDS = 90
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def code_of(error):
    return getattr(error, "errno", None)


class GroupMember(Member):
    def __init__(self, bootstrap, group, topic):
        self.bootstrap, self.group, self.topic = bootstrap, group, topic
        super().__init__()

    def open(self):
        self.consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        # A leader that joins before it has seen metadata of its topic joins again when it does, and if that
        # takes longer than one poll it never takes up its assignment nor sends a heartbeat, on any broker.
        # What it has seen counts from its subscription on, and each of these waits for metadata.
        self.consumer.subscribe([self.topic])
        self.consumer.partitions_for_topic(self.topic)
        self.consumer.topics()

    def poll(self):
        batches = self.consumer.poll(timeout_ms=100)
        return [(m.partition, m.offset, m.value) for batch in batches.values() for m in batch]

    def assigned(self):
        return [p.partition for p in self.consumer.assignment()]

    def commit_seen(self):
        self.consumer.commit()

    def close(self):
        self.consumer.close()


class KafkaPython(Client):
    name = "kafka-python"
    version = kafka.__version__
    cannot = ["null headers"]

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin_client = None

    @property
    def admin(self):
        if self.admin_client is None:
            self.admin_client = KafkaAdminClient(
                bootstrap_servers=self.bootstrap, request_timeout_ms=REQUEST_SECONDS * 1000
            )
        return self.admin_client

    def producer(self, order):
        codec = order["codec"]
        return KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=order.get("idempotent", False),
            acks="all",
            max_request_size=16 << 20,
            request_timeout_ms=REQUEST_SECONDS * 1000,
            delivery_timeout_ms=SECONDS * 1000,
            linger_ms=5,
        )

    def do_produce(self, order):
        producer = self.producer(order)
        futures = [
            producer.send(
                order["topic"],
                value=unb64(r["v"]),
                key=unb64(r["k"]),
                headers=[(name, unb64(data)) for name, data in r.get("h", [])],
                partition=r.get("p"),
                timestamp_ms=r.get("ts"),
            )
            for r in order["records"]
        ]
        placed = []
        for future in futures:
            try:
                result = future.get(SECONDS)
                placed.append([result.partition, result.offset])
            except kafka.errors.KafkaError as error:
                placed.append({"error": code_of(error)})
        producer.close()
        return placed

    def do_bulk_produce(self, order):
        producer = self.producer(order)
        futures = [producer.send(order["topic"], value=value, partition=0) for value in chunks(order)]
        producer.flush(SECONDS)
        for future in futures:
            future.get(1)
        producer.close()

    def read(self, order, start, count):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        parts = {TopicPartition(order["topic"], int(p)): o for p, o in start.items()}
        consumer.assign(list(parts))
        for part, offset in parts.items():
            consumer.seek(part, offset)
        until, seen = time.time() + order["seconds"], 0
        try:
            while seen < count and time.time() < until:
                for batch in consumer.poll(timeout_ms=500, max_records=count - seen).values():
                    seen += len(batch)
                    yield from batch
        finally:
            consumer.close()

    def do_consume(self, order):
        return [
            record(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
            for m in self.read(order, order["from"], order["count"])
        ]

    def do_bulk_consume(self, order):
        digest = Digest()
        for message in self.read(order, {0: 0}, order["count"]):
            digest.add(message.value)
        return digest.sum.hexdigest()

    def do_offset_for(self, order):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            part, at = TopicPartition(order["topic"], order["partition"]), order["at"]
            if at == "earliest":
                return consumer.beginning_offsets([part])[part]
            if at == "latest":
                return consumer.end_offsets([part])[part]
            found = consumer.offsets_for_times({part: at})[part]
            return -1 if found is None else found.offset
        finally:
            consumer.close()

    def do_topics(self, order):
        return sorted(self.admin.list_topics())

    def do_partitions(self, order):
        (topic,) = self.admin.describe_topics([order["topic"]])
        return len(topic["partitions"])

    def do_create_topic(self, order):
        options = {
            "num_partitions": order["partitions"],
            "replication_factor": 1,
            "configs": order["configs"],
        }
        self.admin.create_topics({order["topic"]: options})

    def do_delete_topic(self, order):
        self.admin.delete_topics([order["topic"]])

    def do_add_partitions(self, order):
        self.admin.create_partitions({order["topic"]: order["total"]})

    def do_topic_configs(self, order):
        resource = ConfigResource(ConfigResourceType.TOPIC, order["topic"])
        found = self.admin.describe_configs([resource], config_filter="all")["topic"][order["topic"]]
        return {name: entry["value"] for name, entry in found.items()}

    def do_set_topic_configs(self, order):
        resource = ConfigResource(ConfigResourceType.TOPIC, order["topic"], order["configs"])
        self.admin.alter_configs([resource])

    def do_delete_records(self, order):
        self.admin.delete_records({TopicPartition(order["topic"], order["partition"]): order["before"]})

    def do_groups(self, order):
        return sorted(group["group_id"] for group in self.admin.list_groups())

    def do_describe_group(self, order):
        group = self.admin.describe_groups([order["group"]])[order["group"]]
        return {"state": group["group_state"], "members": len(group["members"])}

    def do_delete_group(self, order):
        verdict = self.admin.delete_groups([order["group"]])[order["group"]]
        if verdict != "OK":
            raise KafkaError(getattr(kafka.errors, verdict).errno, verdict)

    def do_committed(self, order):
        parts = [TopicPartition(order["topic"], p) for p in order["partitions"]]
        found = self.admin.list_group_offsets({order["group"]: parts})[order["group"]]
        return {part.partition: offset.offset for part, offset in found.items()}

    def member(self, order):
        return GroupMember(self.bootstrap, order["group"], order["topic"])


KafkaPython(sys.argv[1]).serve()
