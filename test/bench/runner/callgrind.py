"""Instructions and allocations of a node, counted by callgrind: the node runs in it, its clients do not.

The node is asked for a dump at each mark; a dump starts all counts anew. Valgrind shows the node a processor
of its own, whatever the machine has beyond that; and glibc is told to copy and compare as every x86-64 can, so that it
chooses the same code everywhere.
"""

import re
import shutil
import subprocess
import time
from collections import Counter

from harness import install

from .counted import CountedDohle
from .systems import Failure

# The ways into libc's allocator; the program has no other.
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}
FUNCTION = re.compile(r"c?fn=\((\d+)\)(?: (.*))?")
WRITTEN_SECONDS = 10
PLAIN_CPU = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX,-SSE4_2,-SSSE3,-ERMS,-FSRM"


def install_valgrind():
    install.debian(["valgrind"], lambda: shutil.which("valgrind") and shutil.which("vgdb"))


class CallgrindDohle(CountedDohle):
    """Many times slower."""

    def format(self):
        super().format()
        self.marks = 0
        # Its pipes go with the folder: a killed node leaves them.
        self.pipes = f"--vgdb-prefix={self.folder}/vgdb"

    def start_command(self):
        # Without --fair-sched one thread may keep the others from running for a long time.
        valgrind = ["valgrind", "--tool=callgrind", "--separate-threads=no", "--fair-sched=yes", self.pipes]
        out = f"--callgrind-out-file={self.folder}/callgrind.out"
        return ["env", PLAIN_CPU, *valgrind, out, *super().start_command()]

    def count(self):
        """Instructions and calls of the allocator, of all threads."""
        self.marks += 1
        command = ["vgdb", self.pipes, f"--pid={self.process.pid}", "dump", f"mark {self.marks}"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired as late:
            raise Failure("callgrind gave no counts within a minute") from late
        if done.returncode != 0 or not self.dump.exists():
            raise Failure(f"callgrind gave no counts: {(done.stdout + done.stderr).strip()[-300:]}")
        return parse(self.whole_dump())

    def whole_dump(self):
        """The last mark's, once its last line is there: the node may go on writing it after vgdb has its answer."""
        deadline = time.monotonic() + WRITTEN_SECONDS
        while "\ntotals: " not in (text := self.dump.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return text

    @property
    def dump(self):
        """The file of the last mark."""
        return self.folder / f"callgrind.out.{self.marks}"


def parse(dump):
    """Callgrind's format: a function is `(number) name` where it comes first and `(number)` from then on.

    A node that slept from one mark to the next has done nothing, which is a count too.
    """
    names, called, callee, instructions = {}, Counter(), None, None
    for line in dump.splitlines():
        if found := FUNCTION.match(line):
            number, name = found.groups()
            if name is not None:
                names[number] = name
            if line.startswith("c"):
                callee = number
        elif line.startswith("calls="):
            called[callee] += int(line[len("calls=") :].split()[0])
        elif line.startswith("totals:"):
            instructions = int(line.split()[1])
    if instructions is None:
        raise Failure(f"callgrind's counts are not whole; they end with: {dump[-300:]}")
    allocations = sum(count for number, count in called.items() if names[number] in ALLOCATORS)
    return {"instructions": instructions, "allocations": allocations}
