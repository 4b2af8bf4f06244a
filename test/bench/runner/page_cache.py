"""What it costs just now to write into the page cache: to pages never touched before, and to known ones.

On virtual machines the first can be many times the second, because the host has to find the memory. Brokers
append to new files and the floor does not, so a reader of produce rows has to know.
"""

import os
import resource

SIZE = 256 << 20
CHUNK = bytes(64 << 10)


def probe(folder):
    """CPU seconds a GB of a fresh file, and of the same file written again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probe"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        return write_all(file), write_all(file)
    finally:
        os.close(file)
        path.unlink()


def write_all(file):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
    for position in range(0, SIZE, len(CHUNK)):
        os.pwrite(file, CHUNK, position)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_stime - before) / (SIZE / 1e9)
