//! What a snapshot does not tell of a producer: its batches before the last one.
//!
//! ```text
//!   the log    a1 b1 a2 b2 a3 b3 ┊ a4     ┊ where the snapshot was made
//!   known                  a3 b3 ┊ a4     until somebody sends a2 again
//! ```
//!
//! A client that lost its connection sends again what it has heard nothing of, from the first batch on.
//! Whether it was written cannot be told then but from the log, so whoever has that reads it back, a
//! stretch at a time from where the known ones begin, until it is clear. What is read tells of all
//! producers: each stretch is read once for those that come back one after another.
//!
//! Only heads are read, and nobody looks at checksums: a batch is believed that its sequence numbers join
//! to those which are known, without a gap and in the same epoch.

use std::ops::Range;

use dohle_base::{Offset, ProducerEpoch, ProducerId};
use dohle_records::{BatchHeader, sequence_after};

use super::{BATCHES_MAX, Batches, ProducerBatch, ProducerState, Producers, check::Batch};

/// How many reads may be made for all producers until the state is restored anew: whoever may write must
/// not make the log read without end. Source: the reads of four that find nothing, 15 ms if they are cached.
const READS_MAX: u32 = 16_384;

/// A batch that was read in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recalled {
    id: ProducerId,
    epoch: ProducerEpoch,
    batch: ProducerBatch,
}

/// What was read back, and what still may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recall {
    /// All of it was read, and taken in for each producer of which the known batches began in it.
    stretch: Range<Offset>,
    reads_left: u32,
}

impl Default for Recall {
    fn default() -> Self {
        Self { stretch: Offset::ZERO..Offset::ZERO, reads_left: READS_MAX }
    }
}

impl Producers {
    /// Whether a client's batch may be one of those that come before the known ones.
    pub(super) fn may_repeat_earlier(&self, batch: &Batch) -> bool {
        let Some(state) = self.recallable(batch.producer.id) else { return false };
        state.epoch == batch.producer.epoch
            && state.batches().first().is_some_and(|oldest| is_before(batch, oldest))
    }

    /// Where to read back from so that more is known of a producer; `None` if there is no more.
    pub(crate) fn recall_from(&self, id: ProducerId) -> Option<Offset> {
        let begin = self.recallable(id)?.batches().first()?.base_offset();
        let Range { start, end } = self.recall.stretch;
        Some(if (start..=end).contains(&begin) { start } else { begin })
    }

    /// What a batch in the log tells of a producer of whom there is more to know.
    pub(crate) fn recallable_batch(&self, header: &BatchHeader<'_>) -> Option<Recalled> {
        let id = header.producer_id();
        let is_wanted = header.has_producer_id()
            && !header.attributes().is_control()
            && self.recallable(id).is_some();
        let epoch = header.producer_epoch();
        is_wanted.then(|| Recalled { id, epoch, batch: ProducerBatch::of(header) })
    }

    /// Takes in the batches of a stretch of the log, in its order. It ends where `recall_from` said, or
    /// where the last one began.
    pub(crate) fn recall(&mut self, read: &[Recalled], stretch: Range<Offset>) {
        if self.recall.stretch.start == stretch.end {
            self.recall.stretch.start = stretch.start;
        } else {
            self.recall.stretch = stretch;
        }
        let end = self.recall.stretch.end;
        for recalled in read.iter().rev() {
            if let Some(state) = self.states.get_mut(&recalled.id) {
                state.recall(recalled, end);
            }
        }
    }

    /// There is no more to know of a producer, or it is too far away.
    pub(crate) fn end_recall(&mut self, id: ProducerId) {
        if let Some(state) = self.states.get_mut(&id) {
            state.batches.has_earlier = false;
        }
    }

    /// How many reads may still be made.
    pub(crate) fn recall_reads_left(&self) -> u32 {
        self.recall.reads_left
    }

    /// Notes that so many were made.
    pub(crate) fn count_recall_reads(&mut self, count: u32) {
        self.recall.reads_left = self.recall.reads_left.saturating_sub(count);
    }

    fn recallable(&self, id: ProducerId) -> Option<&ProducerState> {
        self.state(id).filter(|state| state.batches.has_earlier)
    }
}

impl ProducerState {
    /// Takes in one of its batches, if it is the one before the known ones, all behind it up to `end` being
    /// known.
    fn recall(&mut self, recalled: &Recalled, end: Offset) {
        let Some(oldest) = self.batches().first().filter(|_| self.batches.has_earlier) else {
            return;
        };
        let batch = recalled.batch;
        if oldest.base_offset() > end || batch.last_offset >= oldest.base_offset() {
            return;
        }
        let is_next = sequence_after(batch.last_sequence, 1) == oldest.base_sequence();
        if recalled.epoch == self.epoch && is_next {
            self.batches.put_before(batch);
        } else {
            self.batches.has_earlier = false;
        }
    }
}

impl Batches {
    fn put_before(&mut self, batch: ProducerBatch) {
        self.slots.rotate_right(1);
        self.slots[0] = batch;
        self.count += 1;
        self.has_earlier = usize::from(self.count) < BATCHES_MAX;
    }
}

/// Whether the sequence numbers of a batch come before those of another one. They wrap: what is up to half
/// of them away lies before.
fn is_before(batch: &Batch, other: &ProducerBatch) -> bool {
    let distance = |sequence: i32| other.base_sequence().wrapping_sub(sequence) & i32::MAX;
    let (first, last) = (batch.producer.base_sequence, batch.last_sequence);
    let are_sequences = first >= 0 && last >= 0 && other.last_sequence >= 0;
    are_sequences
        && (1..=distance(first)).contains(&distance(last))
        && distance(first) <= i32::MAX / 2
}
