//! The hashes that decide where a key or a group lives. All clients and brokers must agree on them.

/// Java's `String.hashCode`: over UTF-16 units, h = 31·h + unit, wrapping at 32 bits.
pub fn java_string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of an internal topic that a group or transactional id belongs to.
///
/// # Panics
/// When `partition_count` is not positive.
pub fn partition_for_string(text: &str, partition_count: i32) -> i32 {
    assert!(partition_count > 0);
    let hash = java_string_hash(text);
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partition_count
}

/// Murmur2 with the seed that Kafka's producers use; mask it to 31 bits and take it modulo the
/// number of partitions to find a key's partition.
pub fn murmur2(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut h = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * at);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_live_where_kafka_puts_them() {
        for (text, partition) in [("my-group", 12), ("txn-1", 10), ("polygenelubricants", 0)] {
            assert_eq!(partition_for_string(text, 50), partition, "{text}");
        }
    }

    #[test]
    fn murmur2_equals_the_java_clients() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }
}
