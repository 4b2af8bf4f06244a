"""Driver for kcat, a program on the command line: one process for each order.

The protocol is in `clients/driver.py`. kcat cannot set timestamps, administer, or tell what a group has
committed; keys, values and headers pass through text formats, so the judge sends it no record that holds the
delimiters below.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from loop import Client, KafkaError, b64, record, unb64

# For a whole call, and for each request in it: a node may wait for a slow disk.
SECONDS = 100
REQUEST_SECONDS = 90
ADMIN = (
    "create_topic delete_topic add_partitions topic_configs set_topic_configs delete_records groups describe_group"
    " delete_group committed commit"
).split()
CODES = {"Message size too large": 10, "Unknown topic or partition": 3, "CRC": 2}
# What no key and no value of the judge holds.
KEY_END, MESSAGE_END = "\x1d", "\x1e"
# One line a record: lengths tell null from empty, then the bytes in an order that the lengths can cut.
FORMAT = "%p %o %T %K %S %R %h\\n%k%s\\n"


def kcat(*arguments, data=None, seconds=SECONDS):
    done = subprocess.run(["kcat", *arguments], input=data, capture_output=True, timeout=seconds + 20)
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace")
        code = next((code for words, code in CODES.items() if words in text), None)
        raise KafkaError(code, text)
    return done.stdout


class GroupMember:
    """A running `kcat -G`; its assignment is read off what it tells about rebalances."""

    def __init__(self, base, order):
        self.process = subprocess.Popen(
            [
                "kcat",
                *base,
                "-G",
                order["group"],
                "-u",
                "-f",
                "%p %o %S\\n%s\\n",
                "-X",
                "auto.offset.reset=earliest",
            ]
            # not the sticky or cooperative ones: all members of one group must agree
            + ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]
            + ["-X", "partition.assignment.strategy=range", order["topic"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.assigned, self.seen, self.lock = [], [], threading.Lock()
        threading.Thread(target=self.read_records, daemon=True).start()
        threading.Thread(target=self.read_rebalances, daemon=True).start()

    def read_records(self):
        out = self.process.stdout
        while line := out.readline():
            partition, offset, size = (int(field) for field in line.split())
            value = None if size < 0 else out.read(size)
            out.readline()
            with self.lock:
                self.seen.append([partition, offset, b64(value)])

    def read_rebalances(self):
        for line in self.process.stderr:
            text = line.decode(errors="replace")
            sys.stderr.write(text)
            if "assigned:" in text:
                self.assigned = sorted(
                    int(p) for p in re.findall(r"\[(\d+)\]", text.split("assigned:", 1)[1])
                )
            elif "revoked" in text:
                self.assigned = []

    def leave(self):
        self.process.terminate()
        self.process.wait(SECONDS)


class Kcat(Client):
    name = "kcat"
    cannot = ["timestamps", *ADMIN]

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.base = ["-b", bootstrap, "-X", "broker.address.family=v4"]
        self.patient = ["-X", f"socket.timeout.ms={REQUEST_SECONDS * 1000}"]
        self.patient += ["-X", f"request.timeout.ms={REQUEST_SECONDS * 1000}"]
        self.patient += ["-X", f"message.timeout.ms={SECONDS * 1000}"]
        text = subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout
        self.version = "librdkafka ".join(re.search(r"Version (\S+ ).*librdkafka (\S+)", text).groups())

    def do_produce(self, order):
        """One process for each run of records with equal headers and nulls; kcat has those as options."""
        placed = []
        for r in order["records"]:
            options = ["-P", "-t", order["topic"], "-z", order["codec"], "-X", "partitioner=murmur2_random"]
            options += ["-X", f"enable.idempotence={str(order.get('idempotent', False)).lower()}"]
            options += ["-X", "message.max.bytes=16777216", *self.patient]
            if r.get("p") is not None:
                options += ["-p", str(r["p"])]
            for name, data in r.get("h", []):
                options += ["-H", name if data is None else f"{name}={unb64(data).decode()}"]
            key, value = unb64(r["k"]), unb64(r["v"])
            # a value as a file is one message, whatever its bytes; an empty one must come behind its key
            with tempfile.NamedTemporaryFile() as file:
                data = None
                if value:
                    options += ["-k", key.decode()] if key is not None else []
                    file.write(value)
                    file.flush()
                    options.append(file.name)
                else:
                    options += ["-K", KEY_END, "-D", MESSAGE_END] + (["-Z"] if value is None else [])
                    data = key + f"{KEY_END}{MESSAGE_END}".encode()
                try:
                    kcat(*self.base, *options, data=data)
                    placed.append(None)
                except KafkaError as error:
                    placed.append({"error": error.code})
        return placed

    def do_bulk_produce(self, order):
        data = Path(order["file"]).read_bytes()
        options = ["-P", "-t", order["topic"], "-p", "0", "-z", order["codec"]]
        options += ["-X", "linger.ms=5", *self.patient]
        idempotent = str(order.get("idempotent", False)).lower()
        kcat(*self.base, *options, "-X", f"enable.idempotence={idempotent}", data=data)

    def do_consume(self, order):
        records = []
        for partition, offset in order["from"].items():
            options = [
                "-C",
                "-t",
                order["topic"],
                "-p",
                str(partition),
                "-o",
                str(offset),
                "-e",
                "-q",
                "-f",
                FORMAT,
            ]
            out = kcat(*self.base, *options, seconds=order["seconds"])
            while out:
                line, out = out.split(b"\n", 1)
                head = line.split(b" ", 6)
                partition_, offset_, timestamp, key_size, size = (int(field) for field in head[:5])
                key = None if key_size < 0 else out[:key_size]
                out = out[max(key_size, 0) :]
                value = None if size < 0 else out[:size]
                out = out[max(size, 0) + 1 :]
                headers = []
                for pair in filter(None, head[6].decode().split(",")):
                    name, _, data = pair.partition("=")
                    headers.append([name, None if data == "NULL" else data.encode()])
                records.append(record(partition_, offset_, timestamp, key, value, headers))
        return records[: order["count"]]

    def do_bulk_consume(self, order):
        out = kcat(
            *self.base,
            "-C",
            "-t",
            order["topic"],
            "-p",
            "0",
            "-o",
            "beginning",
            "-e",
            "-q",
            seconds=order["seconds"],
        )
        return hashlib.sha256(out).hexdigest()

    def do_offset_for(self, order):
        at = {"earliest": -2, "latest": -1}.get(order["at"], order["at"])
        out = kcat(*self.base, "-Q", "-t", f"{order['topic']}:{order['partition']}:{at}").decode()
        return int(re.search(r"offset (-?\d+)", out)[1])

    def listing(self, *options):
        return kcat(*self.base, "-L", *options).decode()

    def do_topics(self, order):
        return sorted(re.findall(r'topic "([^"]+)" with', self.listing()))

    def do_partitions(self, order):
        return int(re.search(r"with (\d+) partitions", self.listing("-t", order["topic"]))[1])

    def do_join(self, order):
        self.members[order["member"]] = GroupMember(self.base, order)

    def do_assignment(self, order):
        return self.members[order["member"]].assigned

    def do_drained(self, order):
        member = self.members[order["member"]]
        with member.lock:
            seen, member.seen = member.seen, []
        return seen

    def do_leave(self, order):
        self.members.pop(order["member"]).leave()

    def end(self):
        for member in self.members.values():
            member.leave()


Kcat(sys.argv[1]).serve()
