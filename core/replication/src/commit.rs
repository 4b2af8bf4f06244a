//! Appends that wait until they are committed, in the order of their offsets.
//!
//! A waiting request is one [`Wait`] that counts the partitions it still misses; each of them holds it
//! with the offset that its high watermark has to reach.
//!
//! Not here: what moves the high watermark.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use dohle_base::Offset;

use crate::wait::Wait;

/// What is appended and not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    /// The end of each append and its bytes, ascending.
    appends: VecDeque<(Offset, i64)>,
    /// Who waits for which end, ascending.
    waits: VecDeque<(Offset, Weak<Wait>)>,
}

impl Uncommitted {
    /// Bytes were appended up to `end`.
    pub(crate) fn push(&mut self, end: Offset, size: i64) {
        self.appends.push_back((end, size));
    }

    /// Lets `wait` hear when everything below `end` is committed.
    pub(crate) fn park(&mut self, end: Offset, wait: &Arc<Wait>) {
        // A batch that was sent twice waits for an earlier end than the last one.
        let at = self.waits.partition_point(|(other, _)| *other <= end);
        self.waits.insert(at, (end, Arc::downgrade(wait)));
    }

    /// Everything below `end` is committed: tells who waited for that, and how many bytes those are.
    pub(crate) fn commit(&mut self, end: Offset) -> i64 {
        while let Some((_, wait)) = self.waits.pop_front_if(|(waited, _)| *waited <= end) {
            wait.upgrade().inspect(|wait| wait.arrived(1));
        }
        let mut size = 0_i64;
        while let Some((_, bytes)) = self.appends.pop_front_if(|(appended, _)| *appended <= end) {
            size = size.saturating_add(bytes);
        }
        self.shrink();
        size
    }

    /// Whoever waits must look again: it may never be committed.
    pub(crate) fn interrupt(&mut self) {
        for wait in self.waits.drain(..).filter_map(|(_, wait)| wait.upgrade()) {
            wait.interrupt();
        }
    }

    /// A partition at rest holds no memory for what comes.
    fn shrink(&mut self) {
        if self.waits.is_empty() && self.appends.is_empty() {
            self.waits = VecDeque::new();
            self.appends = VecDeque::new();
        }
    }
}
