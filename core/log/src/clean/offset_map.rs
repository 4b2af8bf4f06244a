//! Where the last record of each key is, for the dirty part of a log, in memory that is known
//! beforehand.
//!
//! ```text
//! 0                8                16            24
//! | first 128 bits of the key's SHA-256 | offset + 1 | …     all zeros: free
//! ```
//!
//! The keys themselves are not kept. Two keys of one hash would count as one, and the older would
//! lose its record; Kafka takes that risk with MD5, for which such keys can be made on purpose. For
//! these bits they cannot, and by chance they do not meet.
//!
//! Slots are probed one after another. Nothing is ever taken out.

use dohle_base::Offset;
use sha2::{Digest, Sha256};

/// Bytes of a slot. Source: Kafka's has as many, so that `log.cleaner.dedupe.buffer.size` means the
/// same here.
const SLOT_SIZE: usize = size_of::<Slot>();
/// However full a map may be, every fiftieth slot stays free, so that a search ends soon.
const LOAD_MAX: f64 = 0.98;

type Slot = [u64; 3];

/// How much memory a clean may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanMemory {
    /// Bytes of the map of keys. `log.cleaner.dedupe.buffer.size`, shared among the threads.
    pub map_bytes: usize,
    /// How full the map may get before a pass goes no further. `log.cleaner.io.buffer.load.factor`.
    pub load_factor: f64,
    /// How many bytes are read at once, and written, unless a batch is larger.
    /// `log.cleaner.io.buffer.size`, shared likewise, for either.
    pub io_bytes: usize,
}

/// Last offsets by key.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    used_max: usize,
    latest: Option<Offset>,
}

impl OffsetMap {
    /// An empty map for as many keys as `memory` allows, but not for more than `keys_max`: a small
    /// log takes little.
    pub(crate) fn new(memory: CleanMemory, keys_max: u64) -> Self {
        let load = memory.load_factor.clamp(0.0, LOAD_MAX);
        let slots_max = (memory.map_bytes / SLOT_SIZE).max(2);
        // One key at least, or no pass would get anywhere. A cast from a float saturates.
        let allowed = ((slots_max as f64 * load) as usize).clamp(1, slots_max - 1);
        let used_max = usize::try_from(keys_max).map_or(allowed, |keys| keys.clamp(1, allowed));
        let slots = if used_max == allowed {
            slots_max
        } else {
            ((used_max as f64 / load) as usize).saturating_add(1).clamp(used_max + 1, slots_max)
        };
        Self { slots: vec![[0; 3]; slots], used: 0, used_max, latest: None }
    }

    /// Notes that a key's record is at `offset`, behind all before. `false` if there is no room for
    /// another key.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let [high, low] = hash(key);
        let index = self.find(high, low);
        let is_full = self.used >= self.used_max;
        let Some(slot) = self.slots.get_mut(index) else { return false };
        if slot[2] == 0 {
            if is_full {
                return false;
            }
            self.used += 1;
        }
        *slot = [high, low, offset.0.unsigned_abs() + 1];
        self.latest = Some(offset);
        true
    }

    /// Where the key's last record is, if it is in the map.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [high, low] = hash(key);
        let stored = self.slots.get(self.find(high, low))?[2];
        i64::try_from(stored.checked_sub(1)?).ok().map(Offset)
    }

    /// Up to which offset, that one included, the map knows all records.
    pub(crate) fn latest(&self) -> Option<Offset> {
        self.latest
    }

    /// Notes that up to `offset` there is nothing more.
    pub(crate) fn advance(&mut self, offset: Offset) {
        self.latest = self.latest.max(Some(offset));
    }

    /// The slot of a hash, or the free one where it belongs.
    fn find(&self, high: u64, low: u64) -> usize {
        let count = self.slots.len();
        let mut index = ((u128::from(high) * count as u128) >> 64) as usize;
        loop {
            match self.slots.get(index) {
                Some(&[h, l, stored]) if stored != 0 && (h, l) != (high, low) => index += 1,
                Some(_) => return index,
                // At least one slot is free, so this happens once at most.
                None => index = 0,
            }
        }
    }
}

fn hash(key: &[u8]) -> [u64; 2] {
    let digest = Sha256::digest(key);
    let half = |start: usize| {
        let bytes = digest.get(start..start + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_be_bytes(bytes.unwrap_or_default())
    };
    [half(0), half(8)]
}
