"""Writes what a plan says with librdkafka, then `written` to standard output; on a line of input it goes on
writing to every topic until it is killed. Each acknowledged record becomes a line of the journal:
topic, partition, offset and CRC-32 of the value.
"""

import json
import random
import sys
import time
import zlib

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic

SECONDS = 60
# What a commit is told as long as nobody coordinates its group, on Kafka, too.
NO_COORDINATOR = {
    ck.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ck.KafkaError.COORDINATOR_NOT_AVAILABLE,
    ck.KafkaError.NOT_COORDINATOR,
}
# Where old records' timestamps begin: 2023.
OLD = 1_700_000_000_000


class Writer:
    def __init__(self, bootstrap, plan, journal):
        self.base = {"bootstrap.servers": bootstrap}
        self.plan, self.rng = plan, random.Random(plan["seed"])
        self.journal = open(journal, "a", buffering=1)
        self.admin = AdminClient(self.base)
        self.producers, self.failure = {}, None

    # -- topics

    def create(self, topics):
        new = [NewTopic(t["name"], t["partitions"], 1, config=t["configs"]) for t in topics]
        for future in self.admin.create_topics(new).values():
            future.result(SECONDS)

    def delete(self, names):
        for future in self.admin.delete_topics(names).values():
            future.result(SECONDS)

    # -- records

    def producer(self, topic):
        """One producer for all topics of a kind: batches of several then share connections and ids."""
        kind = (topic["codec"], topic["idempotent"])
        if kind not in self.producers:
            self.producers[kind] = ck.Producer(
                self.base
                | {
                    "compression.type": topic["codec"],
                    "enable.idempotence": topic["idempotent"],
                    "linger.ms": 0,
                    "batch.size": 200_000,
                    "message.timeout.ms": 1000 * SECONDS,
                }
            )
        return self.producers[kind]

    def record(self, topic):
        """A record with everything that one can have."""
        rng = self.rng
        size = rng.randrange(topic["bytes"])
        value = rng.choice([b"text " * (size // 5), rng.randbytes(size)])
        key = rng.choice([None, b"", rng.randbytes(8)])
        if topic["keyed"]:
            key = f"key {rng.randrange(12)}".encode()
        headers = [
            (rng.choice(["h", "", "jméno"]), rng.choice([None, b"", b"value"]))
            for _ in range(rng.randrange(3))
        ]
        now = OLD if topic["old"] else int(time.time() * 1000) - 60_000
        return {
            "topic": topic["name"],
            "partition": rng.randrange(topic["partitions"]),
            "key": key,
            "value": rng.choice([value, value, value, None, b""]),
            "headers": headers,
            # not in order
            "timestamp": now + rng.randrange(50_000),
        }

    def send(self, producer, topic):
        """One round: a few records, together where they go to one partition."""
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            producer.produce(on_delivery=self.acknowledged, **self.record(topic))
        producer.flush(SECONDS)
        if self.failure:
            raise self.failure

    def acknowledged(self, error, message):
        if error:
            self.failure = ck.KafkaException(error)
        else:
            row = (message.topic(), message.partition(), message.offset(), zlib.crc32(message.value() or b""))
            self.journal.write("\t".join(str(field) for field in row) + "\n")

    def write_all(self, topics):
        """The rounds of all topics, in no order."""
        turns = [t for t in topics for _ in range(t["rounds"])]
        self.rng.shuffle(turns)
        for topic in turns:
            self.send(self.producer(topic), topic)

    # -- transactions

    def transact(self, topics, count, leave_open):
        """Transactions over several topics, committed and aborted; the last one may stay open."""
        producers = []
        for i in range(3):
            settings = {"transactional.id": f"id-{i}", "linger.ms": 0, "transaction.timeout.ms": 900_000}
            codec = {"compression.type": self.rng.choice(["none", "lz4"])}
            producers.append(ck.Producer(self.base | settings | codec))
            producers[-1].init_transactions(SECONDS)
        for _ in range(count):
            producer = self.rng.choice(producers)
            self.begin(producer, topics)
            if self.rng.random() < 0.6:
                producer.commit_transaction(SECONDS)
            else:
                producer.abort_transaction(SECONDS)
        if leave_open:
            self.begin(producers[0], topics)
            self.open = producers  # or they would be aborted
        return producers

    def begin(self, producer, topics):
        producer.begin_transaction()
        for _ in range(self.rng.randrange(1, 4)):
            self.send(producer, self.rng.choice(topics))

    # -- everything

    def commit(self, consumer, at):
        """Asks again while there is no coordinator yet: the client finds the new one and leaves that to us."""
        until = time.monotonic() + SECONDS
        while True:
            try:
                consumer.commit(offsets=[at], asynchronous=False)
                return
            except ck.KafkaException as error:
                if error.args[0].code() not in NO_COORDINATOR or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def commit_offsets(self, topics):
        for group in ("group-a", "group-b"):
            consumer = ck.Consumer(self.base | {"group.id": group, "enable.auto.commit": False})
            for topic in self.rng.sample(topics, 4):
                at = ck.TopicPartition(topic["name"], 0, self.rng.randrange(50), metadata="said by the group")
                self.commit(consumer, at)
            consumer.close()

    def delete_records(self, topics):
        consumer = ck.Consumer(self.base | {"group.id": "ends"})
        for topic in topics:
            before = []
            for index in range(topic["partitions"]):
                part = ck.TopicPartition(topic["name"], index)
                low, high = consumer.get_watermark_offsets(part, SECONDS)
                part.offset = low + int((high - low) * topic["delete"])
                before.append(part)
            for future in self.admin.delete_records(before).values():
                future.result(SECONDS)
        consumer.close()

    def everything(self):
        topics = self.plan["topics"]
        self.create(topics)
        plain = [t for t in topics if not t.get("transactional")]
        again = [t for t in topics if t.get("recreate")]
        self.write_all(again)
        self.delete([t["name"] for t in again])
        self.create(again)
        self.write_all(plain)
        self.delete([t["name"] for t in topics if t.get("gone")])
        transactional = [t for t in topics if t.get("transactional")]
        if transactional:
            rounds = sum(t["rounds"] for t in transactional) // 2
            self.transact(transactional, rounds, self.plan["open_transaction"])
        self.delete_records([t for t in topics if t.get("delete")])
        self.commit_offsets([t for t in plain if not t.get("gone")])

    def for_ever(self):
        topics = [t for t in self.plan["topics"] if t["rounds"] and not t.get("gone")]
        plain = [t for t in topics if not t.get("transactional")]
        transactional = [t for t in topics if t.get("transactional")]
        producer = None
        if transactional:
            producer = ck.Producer(self.base | {"transactional.id": "endless", "linger.ms": 0})
            producer.init_transactions(SECONDS)
        while True:
            topic = self.rng.choice(plain)
            self.send(self.producer(topic), topic)
            if producer and self.rng.random() < 0.2:
                self.begin(producer, transactional)
                end = self.rng.choice([producer.commit_transaction, producer.abort_transaction])
                end(SECONDS)


def main():
    bootstrap, plan, journal = sys.argv[1:]
    with open(plan) as file:
        writer = Writer(bootstrap, json.load(file), journal)
    writer.everything()
    print("written", flush=True)
    if sys.stdin.readline():
        writer.for_ever()


main()
