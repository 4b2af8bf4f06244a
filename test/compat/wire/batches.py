"""Record batches built by hand, right and wrong."""

import struct


def table():
    """CRC-32C, one entry for each byte."""
    entries = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        entries.append(value)
    return entries


TABLE = table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, key, value, headers=()):
    """One record of a batch whose records all have the base timestamp."""
    body = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
    body += b"".join(sized(name) + sized(data) for name, data in headers)
    return varint(len(body)) + body


def batch(records, timestamp, magic=2, crc=None, producer=(-1, -1, -1), attributes=0, count=None, base=0):
    """A batch of format 2 of (key, value) pairs; `crc`, `magic`, `count` and the rest can be made wrong."""
    body = b"".join(record(i, key, value) for i, (key, value) in enumerate(records))
    count = len(records) if count is None else count
    tail = (
        struct.pack(">hiqqqhii", attributes, len(records) - 1, timestamp, timestamp, *producer, count) + body
    )
    head = struct.pack(">ibI", 0, magic, crc32c(tail) if crc is None else crc)
    return struct.pack(">qi", base, len(head) + len(tail)) + head + tail


def hexed(data):
    """A records field as the schema codec writes it."""
    return "0x" + data.hex()
