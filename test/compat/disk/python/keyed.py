"""Prepares topics to be compacted, with librdkafka: `keyed.py BOOTSTRAP create|write PHASE|configure JSON`.

The same phase gives the same records, but for what a transaction coordinator stamps. Segments are closed by
time: records of most topics carry times far apart, those of transactions the time at which they are sent.
"""

import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

SECONDS = 60
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Nothing is compacted while it is written.
CONFIGS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "segment.ms": "60000",
    "index.interval.bytes": "200",
    "delete.retention.ms": "1",
}
TOPICS = {
    "plain": {},
    "idempotent": {},
    "append-time": {"message.timestamp.type": "LogAppendTime", "segment.ms": "500"},
    "transactional": {"segment.ms": "1000"},
    "interleaved": {"segment.ms": "1000"},
}


class Writer:
    def __init__(self, bootstrap):
        self.base = {"bootstrap.servers": bootstrap, "log_level": 0}
        self.admin = AdminClient(self.base)

    def create(self):
        topics = [NewTopic(name, 1, 1, config=CONFIGS | more) for name, more in TOPICS.items()]
        for future in self.admin.create_topics(topics).values():
            future.result(SECONDS)

    def configure(self, values):
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in values.items()
        ]
        resources = [ConfigResource("TOPIC", name, incremental_configs=entries) for name in TOPICS]
        for future in self.admin.incremental_alter_configs(resources).values():
            future.result(SECONDS)

    def producer(self, codec, **more):
        return ck.Producer(self.base | {"compression.type": codec, "linger.ms": 20} | more)

    def write(self, phase):
        """All topics at once: most of the time of each goes by in waiting."""
        # Hours ago, and an hour later in each phase.
        self.start = int(time.time() * 1000) - (6 - phase) * 3_600_000
        ways = {
            "plain": self.records,
            "idempotent": self.producers,
            "append-time": self.records,
            "transactional": self.transactions,
            "interleaved": self.transactions,
        }
        with ThreadPoolExecutor(len(ways)) as pool:
            turns = [
                pool.submit(way, topic, random.Random(f"{phase} {topic}")) for topic, way in ways.items()
            ]
        for turn in turns:
            turn.result()

    def records(self, topic, rng):
        """Batches of every codec, a quarter of the records tombstones."""
        producers = [self.producer(codec) for codec in CODECS]
        for step in range(40):
            producer = producers[step % len(producers)]
            for number in range(rng.randint(1, 8)):
                text = f"value {step} {number} " * rng.randint(1, 40)
                value = None if rng.random() < 0.25 else text
                at = self.start + step * 20_000 + number * 7
                headers = [("header", b"x")] if number == 0 else None
                key = f"key {rng.randint(0, 15)}"
                producer.produce(topic, key=key, value=value, partition=0, timestamp=at, headers=headers)
            producer.flush(SECONDS)
            if topic == "append-time":
                time.sleep(0.03)

    def producers(self, topic, rng):
        """Idempotent producers that leave nothing but their last sequence numbers."""
        for number in range(6):
            producer = self.producer(CODECS[number % len(CODECS)], **{"enable.idempotence": True})
            for step in range(6):
                for _ in range(4):
                    at = self.start + (number * 6 + step) * 15_000
                    key, value = f"key {rng.randint(0, 3)}", f"{number} {step}"
                    producer.produce(topic, key=key, value=value, partition=0, timestamp=at)
                producer.flush(SECONDS)

    def transactions(self, topic, rng):
        """Up to four transactions at once, a third of them aborted, with records of others between theirs."""
        other = self.producer("none")
        producers = []
        for number in range(4):
            of_one = {"transactional.id": f"{topic}-{number}"}
            producer = self.producer(CODECS[number], **of_one)
            producer.init_transactions(SECONDS)
            producers.append(producer)
        for step in range(24):
            active = producers if step % 3 == 0 else [producers[step % 4]]
            for producer in active:
                producer.begin_transaction()
            for number in range(rng.randint(1, 4)):
                for producer in active:
                    value = None if rng.random() < 0.2 else f"{step} {number} " * 5
                    producer.produce(topic, key=f"key {rng.randint(0, 9)}", value=value, partition=0)
                    producer.flush(SECONDS)
                if topic == "interleaved":
                    other.produce(topic, key=f"key {rng.randint(0, 9)}", value=f"{step}", partition=0)
                    other.flush(SECONDS)
            time.sleep(0.25)
            for number, producer in enumerate(active):
                if (step + number) % 3 == 1:
                    producer.abort_transaction(SECONDS)
                else:
                    producer.commit_transaction(SECONDS)


def main():
    bootstrap, action, *arguments = sys.argv[1:]
    writer = Writer(bootstrap)
    getattr(writer, action)(*map(json.loads, arguments))


main()
