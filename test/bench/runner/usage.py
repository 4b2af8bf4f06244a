"""What a broker, the clients and the machine have used, seen from the runner.

The generator looks for itself; this is for loads that are somebody else's programs. A broker's time is its own CPU
clock, which counts all its threads, those that have ended too, in nanoseconds.
"""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start of what they belong to, and when they were read."""

    at: float
    broker: float
    # Children of the runner that have ended and were waited for; a running broker is none of them.
    clients: float
    machine: float
    # What the host gave to other machines.
    steal: float

    def since(self, earlier):
        """A report's common fields for what was used since `earlier`."""
        broker, clients = self.broker - earlier.broker, self.clients - earlier.clients
        return {
            "seconds": self.at - earlier.at,
            "broker_cpu_seconds": broker,
            "client_cpu_seconds": clients,
            "foreign_cpu_seconds": max(0.0, self.machine - earlier.machine - broker - clients),
            "steal_seconds": self.steal - earlier.steal,
        }


def now(pid):
    """The usage of the process `pid`, of ended children and of the machine."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    clients = children.ru_utime + children.ru_stime
    machine, steal = machine_seconds(Path("/proc/stat").read_text())
    return Usage(time.monotonic(), time.clock_gettime(cpu_clock(pid)), clients, machine, steal)


def cpu_clock(pid):
    """The clock that Linux gives to each process: its number, inverted, above the kind, which is 2: scheduled time."""
    return ~pid << 3 | 2


def machine_seconds(stat):
    """Work, and time that was stolen, of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq) / TICKS, steal / TICKS
