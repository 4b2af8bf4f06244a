//! What a partition remembers of its idempotent and transactional producers.
//!
//! - the last five batches of each, so that one sent twice is answered, not stored, twice;
//! - the epoch, so that a producer that was replaced can write no more;
//! - open transactions, and those whose end is not replicated yet: the last stable offset lies
//!   before all of them.
//!
//! The state is that *before* offset `end`. It changes only by `apply_*`, for a batch that is in
//! the log; `check_*` says before whether the batch may get there. Pure; `snapshot` gives it bytes.

mod check;
mod recall;
pub(crate) mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use dohle_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use dohle_records::{BatchHeader, BatchView, ControlError, EndTxnMarker, Entry, sequence_after};

use crate::txn_index::AbortedTransaction;
use recall::Recall;

pub(crate) use check::{Batch, Standing};
pub(crate) use recall::Recalled;

/// How many batches of a producer are remembered. Source: the in-flight limit of idempotent
/// producers in Kafka.
pub(crate) const BATCHES_MAX: usize = 5;
/// The most bytes that a marker is decompressed to; they have about twenty.
const MARKER_SIZE_MAX: usize = 4096;

/// A batch that a producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ProducerBatch {
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Its last offset less its base offset.
    pub offset_delta: i32,
    /// Its greatest timestamp.
    pub timestamp: Timestamp,
}

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Its identity.
    pub id: ProducerId,
    /// Its newest incarnation.
    pub epoch: ProducerEpoch,
    /// The epoch of the coordinator that wrote its last marker; −1 if none did.
    pub coordinator_epoch: i32,
    /// The time of its last batch or marker, by the record.
    pub last_timestamp: Timestamp,
    /// Where its open transaction begins, if it has one.
    pub transaction_start: Option<Offset>,
    batches: Batches,
}

/// Up to five batches, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Batches {
    slots: [ProducerBatch; BATCHES_MAX],
    count: u8,
    /// Whether the log may have some before them that are not known. Never if there are five.
    has_earlier: bool,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedTransaction {
    pub(crate) producer_id: ProducerId,
    pub(crate) first_offset: Offset,
    /// The offset of the marker.
    pub(crate) last_offset: Offset,
    pub(crate) committed: bool,
    /// The last stable offset with the marker in the log, replication aside.
    pub(crate) last_stable_offset: Offset,
}

impl EndedTransaction {
    /// As the index of aborted transactions tells it.
    pub(crate) fn aborted(&self) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: self.producer_id,
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            last_stable_offset: self.last_stable_offset,
        }
    }
}

/// The marker in a control batch and its time; `None` if the batch is empty.
pub(crate) fn read_marker(
    batch: &BatchView<'_>,
) -> Result<Option<(EndTxnMarker, Timestamp)>, ControlError> {
    let unreadable = ControlError::Truncated { size: batch.size() };
    let payload = batch.decompress(MARKER_SIZE_MAX).map_err(|_| unreadable)?;
    match payload.records().next() {
        None => Ok(None),
        Some(Err(_)) => Err(unreadable),
        Some(Ok(record)) => Ok(Some((EndTxnMarker::parse(&record)?, record.timestamp))),
    }
}

/// All producers of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    states: BTreeMap<ProducerId, ProducerState>,
    /// First offsets of open transactions.
    open: BTreeMap<Offset, ProducerId>,
    /// First offsets of transactions that ended, with the marker's offset, until the marker is
    /// below the high watermark.
    ended: BTreeMap<Offset, Offset>,
    /// Nobody without an open transaction has last written before this; `None` if there is nobody.
    oldest: Option<Timestamp>,
    end: Offset,
    recall: Recall,
}

impl ProducerBatch {
    fn of(header: &BatchHeader<'_>) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta(),
            timestamp: header.max_timestamp(),
        }
    }

    /// The offset of its first record.
    pub fn base_offset(&self) -> Offset {
        Offset(self.last_offset.0.saturating_sub(i64::from(self.offset_delta)))
    }

    /// The sequence number of its first record.
    pub fn base_sequence(&self) -> i32 {
        match self.last_sequence.checked_sub(self.offset_delta) {
            Some(first) if first >= 0 => first,
            // Sequence numbers wrap from the greatest to 0.
            _ => self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX,
        }
    }
}

impl ProducerState {
    fn new(id: ProducerId) -> Self {
        Self {
            id,
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
            batches: Batches::default(),
        }
    }

    /// Its last batches in its newest epoch, oldest first; at most five. Of one that was read from a
    /// snapshot they are those from the last one there on, until an earlier one is sent again.
    pub fn batches(&self) -> &[ProducerBatch] {
        self.batches.slots.get(..usize::from(self.batches.count)).unwrap_or_default()
    }

    /// The sequence number of its last record in its newest epoch; −1 if there is none.
    pub fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(-1, |batch| batch.last_sequence)
    }

    /// The sequence number that its next batch must begin with, if there was one before.
    pub fn next_sequence(&self) -> i32 {
        match self.last_sequence() {
            -1 => 0,
            last => sequence_after(last, 1),
        }
    }

    fn enter(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batches = Batches::default();
        }
    }

    fn push(&mut self, batch: ProducerBatch) {
        if usize::from(self.batches.count) == BATCHES_MAX {
            self.batches.slots.rotate_left(1);
            self.batches.count -= 1;
        }
        if let Some(slot) = self.batches.slots.get_mut(usize::from(self.batches.count)) {
            *slot = batch;
            self.batches.count += 1;
        }
        self.batches.has_earlier &= usize::from(self.batches.count) < BATCHES_MAX;
    }

    fn is_expired(&self, now: Timestamp, expiration_ms: i64) -> bool {
        let age = now.0.saturating_sub(self.last_timestamp.0);
        self.transaction_start.is_none() && age >= expiration_ms
    }
}

impl Producers {
    /// The state before `end` that these producers make up.
    pub(crate) fn from_states(states: Vec<ProducerState>, end: Offset) -> Self {
        let open = states.iter().filter_map(|state| Some((state.transaction_start?, state.id)));
        let open = open.collect();
        let states = states.into_iter().map(|state| (state.id, state)).collect();
        let oldest = oldest_of(&states);
        Self { states, open, ended: BTreeMap::new(), oldest, end, recall: Recall::default() }
    }

    pub(crate) fn states(&self) -> impl ExactSizeIterator<Item = &ProducerState> {
        self.states.values()
    }

    pub(crate) fn state(&self, id: ProducerId) -> Option<&ProducerState> {
        self.states.get(&id)
    }

    /// The offset that the state is before.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Notes that the log goes on to `end` without a change here.
    pub(crate) fn advance(&mut self, end: Offset) {
        self.end = end;
    }

    /// Takes in a batch that is in the log, whatever it is; says which transaction it ends.
    pub(crate) fn apply_entry(&mut self, entry: &Entry<'_>) -> Option<EndedTransaction> {
        let Some(batch) = entry.batch().filter(|batch| batch.has_producer_id()) else {
            self.end = entry.last_offset().next();
            return None;
        };
        if !batch.attributes().is_control() {
            self.apply_batch(&batch);
            return None;
        }
        match read_marker(&batch) {
            Ok(Some((marker, timestamp))) => self.apply_marker(&batch, &marker, timestamp),
            // The cleaner has emptied it, or it is a control record of a later version.
            Ok(None) | Err(_) => {
                self.end = batch.next_offset();
                None
            }
        }
    }

    /// Takes in a batch of records of an idempotent producer.
    pub(crate) fn apply_batch(&mut self, header: &BatchHeader<'_>) {
        let id = header.producer_id();
        let state = self.states.entry(id).or_insert_with(|| ProducerState::new(id));
        state.enter(header.producer_epoch());
        state.last_timestamp = header.max_timestamp();
        state.push(ProducerBatch::of(header));
        if header.attributes().is_transactional() && state.transaction_start.is_none() {
            state.transaction_start = Some(header.base_offset());
            self.open.insert(header.base_offset(), id);
        }
        self.note_write(header.max_timestamp());
        self.end = header.next_offset();
    }

    /// Takes in a marker; says which transaction it ends, if one was open.
    pub(crate) fn apply_marker(
        &mut self,
        header: &BatchHeader<'_>,
        marker: &EndTxnMarker,
        timestamp: Timestamp,
    ) -> Option<EndedTransaction> {
        let id = header.producer_id();
        let state = self.states.entry(id).or_insert_with(|| ProducerState::new(id));
        state.enter(header.producer_epoch());
        state.coordinator_epoch = marker.coordinator_epoch;
        state.last_timestamp = timestamp;
        let (begun, last_offset) = (state.transaction_start.take(), header.base_offset());
        self.note_write(timestamp);
        self.end = header.next_offset();
        let first_offset = begun?;
        self.open.remove(&first_offset);
        self.ended.insert(first_offset, last_offset);
        let stable = self.open.first_key_value().map_or(last_offset.next(), |(first, _)| *first);
        Some(EndedTransaction {
            producer_id: id,
            first_offset,
            last_offset,
            committed: marker.committed,
            last_stable_offset: stable,
        })
    }

    /// Where the first transaction begins that is open, or whose marker is not below the high
    /// watermark.
    pub(crate) fn first_unstable_offset(&self) -> Option<Offset> {
        let open = self.open.first_key_value().map(|(first, _)| *first);
        let ended = self.ended.first_key_value().map(|(first, _)| *first);
        match (open, ended) {
            (Some(open), Some(ended)) => Some(open.min(ended)),
            (one, other) => one.or(other),
        }
    }

    /// Markers below `offset` are replicated, or gone.
    pub(crate) fn release_ended(&mut self, offset: Offset) {
        self.ended.retain(|_, marker| *marker >= offset);
    }

    /// Forgets producers that have not written for long, by the records' own times, and have no
    /// open transaction. Says how many.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let age = self.oldest.map(|oldest| now.0.saturating_sub(oldest.0));
        if age.is_none_or(|age| age < expiration_ms) {
            return 0;
        }
        let before = self.states.len();
        self.states.retain(|_, state| !state.is_expired(now, expiration_ms));
        self.oldest = oldest_of(&self.states);
        before - self.states.len()
    }

    /// A time before which nobody that `expire` would forget has last written; `None` if there is
    /// nobody.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    fn note_write(&mut self, timestamp: Timestamp) {
        self.oldest = Some(self.oldest.map_or(timestamp, |oldest| oldest.min(timestamp)));
    }
}

/// When the first of them wrote for the last time, open transactions aside: their markers are yet to
/// come.
fn oldest_of(states: &BTreeMap<ProducerId, ProducerState>) -> Option<Timestamp> {
    let closed = states.values().filter(|state| state.transaction_start.is_none());
    closed.map(|state| state.last_timestamp).min()
}
