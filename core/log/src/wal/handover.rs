//! Whose the logs of a directory are, from one process to the next.
//!
//! What this program acknowledged behind a recovery point is in the frames, so damage there may be cut
//! off. What Kafka acknowledged there is nowhere else: if it was started on the directory after a clean
//! stop of ours, and killed, what it left must not be cut. Nothing in the logs tells them apart. So
//! the write-ahead log says from a clean stop on that the logs are left, and until all logs are open again, or
//! those that are not say so themselves ([`crate::offline`]);
//! `.kafka_cleanshutdown`, which whoever starts removes, tells whether anybody came. Who did not come back to it
//! finds no frame from before: what they have was in the logs, and is whatever was made of it since.

use std::sync::Arc;

use super::blocks::Blocks;
use crate::disk::{DiskFile, IoError};

/// Says in a write-ahead log whose the logs of its directory are.
#[derive(Debug)]
pub struct Handover<F> {
    /// Opened anew: an error of a sync is told once to each who has opened the file, and a round that is
    /// under way must hear of one, too.
    file: F,
    blocks: Arc<Blocks<F>>,
}

impl<F: DiskFile> Handover<F> {
    pub(super) fn new(file: F, blocks: Arc<Blocks<F>>) -> Self {
        Self { file, blocks }
    }

    /// All logs are open, and from now on only this process writes to them. Durable when it returns.
    ///
    /// # Errors
    /// The next process takes them for another one's.
    pub fn take(&self) -> Result<(), IoError> {
        self.blocks.set_left(false, 0, &self.file)
    }

    /// All logs are closed and hold durably what the frames before `end` have, which is that of the last
    /// one, and anybody may write to them. Durable when it returns.
    ///
    /// # Errors
    /// The directory must not be left clean.
    pub fn leave(&self, end: u64) -> Result<(), IoError> {
        self.blocks.set_left(true, end, &self.file)
    }
}
