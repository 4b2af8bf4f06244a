"""Kafka's default partitioner: murmur2 of the key. All clients must agree on it or joins by key break."""


def murmur2(data):
    """MurmurHash2 with Kafka's seed, as an unsigned 32-bit number."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    """The partition that every client's default (or Java-compatible) partitioner gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
