//! Where the last few batches of a log lie, so that a reader at its end needs no index and no read.

use std::collections::VecDeque;

use dohle_base::Offset;

use crate::scan::Head;

/// How many batches are remembered: as many as are typically in flight to the followers.
const COUNT_MAX: usize = 64;

/// The last batches of the segment that is written, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    heads: VecDeque<Head>,
}

impl Recent {
    pub(crate) fn push(&mut self, head: Head) {
        if self.heads.len() == COUNT_MAX {
            self.heads.pop_front();
        }
        self.heads.push_back(head);
    }

    pub(crate) fn clear(&mut self) {
        self.heads.clear();
    }

    /// The first batch that ends at `offset` or behind; `None` if it is not remembered.
    pub(crate) fn locate(&self, offset: Offset) -> Option<Head> {
        if self.heads.front()?.base > offset {
            return None;
        }
        let index = self.heads.partition_point(|head| head.last < offset);
        self.heads.get(index).copied()
    }
}
