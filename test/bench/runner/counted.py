"""A node whose work is counted, and what keeps time and machine out of it.

Its data lie in memory if there is room: then no disk decides who syncs and how often one waits. Its sockets
take an answer of 64 KiB whole: then the client's pace decides nothing either.
"""

import shutil
from pathlib import Path

from .systems import Dohle, Failure

SHARED_MEMORY = Path("/dev/shm")
# The largest load, a write-ahead log, and what Dohle wants to see free beside it.
ROOM = 1 << 30
SEND_BUFFER = "socket.send.buffer.bytes=262144\n"


def has_memory():
    """Whether there is a file system in memory with room for all of it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return [str(SHARED_MEMORY), "tmpfs"] in mounts and shutil.disk_usage(SHARED_MEMORY).free >= ROOM


class CountedDohle(Dohle):
    """Dohle under a tool that counts; `count` tells what it has done since the last call, as numbers by name."""

    def format(self):
        super().format()
        with open(self.file, "a") as file:
            file.write(SEND_BUFFER)

    def start(self, topic, create, pinned):
        try:
            return super().start(topic, create, pinned)
        except Failure as failure:
            raise self.with_log(failure) from failure

    def load(self, command, *options):
        try:
            return super().load(command, *options)
        except Failure as failure:
            raise self.with_log(failure) from failure

    def with_log(self, failure):
        """Its folder does not stay for whoever looks into a failure."""
        log = self.folder / "broker.log"
        tail = log.read_text(errors="replace")[-1_000:] if log.exists() else ""
        return Failure(f"{failure}\n{tail}")
