"""What it costs just now to write into the page cache: to pages never touched before, and to known ones.

On virtual machines the first can be many times the second, because the host has to find the memory. Brokers
append to new files and the floor does not, so a reader of produce rows has to know.
"""

import os
import resource
from pathlib import Path

SIZE = 256 << 20
CHUNK = bytes(64 << 10)

# Source: Virtual I/O Device 1.2, 5.5.3: VIRTIO_BALLOON_F_REPORTING.
REPORTING = 5
BALLOONS = Path("/sys/bus/virtio/drivers/virtio_balloon")
ORDER = Path("/sys/module/page_reporting/parameters/page_reporting_order")
# Larger free blocks than of 2^10 pages are there only if Linux was built for them.
ORDER_MAX = 10


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


def goes_back(balloons=BALLOONS, order=ORDER):
    """Whether the system tells that it gives free memory back to the host of this virtual machine."""
    try:
        features = [file.read_text() for file in balloons.glob("virtio*/features")]
        is_on = int(order.read_text()) <= ORDER_MAX
    except (OSError, ValueError):
        return False
    return is_on and any(bits[REPORTING : REPORTING + 1] == "1" for bits in features)
