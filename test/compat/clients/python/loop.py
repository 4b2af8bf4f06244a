"""What the drivers of the Python clients share: reading orders, answering, and members in threads.

The protocol is described in `clients/driver.py`.
"""

import base64
import faulthandler
import hashlib
import json
import queue
import sys
import threading
import traceback

# A client written in C may crash: its log then says where.
faulthandler.enable()


def b64(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


class KafkaError(Exception):
    """An error with Kafka's number for it (None if the client does not tell)."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def record(partition, offset, timestamp, key, value, headers):
    """A consumed record as the protocol writes it."""
    pairs = [[name, b64(data)] for name, data in headers or []]
    return {"p": partition, "o": offset, "ts": timestamp, "k": b64(key), "v": b64(value), "h": pairs}


def chunks(order):
    """The values of a bulk produce."""
    with open(order["file"], "rb") as file:
        while chunk := file.read(order["size"]):
            yield chunk[:-1]


class Digest:
    """The checksum of a bulk consume."""

    def __init__(self):
        self.count, self.sum = 0, hashlib.sha256()

    def add(self, value):
        self.count += 1
        self.sum.update(value + b"\n")


class Member(threading.Thread):
    """A group member: everything that touches its consumer happens in its own thread.

    A client gives `open()`, `poll()` (records seen, after a short wait), `assigned()` (partitions),
    `commit_seen()` and `close()`.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.orders = queue.Queue()
        self.seen = []
        self.start()

    def run(self):
        failure = None
        try:
            self.open()
        except Exception as error:
            failure = error
        while True:
            try:
                order, answer = self.orders.get_nowait()
            except queue.Empty:
                order = None
            if order:
                try:
                    if failure:
                        raise failure
                    answer.put((getattr(self, order)(), None))
                except Exception as error:
                    answer.put((None, error))
                if order == "close":
                    return
            elif failure:
                threading.Event().wait(0.1)
            else:
                try:
                    self.seen += [[p, o, b64(v)] for p, o, v in self.poll()]
                except Exception as error:
                    failure = error

    def ask(self, order):
        answer = queue.Queue()
        self.orders.put((order, answer))
        value, error = answer.get(timeout=100)
        if error:
            raise error
        return value

    def drain(self):
        seen, self.seen = self.seen, []
        return seen


class Client:
    """Base of a driver: actions are methods named `do_<action>` that take the order."""

    name = version = None
    cannot = []

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.members = {}

    def do_hello(self, order):
        return {"client": self.name, "version": self.version, "cannot": self.cannot}

    def member(self, order):
        """A new member for a `join`; a client that has groups overrides this."""
        raise NotImplementedError

    def do_join(self, order):
        self.members[order["member"]] = self.member(order)

    def do_assignment(self, order):
        return sorted(self.members[order["member"]].ask("assigned"))

    def do_drained(self, order):
        return self.members[order["member"]].ask("drain")

    def do_commit(self, order):
        self.members[order["member"]].ask("commit_seen")

    def do_leave(self, order):
        self.members.pop(order["member"]).ask("close")

    def end(self):
        for member in self.members.values():
            try:
                member.ask("close")
            except Exception:
                traceback.print_exc()

    def serve(self):
        """Does orders until standard input ends."""
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer = {"ok": getattr(self, "do_" + order["do"])(order)}
            except Exception as error:
                traceback.print_exc()
                code = getattr(error, "code", None) or getattr(error, "errno", None)
                answer = {
                    "error": code if isinstance(code, int) else None,
                    "text": f"{type(error).__name__}: {error}",
                }
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        self.end()
