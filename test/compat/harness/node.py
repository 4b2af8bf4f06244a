"""One fresh node for a battery: Apache Kafka, Dohle, or one that runs already.

Kafka and Dohle get the same properties file and the same two commands (format, then start), so whatever
differs afterwards is the node's doing. A node lives in its own folder under `target/compat/runs`; its data,
configuration and log stay there after the run for whoever looks into a failure.
"""

import contextlib
import itertools
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from . import install

HOST = "127.0.0.1"
# Kafka needs 5 to 12 s on two busy cores, and a minute where others work, too.
START_SECONDS = 180
STOP_SECONDS = 120
# Below the ports that systems give to those who ask for any: while a node of ours is down between a kill and
# its next start, nobody else gets its port. A run that was started at the same time begins a hundred further on.
PORTS = itertools.count(20_000 + 100 * (os.getpid() % 50))


class NodeError(Exception):
    """The node did not format, start or stop; the message names its log."""


def free_port():
    """A port that nobody listened on a moment ago, and that this run has not given to anybody yet."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise NodeError("no port is free")


def read_properties(path):
    """A properties file of `key=value` lines as a dictionary."""
    lines = (line.strip() for line in Path(path).read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def properties(folder, port, controller_port, extra):
    """The configuration of a combined broker and controller that is alone in its cluster."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": f"{folder}/data",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }
    settings.update({key: value.replace("FOLDER", str(folder)) for key, value in extra.items()})
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def answers(host, port, timeout=1.0):
    """Whether a node lists a broker in Metadata v1: the port may be open long before that."""
    body = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(struct.pack(">i", len(body)) + body)
            head = connection.recv(12)
            return len(head) == 12 and struct.unpack(">iii", head)[2] > 0
    except OSError:
        return False


class Node:
    """A running node; `bootstrap` is what clients connect to."""

    kind = "external"
    pid = None

    def __init__(self, host, port):
        self.host, self.port = host, port
        self.bootstrap = f"{host}:{port}"

    # What only a node of ours can do; a battery asks before it relies on it.
    restartable = False

    def stop(self):
        """Leaves a node alone that somebody else started."""


class OwnNode(Node):
    """A node that this run formatted and started and therefore may stop, kill and start again."""

    restartable = True

    def __init__(self, folder, extra, ports=None):
        """A node in `folder`: formatted and started, unless `ports` say that it goes on where another was."""
        self.ports = ports or (free_port(), free_port())
        super().__init__(HOST, self.ports[0])
        self.folder = folder
        self.process = None
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "server.properties"
        self.file.write_text(properties(folder, *self.ports, extra))
        self.log = folder / "node.log"
        if ports is None:
            self.format()
            self.start()

    def format(self, arguments=("--standalone",)):
        """Makes the data directory one of a new cluster, as the arguments say."""
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):
            cluster = "A" + cluster[1:]  # an id that looks like an option is one to the format command
        done = subprocess.run(
            [*self.storage_command(), "format", *arguments, "-t", cluster, "-c", str(self.file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(),
        )
        (self.folder / "format.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise NodeError(
                f"format: exit {done.returncode}; {self.folder / 'format.log'}: {(done.stdout + done.stderr)[-400:]}"
            )

    def storage_command(self):
        raise NotImplementedError

    def start_command(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def start(self):
        """Starts the node on the folder as it is; returns how long it took until a client was served."""
        began = time.monotonic()
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.start_command(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.environment(),
                cwd=self.folder,
            )
        self.pid = self.process.pid
        while not answers(self.host, self.port):
            if self.process.poll() is not None:
                raise NodeError(
                    f"the node ended with exit {self.process.returncode} at its start; {self.log}: {self.tail()}"
                )
            if time.monotonic() - began > START_SECONDS:
                self.kill()
                raise NodeError(f"the node served nobody for {START_SECONDS} s; {self.log}: {self.tail()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def tail(self):
        return self.log.read_text(errors="replace")[-600:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def resident_bytes(self):
        """Resident memory of the process, from /proc."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise NodeError("no VmRSS in /proc")

    def terminate(self):
        """SIGTERM, as an operator stops a node; it has STOP_SECONDS for a controlled shutdown."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NodeError(
                f"the node did not end within {STOP_SECONDS} s of SIGTERM; {self.log}: {self.tail()}"
            ) from None

    def kill(self):
        """SIGKILL: what a crash leaves."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.alive():
            self.kill()


class Kafka(OwnNode):
    """Apache Kafka, the oracle."""

    kind = "kafka"

    @staticmethod
    def libs():
        return install.kafka()

    def java(self):
        libs = self.libs()
        levels = self.folder / "log4j2.yaml"
        levels.write_text(
            "Configuration:\n  Appenders:\n    Console:\n      name: out\n      PatternLayout:\n"
            '        pattern: "%d %p %c %m%n"\n  Loggers:\n    Root:\n      level: INFO\n      AppenderRef:\n        - ref: out\n'
        )
        heap = ["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return ["java", *heap, f"-Dlog4j2.configurationFile={levels}", "-cp", f"{libs}/*"]

    def storage_command(self):
        return [*self.java(), "kafka.tools.StorageTool"]

    def start_command(self):
        return [*self.java(), "kafka.Kafka", str(self.file)]


class OldKafka(Kafka):
    """A release before: the one that comes with the tools, or another."""

    def __init__(self, folder, extra, ports=None, release=install.TOOLS):
        self.release = release
        super().__init__(folder, extra, ports)

    def libs(self):
        return install.kafka_tools() / "libs" if self.release == install.TOOLS else install.kafka(self.release)


class Dohle(OwnNode):
    """The node under test, from the given executable."""

    kind = "dohle"

    def __init__(self, folder, extra, executable, ports=None):
        self.executable = str(executable)
        super().__init__(folder, extra, ports)

    def storage_command(self):
        return [self.executable, "storage"]

    def start_command(self):
        return [self.executable, "server", str(self.file)]
