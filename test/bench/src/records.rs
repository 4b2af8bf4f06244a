//! What is produced: records of about 1 KiB of JSON, in batches of a chosen size; or of random bytes.
//!
//! The JSON is an order of a shop: field names repeat, names and words repeat often, numbers and
//! ids do not. lz4 makes it about 2.5 times smaller, which is what real events give.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dohle_base::{Rng, Timestamp};
use dohle_records::{BatchBuilder, BatchSpec, Codec, Compression, NewRecord};

/// The size of a record's value, unless it is the one that fills up a batch.
const VALUE_SIZE: usize = 1_000;

const WORDS: [&str; 16] = [
    "amber", "bolt", "cedar", "delta", "ember", "flint", "grove", "harbour", "iris", "juniper",
    "kestrel", "lumen", "meadow", "north", "onyx", "pebble",
];

/// A batch of `size` bytes before compression, or up to two bytes less, as lengths allow.
///
/// # Panics
/// If not even one small record fits into `size`.
pub(crate) fn batch(size: usize, codec: Codec) -> Bytes {
    filled(size, codec, order)
}

/// The same of bytes that nothing makes smaller.
///
/// # Panics
/// If not even one small record fits into `size`.
pub(crate) fn random_batch(size: usize, codec: Codec) -> Bytes {
    filled(size, codec, noise)
}

fn filled(size: usize, codec: Codec, value_of: fn(&mut Rng, usize) -> Vec<u8>) -> Bytes {
    let (mut rng, timestamp) = (Rng::from_seed(size as u64), now());
    let mut builder = BatchBuilder::new(spec(codec));
    loop {
        let value = value_of(&mut rng, VALUE_SIZE);
        let whole = NewRecord { timestamp, value: Some(&value), ..NewRecord::default() };
        // What would be left behind the record must still hold another one.
        if builder.size() + builder.size_of(&whole) + VALUE_SIZE / 4 <= size {
            builder.append(&whole).expect("far from 1 GiB");
            continue;
        }
        let filler = value_of(&mut rng, 2 * VALUE_SIZE);
        let fitting = (1..=filler.len())
            .rev()
            .map(|length| NewRecord { value: filler.get(..length), ..whole });
        let last = fitting.into_iter().find(|record| builder.fits(record, size));
        let last = last.expect("a batch has room for one record");
        builder.append(&last).expect("far from 1 GiB");
        return builder.finish();
    }
}

/// A batch of one record, for when the size does not matter.
pub(crate) fn small_batch() -> Bytes {
    batch(256, Codec::None)
}

/// A batch of `count` records, each of which alone would make a batch of `size` bytes.
pub(crate) fn batch_of(count: usize, size: usize) -> Bytes {
    let (mut rng, timestamp) = (Rng::from_seed(count as u64), now());
    let overhead = 70;
    let mut builder = BatchBuilder::new(spec(Codec::None));
    for _ in 0..count {
        let value = order(&mut rng, size.saturating_sub(overhead).max(1));
        let record = NewRecord { timestamp, value: Some(&value), ..NewRecord::default() };
        builder.append(&record).expect("far from 1 GiB");
    }
    builder.finish()
}

fn spec(codec: Codec) -> BatchSpec {
    BatchSpec { compression: Compression::new(codec), ..BatchSpec::default() }
}

/// Records of today: a broker may delete what is a week old.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// `size` bytes of JSON; the last object may be cut.
fn order(rng: &mut Rng, size: usize) -> Vec<u8> {
    let word = |rng: &mut Rng| WORDS[rng.below(WORDS.len() as u64) as usize];
    let mut json = format!(
        "{{\"order\":\"{:016x}\",\"customer\":{{\"id\":{},\"name\":\"{} {}\",\"tier\":\"gold\"}},\"items\":[",
        rng.next_u64(),
        rng.below(1_000_000),
        word(rng),
        word(rng)
    );
    while json.len() < size {
        json.push_str(&format!(
            "{{\"sku\":\"{:08x}\",\"title\":\"{} {} {}\",\"quantity\":{},\"price\":{}.{:02},\"currency\":\"EUR\"}},",
            rng.next_u64() as u32,
            word(rng),
            word(rng),
            word(rng),
            1 + rng.below(9),
            rng.below(500),
            rng.below(100)
        ));
    }
    json.truncate(size);
    json.into_bytes()
}

/// `size` random bytes.
fn noise(rng: &mut Rng, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    rng.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
