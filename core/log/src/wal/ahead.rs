//! Zeros ahead of the frames, written and synced by another than who appends.
//!
//! ```text
//! | blocks | frame | frame |        zeros        | nothing yet          8192 + capacity
//!                          ^ written             ^ prepared
//! ```
//!
//! A frame that goes where the file has bytes already changes neither the file's size nor what the
//! file system notes of its blocks, so its sync writes the frame and nothing else: half of the time.
//!
//! Who appends writes below `prepared` as it likes, and beyond it with the lock; who prepares writes
//! from `prepared` on, with the lock. So zeros never fall on a frame.

use std::{
    io::IoSlice,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::format::{ALIGN, DATA_START};
use crate::disk::{DiskFile, IoError};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// How far a file is written and prepared, in bytes from its start.
#[derive(Debug)]
pub(super) struct Ahead {
    prepared: AtomicU64,
    /// The end of the latest frame.
    written: AtomicU64,
    /// The end of the file when it is as long as it may be.
    limit: u64,
    beyond: Mutex<()>,
}

impl Ahead {
    /// Of a file that has `size` bytes, and frames up to `written`.
    pub(super) fn new(size: u64, written: u64, limit: u64) -> Arc<Self> {
        // Behind the blocks, even if the second is not there yet.
        let prepared = size.next_multiple_of(ALIGN).max(DATA_START);
        Arc::new(Self {
            prepared: AtomicU64::new(prepared),
            written: AtomicU64::new(written),
            limit,
            beyond: Mutex::new(()),
        })
    }

    /// Writes a frame that ends at `end`.
    pub(super) fn write(
        &self,
        end: u64,
        write: impl FnOnce() -> Result<(), IoError>,
    ) -> Result<(), IoError> {
        if end <= self.prepared.load(Ordering::Acquire) {
            write()?;
        } else {
            let _beyond = self.lock();
            write()?;
            self.prepared.fetch_max(end, Ordering::AcqRel);
        }
        self.written.store(end, Ordering::Release);
        Ok(())
    }

    /// How much is prepared behind the latest frame; `None` if the file cannot grow any more.
    pub(super) fn room(&self) -> Option<u64> {
        let prepared = self.prepared.load(Ordering::Acquire);
        let room = prepared.saturating_sub(self.written.load(Ordering::Acquire));
        (prepared < self.limit).then_some(room)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.beyond.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prepares a write-ahead log for what will be written. For a thread of its own.
#[derive(Debug)]
pub struct Preparer<F> {
    /// Opened anew: an error of a sync is told once to each who has opened the file.
    file: F,
    ahead: Arc<Ahead>,
}

impl<F: DiskFile> Preparer<F> {
    pub(super) fn new(file: F, ahead: Arc<Ahead>) -> Self {
        Self { file, ahead }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Prepares the next `size` bytes, durably, unless `enough` are prepared; says whether it has.
    ///
    /// # Errors
    /// If the volume is full nothing has changed; after any other the directory is dead.
    pub fn prepare(&self, size: u64, enough: u64) -> Result<bool, IoError> {
        let Ahead { prepared, limit, .. } = &*self.ahead;
        let _beyond = self.ahead.lock();
        if self.ahead.room().is_none_or(|room| room >= enough) {
            return Ok(false);
        }
        let start = prepared.load(Ordering::Acquire);
        let end = start.saturating_add(size).min(*limit);
        let mut position = start;
        while position < end {
            let size = (end - position).min(ZEROS.len() as u64) as usize;
            self.file.write_all_at(&[IoSlice::new(&ZEROS[..size])], position)?;
            position += size as u64;
        }
        self.file.sync()?;
        prepared.store(end, Ordering::Release);
        Ok(true)
    }
}
