//! What was sent and what was acknowledged: the one side of the comparison.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use dohle_base::Rng;
use dohle_client::{Delivered, ProduceError};

/// A record's number: no two have the same.
pub(crate) type RecordId = u64;

/// So many records in a row are large: several times what a frame of the write-ahead log takes.
const BURST: u64 = 144;
/// So many records begin with those.
const BURST_EVERY: u64 = 4096;

/// Everything that was sent, and what became of it.
pub(crate) struct Ledger {
    seed: u64,
    partitions: i32,
    /// How many bytes a record has at most besides its number.
    filling_max: u64,
    /// How many a record in a burst has, if there are bursts.
    large: Option<Range<u64>>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Only records with a smaller number were sent.
    sent: RecordId,
    /// By partition and offset.
    acknowledged: Vec<BTreeMap<i64, RecordId>>,
    /// Acknowledged without an offset.
    somewhere: BTreeSet<RecordId>,
    /// Offsets that were told of two records.
    conflicts: Vec<String>,
    /// How often which error was told.
    refused: BTreeMap<String, u64>,
    /// How many bytes of records of bursts were acknowledged.
    large_size: u64,
    /// From how many on none are sent.
    large_max: u64,
}

/// What had been acknowledged at some time.
pub(crate) struct Acknowledged {
    pub(crate) by_offset: Vec<BTreeMap<i64, RecordId>>,
    pub(crate) somewhere: BTreeSet<RecordId>,
    pub(crate) conflicts: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(seed: u64, partitions: i32, filling_max: u64) -> Self {
        let acknowledged = (0..partitions).map(|_| BTreeMap::new()).collect();
        let entries =
            Mutex::new(Entries { acknowledged, large_max: u64::MAX, ..Entries::default() });
        Self { seed, partitions, filling_max, large: None, entries }
    }

    /// With bursts of records of so many bytes, if any.
    pub(crate) fn with_large(self, large: Option<Range<u64>>) -> Self {
        Self { large, ..self }
    }

    /// Bursts are left out from now on once so many bytes of them were acknowledged, since the beginning.
    pub(crate) fn allow_large(&self, bytes: u64) {
        self.entries().large_max = bytes;
    }

    /// Whether there are bursts.
    pub(crate) fn has_large(&self) -> bool {
        self.large.is_some()
    }

    /// Whether the record is one of a burst.
    pub(crate) fn is_large(&self, id: RecordId) -> bool {
        self.has_large() && id % BURST_EVERY < BURST
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The number of the next record that is sent, to one of these partitions.
    pub(crate) fn send_to(&self, partitions: &BTreeSet<i32>) -> RecordId {
        let mut entries = self.entries();
        loop {
            entries.sent += 1;
            let id = entries.sent - 1;
            let is_left_out = self.is_large(id) && entries.large_size >= entries.large_max;
            if !is_left_out && partitions.contains(&self.partition_of(id)) {
                return id;
            }
        }
    }

    pub(crate) fn partition_of(&self, id: RecordId) -> i32 {
        self.chance(id).below(u64::from(self.partitions.unsigned_abs())) as i32
    }

    /// The only value that the record can have.
    pub(crate) fn value_of(&self, id: RecordId) -> Bytes {
        let mut rng = self.chance(id);
        let _ = rng.next_u64(); // The partition.
        let mut value = BytesMut::from(&id.to_be_bytes()[..]);
        let large = self.large.clone().filter(|_| self.is_large(id));
        let sizes = large.unwrap_or(0..self.filling_max);
        value.resize(8 + (sizes.start + rng.below(sizes.end - sizes.start)) as usize, 0);
        rng.fill(&mut value[8..]);
        value.freeze()
    }

    fn chance(&self, id: RecordId) -> Rng {
        Rng::from_seed(self.seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Which record this is the value of.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn recognize(&self, partition: i32, value: &[u8]) -> Result<RecordId, &'static str> {
        let id = value.first_chunk().map(|id| RecordId::from_be_bytes(*id));
        let id = id.filter(|id| *id < self.entries().sent).ok_or("nobody sent it")?;
        if self.value_of(id) != value {
            return Err("its bytes are not those that were sent");
        }
        if self.partition_of(id) != partition {
            return Err("it was sent to another partition");
        }
        Ok(id)
    }

    /// Notes what became of a record.
    pub(crate) fn note(&self, id: RecordId, outcome: Result<Delivered, ProduceError>) {
        let large_size = if self.is_large(id) { self.value_of(id).len() as u64 } else { 0 };
        let mut entries = self.entries();
        entries.large_size += if outcome.is_ok() { large_size } else { 0 };
        match outcome {
            Ok(Delivered { offset: Some(offset), .. }) => {
                let partition = self.partition_of(id);
                let there = entries.acknowledged[partition as usize].insert(offset.0, id);
                if let Some(other) = there {
                    entries.conflicts.push(format!(
                        "partition {partition} at {}: acknowledged for record {other}, then for {id}",
                        offset.0
                    ));
                }
            }
            Ok(_) => {
                entries.somewhere.insert(id);
            }
            Err(error) => *entries.refused.entry(error.to_string()).or_insert(0) += 1,
        }
    }

    pub(crate) fn acknowledged(&self) -> Acknowledged {
        let entries = self.entries();
        Acknowledged {
            by_offset: entries.acknowledged.clone(),
            somewhere: entries.somewhere.clone(),
            conflicts: entries.conflicts.clone(),
        }
    }

    /// The offset behind the greatest one that was told of a record.
    pub(crate) fn acknowledged_end(&self, partition: i32) -> i64 {
        let entries = self.entries();
        entries.acknowledged[partition as usize].last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// How many were acknowledged with their offset in these partitions.
    pub(crate) fn acknowledged_in(&self, partitions: &BTreeSet<i32>) -> usize {
        let entries = self.entries();
        partitions.iter().map(|index| entries.acknowledged[*index as usize].len()).sum()
    }

    pub(crate) fn acknowledged_large(&self) -> u64 {
        self.entries().large_size
    }

    pub(crate) fn acknowledged_count(&self) -> usize {
        let entries = self.entries();
        entries.acknowledged.iter().map(BTreeMap::len).sum::<usize>() + entries.somewhere.len()
    }

    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        self.entries().refused.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
