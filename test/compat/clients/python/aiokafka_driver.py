"""Driver for aiokafka: asyncio, with kafka-python's ancestry and old request versions.

The protocol is in `clients/driver.py`. Orders come one at a time and run on a loop in a thread of its own,
where group members keep polling between them.
"""

import asyncio
import logging
import sys
import threading
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError as AioKafkaError
from loop import Client, Digest, KafkaError, b64, chunks, record, unb64

# For a whole call, and for each request in it: a node may wait for a slow disk.
SECONDS = 160
REQUEST_SECONDS = 90
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


class GroupMember:
    """A consumer and the task that polls it."""

    def __init__(self, bootstrap, order):
        self.consumer = AIOKafkaConsumer(
            order["topic"],
            bootstrap_servers=bootstrap,
            group_id=order["group"],
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
        self.seen = []

    async def start(self):
        await self.consumer.start()
        self.task = asyncio.create_task(self.poll())

    async def poll(self):
        while True:
            batches = await self.consumer.getmany(timeout_ms=100)
            self.seen += [[m.partition, m.offset, b64(m.value)] for batch in batches.values() for m in batch]

    async def stop(self):
        self.task.cancel()
        await self.consumer.stop()


class AioKafka(Client):
    name = "aiokafka"
    version = aiokafka.__version__
    cannot = ["delete_group"]

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.admin_client = None

    def wait(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    async def admin(self):
        if self.admin_client is None:
            self.admin_client = AIOKafkaAdminClient(
                bootstrap_servers=self.bootstrap, request_timeout_ms=REQUEST_SECONDS * 1000
            )
            await self.admin_client.start()
        return self.admin_client

    async def producer(self, order):
        codec = order["codec"]
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=order.get("idempotent", False),
            acks="all",
            max_request_size=16 << 20,
            request_timeout_ms=REQUEST_SECONDS * 1000,
            linger_ms=5,
        )
        await producer.start()
        return producer

    def do_produce(self, order):
        return self.wait(self.produce(order))

    async def produce(self, order):
        producer = await self.producer(order)
        try:
            futures = [
                await producer.send(
                    order["topic"],
                    value=unb64(r["v"]),
                    key=unb64(r["k"]),
                    partition=r.get("p"),
                    timestamp_ms=r.get("ts"),
                    headers=[(name, unb64(data)) for name, data in r.get("h", [])],
                )
                for r in order["records"]
            ]
            results = await asyncio.gather(*futures, return_exceptions=True)
        finally:
            await producer.stop()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, AioKafkaError):
                raise result
        return [
            {"error": getattr(r, "errno", None)} if isinstance(r, Exception) else [r.partition, r.offset]
            for r in results
        ]

    def do_bulk_produce(self, order):
        self.wait(self.bulk_produce(order))

    async def bulk_produce(self, order):
        producer = await self.producer(order)
        try:
            futures = [
                await producer.send(order["topic"], value=value, partition=0) for value in chunks(order)
            ]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    async def read(self, order, start, count):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            parts = {TopicPartition(order["topic"], int(p)): o for p, o in start.items()}
            consumer.assign(list(parts))
            for part, offset in parts.items():
                consumer.seek(part, offset)
            until, seen = time.time() + order["seconds"], []
            while len(seen) < count and time.time() < until:
                batches = await consumer.getmany(timeout_ms=500, max_records=count - len(seen))
                seen += [m for batch in batches.values() for m in batch]
            return seen
        finally:
            await consumer.stop()

    def do_consume(self, order):
        return [
            record(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
            for m in self.wait(self.read(order, order["from"], order["count"]))
        ]

    def do_bulk_consume(self, order):
        digest = Digest()
        for message in self.wait(self.read(order, {0: 0}, order["count"])):
            digest.add(message.value)
        return digest.sum.hexdigest()

    def do_offset_for(self, order):
        return self.wait(self.offset_for(order))

    async def offset_for(self, order):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            part, at = TopicPartition(order["topic"], order["partition"]), order["at"]
            if at == "earliest":
                return (await consumer.beginning_offsets([part]))[part]
            if at == "latest":
                return (await consumer.end_offsets([part]))[part]
            found = (await consumer.offsets_for_times({part: at}))[part]
            return -1 if found is None else found.offset
        finally:
            await consumer.stop()

    def do_topics(self, order):
        return sorted(self.wait(self.with_admin("list_topics")))

    async def with_admin(self, action, *arguments, **options):
        return await getattr(await self.admin(), action)(*arguments, **options)

    def do_partitions(self, order):
        (topic,) = self.wait(self.with_admin("describe_topics", [order["topic"]]))
        return len(topic["partitions"])

    def only(self, errors):
        ((_, code, *text),) = errors
        if code:
            raise KafkaError(code, str(text))

    def do_create_topic(self, order):
        topic = NewTopic(order["topic"], order["partitions"], 1, topic_configs=order["configs"])
        self.only(self.wait(self.with_admin("create_topics", [topic])).topic_errors)

    def do_delete_topic(self, order):
        self.only(self.wait(self.with_admin("delete_topics", [order["topic"]])).topic_error_codes)

    def do_add_partitions(self, order):
        self.wait(self.with_admin("create_partitions", {order["topic"]: NewPartitions(order["total"])}))

    def do_topic_configs(self, order):
        resource = ConfigResource(ConfigResourceType.TOPIC, order["topic"])
        (answer,) = self.wait(self.with_admin("describe_configs", [resource]))
        ((code, text, _, _, entries),) = answer.resources
        self.only([(None, code, text)])
        return {entry[0]: entry[1] for entry in entries}

    def do_set_topic_configs(self, order):
        resource = ConfigResource(ConfigResourceType.TOPIC, order["topic"], order["configs"])
        (answer,) = self.wait(self.with_admin("alter_configs", [resource]))
        ((code, text, *_),) = answer.resources
        self.only([(None, code, text)])

    def do_delete_records(self, order):
        part = TopicPartition(order["topic"], order["partition"])
        self.wait(self.with_admin("delete_records", {part: RecordsToDelete(order["before"])}))

    def do_groups(self, order):
        return sorted(group[0] for group in self.wait(self.with_admin("list_consumer_groups")))

    def do_describe_group(self, order):
        (answer,) = self.wait(self.with_admin("describe_consumer_groups", [order["group"]]))
        ((code, _, state, _, _, members, *_),) = answer.groups
        self.only([(None, code)])
        return {"state": state, "members": len(members)}

    def do_committed(self, order):
        parts = [TopicPartition(order["topic"], p) for p in order["partitions"]]
        found = self.wait(self.with_admin("list_consumer_group_offsets", order["group"], partitions=parts))
        if len(found) < len(parts):
            # aiokafka overlooks the error of the whole answer (a coordinator that still loads, say)
            raise KafkaError(None, f"offsets of {len(found)} of {len(parts)} partitions")
        return {part.partition: offset.offset for part, offset in found.items()}

    def do_join(self, order):
        async def join():
            member = GroupMember(self.bootstrap, order)
            await member.start()
            return member

        self.members[order["member"]] = self.wait(join())

    def do_assignment(self, order):
        return sorted(part.partition for part in self.members[order["member"]].consumer.assignment())

    def do_drained(self, order):
        member = self.members[order["member"]]
        seen, member.seen = member.seen, []
        return seen

    def do_commit(self, order):
        self.wait(self.members[order["member"]].consumer.commit())

    def do_leave(self, order):
        self.wait(self.members.pop(order["member"]).stop())

    def end(self):
        for member in list(self.members):
            self.do_leave({"member": member})
        if self.admin_client is not None:
            self.wait(self.admin_client.close())


AioKafka(sys.argv[1]).serve()
