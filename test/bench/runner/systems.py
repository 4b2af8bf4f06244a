"""The three that are measured: how each is formatted, started, killed and asked for its first ack.

Dohle and Kafka get the same properties file and the same two commands. Kafka runs with the heap and the JVM
flags that its own start script sets. Each lives in its own folder, emptied before each start from nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import install
from harness.node import free_port, properties

START_SECONDS = 90
# With much to recover or many partitions; Kafka needs more than a minute.
SWEEP_SECONDS = 400
STOP_SECONDS = 120

# Deleted topics leave the page cache before the next case; one partition is what a topic gets. Dohle acknowledges
# when Kafka does, unless a topic asks for more; Kafka passes over a key that it does not know. Dohle takes Kafka's default
# receive buffer for 512 KiB; both get that, so that brokers are compared and not a socket option.
SETTINGS = {
    "socket.receive.buffer.bytes": "524288",
    "log.segment.delete.delay.ms": "50",
    "auto.create.topics.enable": "false",
    "dohle.durability": "os",
}

# Topics that are written to without end are kept short: their old segments are looked for often, and from the start.
KEPT_SHORT = {
    "log.retention.check.interval.ms": "100",
    "log.initial.task.delay.ms": "100",
}

LOG4J = (
    "Configuration:\n  Appenders:\n    Console:\n      name: out\n      PatternLayout:\n"
    '        pattern: "%d %p %c %m%n"\n  Loggers:\n    Root:\n      level: INFO\n      AppenderRef:\n        - ref: out\n'
)


class Failure(Exception):
    """A system or a load did not do what it should; the message says where to look."""


@dataclass
class Setting:
    """What does not change within a run."""

    generator: Path
    dohle: Path
    folder: Path
    free: bool

    def cores(self):
        """The broker's core and the client's, or nothing if they share all."""
        cores = sorted(os.sched_getaffinity(0))
        return None if self.free or len(cores) < 2 else cores[:2]

    def client_prefix(self):
        return ["taskset", "-c", str(self.cores()[1])] if self.cores() else []

    def broker_prefix(self):
        return ["taskset", "-c", str(self.cores()[0])] if self.cores() else []


def check(names, setting):
    """Ends the program with a plain message if something needed is not there."""
    wanted = [(setting.generator, "dohle-bench")] + [(setting.dohle, "dohle-cli")] * ("dohle" in names)
    for file, package in wanted:
        if not file.exists():
            sys.exit(f"{file.name} is not built: cargo build --release --package {package}")
    if unknown := set(names) - set(KINDS):
        sys.exit(f"unknown systems: {', '.join(sorted(unknown))}")
    if not shutil.which("taskset") and not setting.free:
        sys.exit("taskset is not installed; --free runs without it")


def aside_of(setting):
    return setting.folder / "runs" / "aside"


def take_away_aside(setting):
    """What the systems of a run have laid aside."""
    shutil.rmtree(aside_of(setting), ignore_errors=True)


def environment():
    return {**os.environ, "RUST_BACKTRACE": "0"}


class System:
    """One broker, perhaps running."""

    def __init__(self, setting):
        self.setting = setting
        self.folder = setting.folder / "runs" / self.kind
        self.process = None
        self.port = None

    def format(self, settings=()):
        """Makes an empty, formatted directory, for a broker with further settings."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.file = self.folder / "server.properties"
        self.file.write_text(properties(self.folder, self.port, free_port(), SETTINGS | dict(settings)))
        cluster = "A" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        command = self.format_command(cluster)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment())
        if done.returncode != 0:
            raise Failure(f"{self.kind}: format: exit {done.returncode}: {(done.stdout + done.stderr)[-300:]}")

    def start(self, topic, create, pinned):
        """Starts the broker on its directory; returns the ms until its first acknowledgement."""
        report, began = self.start_under("first-ack", ["--topic", topic, *["--create"] * create], START_SECONDS, pinned)
        return (report["acked_at_nanos"] - began) / 1e6

    def start_swept(self, options):
        """Starts it, with all cores; the seconds until the first partition acknowledges and until each has."""
        report, began = self.start_under("sweep", options, SWEEP_SECONDS, pinned=False)
        return (report["first_acked_at_nanos"] - began) / 1e9, (report["acked_at_nanos"] - began) / 1e9

    def start_under(self, command, options, seconds, pinned):
        """Starts it while a command of the generator tries already; its report, and when the start began."""
        load = [self.setting.generator, command, "--bootstrap", self.bootstrap, "--give-up-seconds", seconds, *options]
        waiting = subprocess.Popen(
            list(map(str, load)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        time.sleep(0.02 if command == "first-ack" else 0.2)  # It is trying before there is anything to connect to.
        prefix = self.setting.broker_prefix() if pinned else []
        with open(self.folder / "broker.log", "ab") as log:
            began = time.monotonic_ns()
            self.process = subprocess.Popen(
                [*prefix, *self.start_command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        try:
            out, err = waiting.communicate(timeout=seconds + 35)
        except subprocess.TimeoutExpired:
            waiting.kill()
            out, err = waiting.communicate()
        if waiting.returncode != 0 or self.process.poll() is not None:
            self.kill()
            raise Failure(f"{self.kind}: no first acknowledgement: {err.strip()[-300:]}; see {self.folder.name}/broker.log")
        return json.loads(out), began

    def stop(self):
        """SIGTERM, and waits until it is gone; returns the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{self.kind}: did not stop within {STOP_SECONDS} s") from late
        self.process = None
        return time.monotonic() - began

    def load(self, command, *options):
        """Runs one command of the generator on this broker and returns its report."""
        with self.beside(command, *options) as running:
            return running.report()

    @contextmanager
    def beside(self, command, *options):
        """Runs one command of the generator while something else is done; its input ends with the block."""
        running = Running(self, command, list(map(str, options)))
        try:
            yield running
            running.end()
        finally:
            running.process.kill()
            running.process.wait()

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def clear(self):
        """Takes its data away, and with it the pages that it has in memory."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def lay_aside(self):
        """Keeps its data until the run ends: ext4 without a journal looks at each inode that was deleted in the last
        minutes whenever a file is made, so who comes behind many thousand deleted files would wait for that."""
        aside = aside_of(self.setting)
        aside.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").rename(aside / uuid.uuid4().hex)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"


class Running:
    """A command of the generator that runs."""

    def __init__(self, system, command, options):
        self.title = f"{system.kind}: {command} {' '.join(options)}"
        args = [command, "--bootstrap", system.bootstrap, "--broker-pid", str(system.process.pid), *options]
        self.process = subprocess.Popen(
            [*system.setting.client_prefix(), system.setting.generator, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def report(self):
        """Waits for the line that it prints."""
        line = self.process.stdout.readline()
        if not line:
            self.end()
            raise Failure(f"{self.title}: it reported nothing")
        return json.loads(line)

    def end(self):
        """Lets it end."""
        _, err = self.process.communicate()
        if self.process.returncode != 0:
            raise Failure(f"{self.title}: {err.strip()[-300:]}")


class Dohle(System):
    kind = "dohle"
    title = short = "Dohle"

    def format_command(self, cluster):
        return [self.setting.dohle, "storage", "format", "--standalone", "-t", cluster, "-c", self.file]

    def start_command(self):
        return [self.setting.dohle, "server", self.file]


class Kafka(System):
    kind = "kafka"
    title, short = "Kafka 4.4.0", "Kafka"

    def java(self, heap):
        log4j = self.folder / "log4j2.yaml"
        log4j.write_text(LOG4J)
        # As bin/kafka-server-start.sh and bin/kafka-run-class.sh set them.
        flags = "-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"
        flags += " -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true"
        return ["java", *heap, *flags.split(), f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{jars()}/*"]

    def format_command(self, cluster):
        storage = "kafka.tools.StorageTool"
        return [*self.java(["-Xmx256m"]), storage, "format", "--standalone", "-t", cluster, "-c", self.file]

    def start_command(self):
        return [*self.java(["-Xmx1G", "-Xms1G"]), "kafka.Kafka", self.file]


class Floor(System):
    kind = "floor"
    title = short = "floor"

    def format(self, settings=()):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = free_port()

    def start_command(self):
        return [self.setting.generator, "floor", "--port", str(self.port), "--dir", self.folder / "data"]


class FloorInFiles(Floor):
    """The same with new files, as long as those of a topic that is kept short, and as many."""

    kind = "files"
    title = short = "floor in new files"

    def start_command(self):
        return [*super().start_command(), "--new-files"]


KINDS = {kind.kind: kind for kind in (Dohle, Kafka, Floor, FloorInFiles)}


def jars():
    """The folder with Kafka's jars: KAFKA_LIBS, or fetched by Maven once."""
    return os.environ.get("KAFKA_LIBS") or install.kafka()
