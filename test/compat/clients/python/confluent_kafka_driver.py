"""Driver for confluent-kafka: a current librdkafka. The protocol is in `clients/driver.py`."""

import sys
import time

import confluent_kafka as ck
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)
from loop import Client, Digest, KafkaError, Member, chunks, record, unb64

# For a whole call, and for each request in it: a node may wait for a slow disk.
SECONDS = 100
REQUEST_SECONDS = 90


def code_of(error):
    """Kafka's code of an error; librdkafka's own (negative) codes are not Kafka's."""
    return error.code() if error.code() >= -1 else None


def only(futures):
    """The result of a call that the admin client made for one thing."""
    (future,) = futures.values()
    try:
        return future.result(SECONDS)
    except ck.KafkaException as error:
        raise KafkaError(code_of(error.args[0]), str(error)) from None


class GroupMember(Member):
    def __init__(self, config, topic):
        self.config, self.topic = config, topic
        super().__init__()

    def open(self):
        self.consumer = ck.Consumer(self.config)
        self.consumer.subscribe([self.topic])

    def poll(self):
        messages = self.consumer.consume(500, 0.1)
        for message in messages:
            if message.error():
                # a reconnection after the node's restart is librdkafka's own business
                print(message.error(), file=sys.stderr)
        return [(m.partition(), m.offset(), m.value()) for m in messages if not m.error()]

    def assigned(self):
        return [p.partition for p in self.consumer.assignment()]

    def commit_seen(self):
        self.consumer.commit(asynchronous=False)

    def close(self):
        self.consumer.close()


class Confluent(Client):
    name = "confluent-kafka"
    version = f"{ck.version() if isinstance(ck.version(), str) else ck.version()[0]} librdkafka {ck.libversion()[0]}"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.base = {
            "bootstrap.servers": bootstrap,
            "broker.address.family": "v4",
            "socket.timeout.ms": REQUEST_SECONDS * 1000,
        }
        self.admin = AdminClient(self.base)

    def producer(self, order):
        return ck.Producer(
            {
                **self.base,
                "compression.type": order["codec"],
                "partitioner": "murmur2_random",
                "enable.idempotence": order.get("idempotent", False),
                "acks": order.get("acks", -1),
                "message.max.bytes": 16 << 20,
                "message.timeout.ms": SECONDS * 1000,
                "request.timeout.ms": REQUEST_SECONDS * 1000,
                "linger.ms": 5,
            }
        )

    def do_produce(self, order):
        producer = self.producer(order)
        placed = [None] * len(order["records"])

        def delivered(i):
            def call(error, message):
                placed[i] = {"error": code_of(error)} if error else [message.partition(), message.offset()]

            return call

        for i, r in enumerate(order["records"]):
            options = {"on_delivery": delivered(i)}
            if r.get("p") is not None:
                options["partition"] = r["p"]
            if r.get("ts") is not None:
                options["timestamp"] = r["ts"]
            headers = [(name, unb64(data)) for name, data in r.get("h", [])]
            producer.produce(order["topic"], unb64(r["v"]), unb64(r["k"]), headers=headers, **options)
        producer.flush(SECONDS)
        return placed

    def do_bulk_produce(self, order):
        producer = self.producer(order)
        failed = []
        for value in chunks(order):
            while True:
                try:
                    producer.produce(
                        order["topic"], value, partition=0, on_delivery=lambda e, m: e and failed.append(e)
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        if producer.flush(SECONDS) or failed:
            raise KafkaError(None, f"not delivered: {failed[:3]}")

    def reader(self, topic, start):
        consumer = ck.Consumer({**self.base, "group.id": "not-used", "enable.auto.commit": False})
        consumer.assign([ck.TopicPartition(topic, int(p), o) for p, o in start.items()])
        return consumer

    def read(self, order, start, count):
        consumer, until, seen = self.reader(order["topic"], start), time.time() + order["seconds"], 0
        try:
            while seen < count and time.time() < until:
                for message in consumer.consume(min(500, count - seen), 0.5):
                    if message.error():
                        raise KafkaError(code_of(message.error()), str(message.error()))
                    seen += 1
                    yield message
        finally:
            consumer.close()

    def do_consume(self, order):
        return [
            record(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers())
            for m in self.read(order, order["from"], order["count"])
        ]

    def do_bulk_consume(self, order):
        digest = Digest()
        for message in self.read(order, {0: 0}, order["count"]):
            digest.add(message.value())
        return digest.sum.hexdigest()

    def do_offset_for(self, order):
        at = order["at"]
        spec = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest}.get(at)
        spec = spec() if spec else OffsetSpec.for_timestamp(at)
        return only(
            self.admin.list_offsets({ck.TopicPartition(order["topic"], order["partition"]): spec})
        ).offset

    def do_topics(self, order):
        return sorted(self.admin.list_topics(timeout=SECONDS).topics)

    def do_partitions(self, order):
        return len(self.admin.list_topics(order["topic"], timeout=SECONDS).topics[order["topic"]].partitions)

    def do_create_topic(self, order):
        only(
            self.admin.create_topics(
                [NewTopic(order["topic"], order["partitions"], 1, config=order["configs"])]
            )
        )

    def do_delete_topic(self, order):
        only(self.admin.delete_topics([order["topic"]]))

    def do_add_partitions(self, order):
        only(self.admin.create_partitions([NewPartitions(order["topic"], order["total"])]))

    def do_topic_configs(self, order):
        entries = only(self.admin.describe_configs([ConfigResource("topic", order["topic"])]))
        return {name: entry.value for name, entry in entries.items()}

    def do_set_topic_configs(self, order):
        changes = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in order["configs"].items()
        ]
        resource = ConfigResource("topic", order["topic"], incremental_configs=changes)
        only(self.admin.incremental_alter_configs([resource]))

    def do_delete_records(self, order):
        only(
            self.admin.delete_records(
                [ck.TopicPartition(order["topic"], order["partition"], order["before"])]
            )
        )

    def do_groups(self, order):
        return sorted(g.group_id for g in self.admin.list_consumer_groups().result(SECONDS).valid)

    def do_describe_group(self, order):
        group = only(self.admin.describe_consumer_groups([order["group"]]))
        return {"state": group.state.name, "members": len(group.members)}

    def do_delete_group(self, order):
        only(self.admin.delete_consumer_groups([order["group"]]))

    def do_committed(self, order):
        # the consumer's call, not the admin's: it waits while the coordinator loads
        consumer = ck.Consumer({**self.base, "group.id": order["group"]})
        try:
            asked = [ck.TopicPartition(order["topic"], p) for p in order["partitions"]]
            return {p.partition: max(p.offset, -1) for p in consumer.committed(asked, SECONDS)}
        finally:
            consumer.close()

    def member(self, order):
        config = {
            **self.base,
            "group.id": order["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "partition.assignment.strategy": "range",
        }
        return GroupMember(config, order["topic"])


Confluent(sys.argv[1]).serve()
