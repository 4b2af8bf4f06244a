//! What the frames hold of one partition, and what they tell of its segments.
//!
//! A frame is written behind a hole only once the segments before it are synced. So where the batches
//! of a partition's frames begin, or go on behind a gap, all that comes before was durable; and what is
//! synced instead of a frame is noted in one.

use std::cmp::Ordering;

use dohle_base::Offset;

use crate::{recover::Synced, scan::Head};

/// Where in the file some batches of a partition lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) position: u64,
    pub(super) size: usize,
}

/// Of one partition, in the order in which it was written.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) spans: Vec<Span>,
    pub(super) synced: Option<Synced>,
    /// The offset behind the last batch that is in a frame, or was synced.
    pub(super) next: Offset,
}

impl Held {
    /// Takes note of batches, and of what lies before them. Bytes that are none end that: whoever takes
    /// them in will say so.
    pub(super) fn take_batches(&mut self, span: Span, batches: &[u8]) {
        self.spans.push(span);
        let mut rest = batches;
        while let Ok(Head { base, last, leader_epoch, size, .. }) = Head::parse(rest, 0) {
            let synced = self.synced.get_or_insert(Synced { end: base, epoch: leader_epoch });
            synced.end = match base.cmp(&self.next) {
                Ordering::Greater => base,
                Ordering::Equal => synced.end,
                // The log was cut since, and written anew; or segments and a frame have the same.
                Ordering::Less => synced.end.min(base),
            };
            synced.epoch = synced.epoch.max(leader_epoch);
            self.next = last.next();
            rest = rest.get(size as usize..).unwrap_or_default();
        }
    }

    /// Takes note of what was synced instead of a frame.
    pub(super) fn take_note(&mut self, Synced { end, epoch }: Synced) {
        let synced = self.synced.get_or_insert(Synced { end, epoch });
        synced.end = synced.end.max(end);
        synced.epoch = synced.epoch.max(epoch);
        self.next = self.next.max(end);
    }
}
