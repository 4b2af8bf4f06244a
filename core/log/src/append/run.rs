//! Batches that go to the disk in one write.

use std::io::IoSlice;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchView, sequence_after};
use smallvec::SmallVec;

use super::Coming;
use crate::prepare::Prepared;

/// How many batches a run has at the most: more share a write no better, and each is compared with those
/// before it.
const BATCHES_MAX: usize = 32;

/// How many bytes a run of several has at the most: what was built anew for it is in memory.
const SIZE_MAX: usize = 1 << 20;

/// Batches with their offsets, one behind another.
#[derive(Debug, Default)]
pub(super) struct Run<'a> {
    batches: SmallVec<[Prepared<'a>; 1]>,
    size: usize,
}

/// How a batch stands to those of its producer that are in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There are none: what the log knows decides.
    None,
    /// It is the next one.
    Next,
    /// Anything else: what is in the run has to be in the log before it can be judged.
    Unclear,
}

impl<'a> Run<'a> {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { batches: SmallVec::with_capacity(count), size: 0 }
    }

    /// Gives a batch its place behind the others; in an empty run that is `first`.
    pub(super) fn place(&self, batch: &mut Prepared<'a>, first: Offset, epoch: LeaderEpoch) {
        let end = self.batches.last().map(|last| last.header().next_offset());
        batch.assign(end.unwrap_or(first), epoch);
    }

    /// Takes in a batch that has its place.
    pub(super) fn push(&mut self, batch: Prepared<'a>) {
        self.size += batch.size();
        self.batches.push(batch);
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.size = 0;
    }

    pub(super) fn batches(&self) -> &[Prepared<'a>] {
        &self.batches
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether so many more bytes are too many for one write.
    pub(super) fn is_full_for(&self, size: usize) -> bool {
        self.batches.len() >= BATCHES_MAX || self.size + size > SIZE_MAX
    }

    /// In bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// All of it; `None` if it is empty.
    pub(super) fn coming(&self) -> Option<Coming> {
        let times = self.batches.iter().map(|batch| batch.header().max_timestamp());
        Some(Coming {
            size: self.size,
            base: self.batches.first()?.header().base_offset(),
            last: self.batches.last()?.header().last_offset(),
            max_timestamp: times.max().unwrap_or(Timestamp::NONE),
        })
    }

    /// The bytes as they are written.
    pub(super) fn slices(&self) -> SmallVec<[IoSlice<'_>; 2]> {
        let parts = self
            .batches
            .iter()
            .flat_map(|batch| [IoSlice::new(batch.head_bytes()), IoSlice::new(batch.body_bytes())]);
        parts.collect()
    }

    pub(super) fn link(&self, batch: &BatchView<'_>) -> Link {
        let Some(producer) = batch.producer() else { return Link::None };
        let mut headers = self.batches.iter().rev().map(Prepared::header);
        let Some(last) = headers.find(|header| header.producer_id() == producer.id) else {
            return Link::None;
        };
        let is_next = last.producer_epoch() == producer.epoch
            && sequence_after(last.last_sequence(), 1) == producer.base_sequence
            && last.attributes().is_transactional() == batch.attributes().is_transactional();
        if is_next { Link::Next } else { Link::Unclear }
    }
}
