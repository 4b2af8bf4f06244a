"""A client under test as a program that does what it is told.

A driver reads one JSON object a line on standard input, `{"do": NAME, …}`, and answers one a line on
standard output: `{"ok": …}`, or `{"error": CODE, "text": …}` where CODE is Kafka's error code if the client
told it and null otherwise. Byte strings travel in base64, an absent one as null. A record is
`{"p": partition, "o": offset, "ts": ms, "k": key, "v": value, "h": [[name, value], …]}`.

| do | arguments | answer |
|---|---|---|
| hello | | client, version, cannot: the names of actions that this client does not have, or "timestamps" of its own, or "null headers" |
| produce | topic, codec, idempotent, acks, records (p, ts, k, v, h); java only: seconds, after which it gives up | [[partition, offset] or {"error": code}] in order |
| consume | topic, from {partition: offset}, count, seconds | records |
| bulk_produce | topic, file, size, codec: each `size` bytes of the file, less a newline, are a value for partition 0 | |
| bulk_consume | topic, count, seconds: partition 0 from its start | sha256 of the values, each with a newline |
| offset_for | topic, partition, at: ms, "earliest" or "latest" | offset, or −1 when no record is that late |
| topics | | names |
| partitions | topic | count |
| create_topic | topic, partitions, configs | |
| delete_topic | topic | |
| add_partitions | topic, total | |
| topic_configs | topic | {name: value} |
| set_topic_configs | topic, configs | |
| delete_records | topic, partition, before | |
| leaders | topic; java only, as are the next three | node or −1 of each partition |
| move | topic, partition, dir: to another log directory | |
| log_dirs | | {path: {error, total, usable, partitions: {"topic-0" or "topic-0 future": [size, lag]}}} |
| set_broker_configs | configs | |
| groups | | names |
| describe_group | group | state, members (count) |
| delete_group | group | |
| committed | group, topic, partitions | {partition: offset or −1} |
| join | member (our name for it), group, topic, assignor ("range" or the client's own) | |
| assignment | member | partitions |
| drained | member | [partition, offset, value] of each record seen since the last call |
| commit | member: what it has seen | |
| leave | member | |

A member polls in the background and starts at the earliest offset where the group has none.
"""

import base64
import contextlib
import json
import os
import queue
import signal
import subprocess
import threading

from harness import install
from harness.report import Failed, Unable

HERE = install.HERE / "clients"
# Longer than any client's own time limits for one call: a minute to find the node, and what its driver gives
# a request. That is above the half minute and more that a node waits for a slow disk: a producer that is not idempotent
# and asks again earlier writes twice.
SECONDS = 180


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


class ClientError(Failed):
    """The client reported an error; `code` is Kafka's number for it, if the client told."""

    def __init__(self, code, text):
        super().__init__(f"client error {code}: {text}")
        self.code = code


def build(*clients):
    """Installs what the drivers of these clients need."""
    for client in clients:
        command(client, "")
    # prepares what a client cannot do itself
    install.java_driver()


def command(client, bootstrap):
    """What starts a client's driver."""
    if client == "java":
        heap = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        quiet = HERE / "java" / "log4j2.yaml"
        return [
            "java",
            *heap,
            f"-Dlog4j2.configurationFile={quiet}",
            "-cp",
            install.java_driver(),
            "Driver",
            bootstrap,
        ]
    if client == "kafkajs":
        return ["node", str(HERE / "kafkajs.js"), str(install.node_modules()), bootstrap]
    if client == "franz-go":
        return [str(install.franz_driver()), bootstrap]
    if client == "kcat":
        install.kcat()
    return [
        str(install.python()),
        "-u",
        str(HERE / "python" / f"{client.replace('-', '_')}_driver.py"),
        bootstrap,
    ]


# Every client, in the order in which they are judged.
CLIENTS = ["java", "confluent-kafka", "kcat", "franz-go", "kafka-python", "aiokafka", "kafkajs"]


class Driver:
    """A started driver program."""

    def __init__(self, client, bootstrap, log):
        self.client = client
        self.log = log
        self.process = subprocess.Popen(
            command(client, bootstrap),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(log, "ab"),
            text=True,
            start_new_session=True,
        )
        self.answers = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        self.hello = self.call("hello")

    def listen(self):
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def call(self, do, **arguments):
        """Makes the client do something; raises what it reports."""
        if do != "hello" and do in self.hello["cannot"]:
            raise Unable(f"{self.client} has no {do}")
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.answers.get(timeout=SECONDS)
        except BrokenPipeError:
            line = None
        except queue.Empty:
            self.kill()
            raise Failed(f"{self.client} did not finish {do} within {SECONDS} s; {self.log}") from None
        if line is None:
            raise Failed(f"{self.client}'s driver ended during {do}, exit {self.process.wait()}; {self.log}")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"], f"{do}: {answer['text']}")
        return answer["ok"]

    def kill(self):
        """SIGKILL to the driver and its children: the members in it vanish without a word."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends the driver by the end of its input; it leaves its groups if it has time for that."""
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
