"""System calls, allocations and instructions per request: what does not depend on what else the machine does.

Each is the difference of two loads that differ in nothing but the number of their requests, so that connecting,
making topics, filling and deleting them cancel. Loads leave nothing to time: one connection, and either one
request in flight or bursts of which each waits for all answers to the last.
"""

import itertools
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import callgrind, counted, syscalls
from .cases import FLUSHED
from .systems import Failure

FEW, MANY = 400, 3_400
# There is no room for more.
LENGTHS = {"produce-1m": (40, 240)}

WHAT = ("instructions", "allocations", "system calls")

PRODUCE = ["produce", "--connections", 1, "--in-flight", 1]
FETCH = ["fetch", "--connections", 1, "--batches", 64]
SEALED = ["fetch", "--connections", 1, "--batches", 5_000]
LOADS = {
    "produce-1k": [*PRODUCE, "--size", 1_024],
    "produce-1k-burst": ["produce", "--connections", 1, "--in-flight", 20, "--bursts", "--size", 1_024],
    "produce-1k-durable": [*PRODUCE, "--size", 1_024, "--topic-config", FLUSHED],
    "produce-64k": [*PRODUCE, "--size", 65_536],
    "produce-64k-lz4": [*PRODUCE, "--size", 65_536, "--codec", "lz4"],
    "produce-64k-zstd": [*PRODUCE, "--size", 65_536, "--codec", "zstd"],
    "produce-1m": [*PRODUCE, "--size", 1_048_576],
    "fetch-1k": [*FETCH, "--size", 1_024, "--batch-size", 1_024],
    "fetch-64k": [*FETCH, "--size", 65_536, "--batch-size", 65_536],
    # By sendfile, and no larger than what a socket takes at once: how often it is told of room is the client's pace.
    "fetch-256k": [*FETCH, "--size", 262_144, "--batch-size", 65_536],
    # All requests of the longer one stay in the first four of five segments.
    "fetch-sealed": [*SEALED, "--size", 1_024, "--batch-size", 1_024, "--topic-config", "segment.bytes=1048576"],
    # A fetch that waits, behind a request that shows that it does, and the produce that wakes it.
    "wake-1k": ["wake", "--size", 1_024],
}
# What hangs on time all the same.
UNSTEADY = {
    ("produce-1m", "system calls"): "how often it is read is how fast it comes",
    ("produce-1m", "allocations"): "too few requests for what a node allocates now and then",
}
# Whose request waits for a disk, unless there is none: how long a sync takes decides which thread does the next one.
DURABLE = "produce-1k-durable"

# What the node of the expected instructions ran on: another allocator, compiler or processor needs others.
MACHINE = "x86_64"

# Deleted directories go 50 ms later, and are not to be counted with the next load.
SETTLED_SECONDS = 0.2


@dataclass
class Found:
    """Counts by load and what is counted, and why some are left out."""

    counts: dict = field(default_factory=dict)
    # The system calls of a load by name, most frequent first.
    calls: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)


def measure(setting, dumps):
    """Counts all of it; the last callgrind dump of each load stays in the folder `dumps`."""
    found, in_memory = Found(), counted.has_memory()
    if not in_memory:
        reason = f"{counted.SHARED_MEMORY} is no tmpfs with {counted.ROOM >> 30} GiB free"
        found.left_out |= {(DURABLE, what): reason for what in WHAT}
    if platform.machine() != MACHINE:
        found.left_out |= {(load, "instructions"): f"this is no {MACHINE}" for load in LOADS}
    refuse_in_ci(found.left_out)
    found.left_out |= UNSTEADY
    shutil.rmtree(dumps, ignore_errors=True)
    dumps.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="dohle-counts-", dir=counted.SHARED_MEMORY if in_memory else dumps) as folder:
        setting = replace(setting, folder=Path(folder))
        for node in (syscalls.StracedDohle(setting), callgrind.CallgrindDohle(setting)):
            measure_on(node, found, dumps)
    keys = itertools.product(LOADS, WHAT)
    return replace(found, counts={key: found.counts[key] for key in keys if key in found.counts})


def refuse_in_ci(left_out):
    """Nobody reads there that something is left out, so it is a failure."""
    if left_out and os.environ.get("CI"):
        raise Failure("not counted, and CI is set: " + "; ".join(dict.fromkeys(left_out.values())))


def measure_on(node, found, dumps):
    try:
        node.format()
        node.start("first", create=True, pinned=True)
        for name, load in LOADS.items():
            if all((name, what) in found.left_out for what in WHAT):
                continue
            each = per_request(node, name, load)
            if isinstance(node, callgrind.CallgrindDohle):
                shutil.copy(node.dump, dumps / f"{name}.callgrind")
            else:
                found.calls[name] = by_name(each)
                each = {"system calls": sum(each.values())}
            found.counts |= {(name, w): n for w, n in each.items() if (name, w) not in found.left_out}
    finally:
        node.kill()
        node.clear()


def per_request(node, name, load):
    """What each request adds to the node's counts."""
    lengths = LENGTHS.get(name, (FEW, MANY))
    (few, before), (many, after) = (count(node, f"{name}-{n}", [*load, "--requests", n]) for n in lengths)
    return {what: (after[what] - before.get(what, 0)) / (many - few) for what in after}


def count(node, topic, load):
    """How many requests were answered, and what that took."""
    command, *options = load
    phases = ["--warm-up-seconds", 0, "--warm-up-requests", 0, "--seconds", 300]
    node.count()
    report = node.load(command, "--topic", topic, *phases, *options)
    time.sleep(SETTLED_SECONDS)
    return report["requests"], node.count()


def by_name(calls):
    most = sorted(calls.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {number:.2f}" for name, number in most if number >= 0.005)


def doubts(found):
    """What cannot be if the instruments see what a request does."""
    count = found.counts.get
    needed = {key: n for key, n in found.counts.items() if key[1] != "allocations"}
    wrong = [f"{load}, {what}: {n} for a request" for (load, what), n in needed.items() if n <= 0]
    allocations = [count((load, "allocations"), 0) for load in LOADS]
    if max(allocations) < 1:
        wrong.append("no load allocates anything")
    checked = [count((load, "instructions")) for load in ("produce-1k", "produce-64k")]
    if all(checked) and checked[1] < checked[0] * 1.5:
        wrong.append("to check 64 KiB takes no more instructions than 1 KiB")
    alone, burst = (count((load, "system calls"), 0) for load in ("produce-1k", "produce-1k-burst"))
    if burst > alone / 2:
        wrong.append("requests that come together are not read and answered together")
    return wrong


def install():
    """What counts, if it is not there."""
    try:
        syscalls.install_strace()
        callgrind.install_valgrind()
    except OSError as error:
        raise Failure(f"strace and valgrind are needed, and cannot be installed here: {error}") from error


def tools():
    """What instructions hang on besides our own code, in a line."""
    libc = " ".join(platform.libc_ver())
    versions = [first_line("rustc", "--version"), libc, first_line("valgrind", "--version")]
    return ", ".join([platform.machine(), *(re.sub(r" \(.*\)", "", version) for version in versions)])


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0]
