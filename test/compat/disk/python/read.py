"""Reads every partition with librdkafka at both isolation levels: `read.py BOOTSTRAP [internal]`, those of internal
topics only if asked to. Prints, as JSON, by partition and level the number of records, the first and last offset and
the SHA-256 over all that a consumer is told of each record, and by partition the CRC-32 of each value by offset.
"""

import hashlib
import json
import struct
import sys
import time
import zlib

import confluent_kafka as ck

SECONDS = 60


def sized(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def told(message):
    """What a consumer is told of a record, as bytes."""
    headers = message.headers() or []
    out = struct.pack(">qq", message.offset(), message.timestamp()[1])
    out += sized(message.key()) + sized(message.value()) + struct.pack(">i", len(headers))
    return out + b"".join(sized(name.encode()) + sized(value) for name, value in headers)


def read(bootstrap, partitions, isolation):
    """Hands over the messages of all partitions to their ends."""
    consumer = ck.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    consumer.assign([ck.TopicPartition(*p, ck.OFFSET_BEGINNING) for p in partitions])
    left, until = set(partitions), time.monotonic() + SECONDS
    while left:
        if time.monotonic() > until:
            raise SystemExit(f"not read to the end: {sorted(left)[:5]}")
        for message in consumer.consume(1000, 0.1):
            at = (message.topic(), message.partition())
            if not message.error():
                yield at, message
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                left.discard(at)
            else:
                raise SystemExit(f"{at}: {message.error()}")
    consumer.close()


def main():
    bootstrap, *more = sys.argv[1:]
    is_wanted = lambda name: more == ["internal"] or not name.startswith("__")
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    topics = consumer.list_topics(timeout=SECONDS).topics
    partitions = [(name, index) for name in topics if is_wanted(name) for index in topics[name].partitions]
    seen, values = {}, {}
    for isolation in ("read_uncommitted", "read_committed"):
        hashes = {p: [0, -1, -1, hashlib.sha256()] for p in partitions}
        for at, message in read(bootstrap, partitions, isolation):
            known = hashes[at]
            if not known[0]:
                known[1] = message.offset()
            known[0], known[2] = known[0] + 1, message.offset()
            known[3].update(told(message))
            if isolation == "read_uncommitted":
                crc = zlib.crc32(message.value() or b"")
                values.setdefault(f"{at[0]}-{at[1]}", {})[message.offset()] = crc
        for (name, index), (count, first, last, digest) in hashes.items():
            seen.setdefault(f"{name}-{index}", {})[isolation] = [count, first, last, digest.hexdigest()]
    json.dump({"seen": seen, "values": values}, sys.stdout)


main()
