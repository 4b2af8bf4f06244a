"""System calls of a broker per request, counted by strace in a run of its own: tracing costs time.

Everything that the broker's threads call meanwhile is counted, timers and housekeeping too. The benchmark's row
attaches to a broker that runs, of any kind, and divides by the requests; the counts that must hold start Dohle under
strace, and read off what a load added.
"""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from harness import install

from .counted import CountedDohle
from .systems import Failure

REQUESTS = 3_000
TOPIC = ["--topic", "traced", "--keep", "--size", 1_024, "--connections", 1, "--in-flight", 1]

# A call's first line; where another thread comes between, `<... name resumed>` follows.
CALL = re.compile(r"\d+ +(\w+)\(")

_missing = None


def install_strace():
    install.debian(["strace"], lambda: shutil.which("strace"))


def available(notes):
    """Whether strace is there, or could be installed; says why not, once."""
    global _missing
    if _missing is None:
        try:
            install_strace()
            _missing = False
        except (install.InstallError, OSError):
            _missing = True
            notes.append("system calls are left out: strace is not installed and could not be")
    return not _missing


def count(system):
    """Traces the broker through some thousand requests."""
    system.load("produce", *TOPIC, "--warm-up-seconds", 1, "--seconds", 1)
    pid = system.process.pid
    out = system.folder / "strace.txt"
    command = ["strace", "-c", "-f", "-p", str(pid), "-o", out]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until_traced(pid, tracer)
        report = system.load("produce", *TOPIC, "--warm-up-requests", 0, "--requests", REQUESTS, "--seconds", 120)
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.communicate()
    calls = parse(out.read_text() if out.exists() else "")
    if not calls:
        raise Failure(f"{system.kind}: strace counted nothing")
    per_request = {name: number / report["requests"] for name, number in calls.items()}
    most = sorted(per_request.items(), key=lambda item: -item[1])
    by_name = ", ".join(f"{name} {number:.2f}" for name, number in most if number >= 0.05)
    return {"calls": sum(per_request.values()), "by_name": by_name}


def wait_until_traced(pid, tracer):
    """Until every thread has its tracer; a JVM has a hundred."""
    for _ in range(200):
        if tracer.poll() is not None:
            raise Failure(f"strace cannot attach: {tracer.stderr.read().strip()[-200:]}")
        states = [status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")]
        if states and all("TracerPid:\t0\n" not in state for state in states):
            return
        time.sleep(0.05)
    raise Failure("strace did not attach to all threads within 10 s")


def parse(summary):
    """Calls by name from the table of `strace -c`: % time, seconds, usecs/call, calls, [errors], name."""
    calls = {}
    for line in summary.splitlines():
        fields = line.split()
        if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls


class StracedDohle(CountedDohle):
    """Traced from its start, by a grandchild of its own: that needs no leave to attach to what runs already."""

    def format(self):
        super().format()
        self.trace = self.folder / "strace.txt"
        self.read = 0

    def start_command(self):
        strace = ["strace", "-D", "-f", "-qq", "--signal=none", "--raw=all", f"--output={self.trace}"]
        return [*strace, *super().start_command()]

    def count(self):
        """Calls by name, of all threads."""
        with open(self.trace, "rb") as file:
            file.seek(self.read)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self.read += len(whole)
        return parse_trace(whole.decode(errors="replace"))


def parse_trace(text):
    found = (CALL.match(line) for line in text.splitlines())
    return Counter(call.group(1) for call in found if call)
