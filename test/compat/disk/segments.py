"""Segment files made by hand, as a node leaves them that was interrupted or that is older than this one."""

import gzip
import struct
import zlib

from wire.batches import batch

from .observe import batches

TIMESTAMP = 1_700_000_000_000
# No producers: version 1, the checksum of what follows, a count of 0.
EMPTY_SNAPSHOT = bytes.fromhex("000148674bc700000000")


def rows(base, count, keys=4):
    """Records with keys that repeat."""
    return [(f"key {(base + i) % keys}".encode(), f"value {base + i}".encode()) for i in range(count)]


def plain(base, count=5, epoch=0):
    """A batch of format 2 at an offset."""
    data = bytearray(batch(rows(base, count), TIMESTAMP + base % 1000, base=base))
    struct.pack_into(">i", data, 12, epoch)
    return bytes(data)


def old(base, magic, codec=0, inner=b"", at=None):
    """A message of format 0 or 1; with a codec it wraps other messages."""
    attributes = struct.pack(">bb", magic, codec)
    stamp = struct.pack(">q", TIMESTAMP + (base if at is None else at)) if magic else b""
    key, value = (None, inner) if codec else (b"key", f"old value {base}".encode())
    sized = lambda data: struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
    body = attributes + stamp + sized(key) + sized(value)
    return struct.pack(">qiI", base, len(body) + 4, zlib.crc32(body)) + body


def wrapped(base, magic, count):
    """Compressed old messages: in format 1 the inner offsets are relative, in format 0 absolute."""
    first = 0 if magic else base
    inner = b"".join(old(first + i, magic, at=base + i) for i in range(count))
    return old(base + count - 1, magic, 1, gzip.compress(inner, mtime=0))


def name(base, kind, stage=""):
    return f"{base:020}.{kind}{stage}"


def time_index(base, data):
    """The one entry that a closed segment has at least, if its records have a time."""
    newest = max(((b.timestamp, -b.last) for b in batches(data)), default=(-1, 0))
    if newest[0] < 0:
        return b""
    return struct.pack(">qi", newest[0], min(-newest[1] - base, (1 << 31) - 1))


def put(folder, base, data, stage="", kinds=("log", "index", "timeindex"), kind_stages=None):
    """The files of a segment; the offset index is sound, and of no help."""
    folder.mkdir(exist_ok=True)
    contents = {"log": data, "index": b"", "timeindex": time_index(base, data)}
    for kind in kinds:
        file = folder / name(base, kind, (kind_stages or {}).get(kind, stage))
        file.write_bytes(contents[kind])
