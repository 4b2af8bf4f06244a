//! Who writes the blocks of a write-ahead log, and what of them is on the disk.
//!
//! The one that is known to be on the disk is never written over: whatever becomes of the other, a
//! start finds it. Besides whoever appends, the one who learns that the disk has failed writes a block,
//! and needs no sync for it: a process that is started in the same run of the machine finds it in the
//! cache, and one of a later run knows by its own number that the cache is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{Block, Salt};
use crate::disk::{DiskFile, IoError};

/// The run of the machine of a block whose directory has failed: none.
pub(super) const DISTRUSTED: u128 = 0;

/// Both blocks of a file.
#[derive(Debug)]
pub(super) struct Blocks<F> {
    file: F,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Known to be on the disk.
    durable: Block,
    /// What was written in the place of the other one since.
    written: Option<Block>,
    /// What is to be written in the next.
    boot: u128,
    capacity: u64,
    salt: Salt,
    is_left: bool,
    has_failed: bool,
}

impl<F: DiskFile> Blocks<F> {
    /// Of a file whose newest block is on the disk.
    pub(super) fn new(file: F, durable: Block) -> Arc<Self> {
        let Block { boot, capacity, salt, is_left, .. } = durable;
        let has_failed = false;
        let state = State { durable, written: None, boot, capacity, salt, is_left, has_failed };
        Arc::new(Self { file, state: Mutex::new(state) })
    }

    /// Where the first frame lies that is needed, durably.
    pub(super) fn tail(&self) -> u64 {
        self.state().durable.tail
    }

    /// The same once what was written is durable.
    pub(super) fn released(&self) -> u64 {
        self.state().newest().tail
    }

    /// Writes a block that says so of the tail, not synced.
    pub(super) fn write(&self, tail: u64, capacity: u64) -> Result<(), IoError> {
        let mut state = self.state();
        state.capacity = capacity;
        state.write(&self.file, tail)
    }

    /// Nothing is needed, and frames will come from `tail` on, under another salt. Makes both blocks say
    /// so, durably: with one that tells of the former salt alone they would be taken for none.
    pub(super) fn begin(&self, tail: u64, capacity: u64, salt: Salt) -> Result<(), IoError> {
        for _ in 0..2 {
            {
                let mut state = self.state();
                (state.capacity, state.salt) = (capacity, salt);
                state.write(&self.file, tail)?;
            }
            self.sync()?;
        }
        Ok(())
    }

    /// Says durably whether another process may write to the logs from now on, and that no frame before
    /// `tail` is needed, by a handle of the caller's.
    pub(super) fn set_left(&self, is_left: bool, tail: u64, file: &F) -> Result<(), IoError> {
        {
            let mut state = self.state();
            let tail = tail.max(state.newest().tail);
            if (state.newest().is_left, state.newest().tail) == (is_left, tail) {
                return Ok(());
            }
            state.is_left = is_left;
            state.write(file, tail)?;
        }
        self.sync_by(file)
    }

    /// Makes durable what was written to the file. Others may write blocks and sync at the same time.
    pub(super) fn sync(&self) -> Result<(), IoError> {
        self.sync_by(&self.file)
    }

    fn sync_by(&self, file: &F) -> Result<(), IoError> {
        loop {
            let written = self.state().written.clone();
            file.sync()?;
            let Some(synced) = written else { return Ok(()) };
            let mut state = self.state();
            let sequence = synced.sequence;
            if state.written.as_ref() == Some(&synced) {
                (state.durable, state.written) = (synced, None);
            }
            // Another sync may have begun later and ended earlier: what that found durable is newer.
            if state.durable.sequence >= sequence {
                return Ok(());
            }
            // Another block was written in the same place meanwhile, and may lie there torn.
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock left it as it was before or after a whole step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn newest(&self) -> &Block {
        self.written.as_ref().unwrap_or(&self.durable)
    }

    fn write<F: DiskFile>(&mut self, file: &F, tail: u64) -> Result<(), IoError> {
        let Self { capacity, boot, salt, is_left, .. } = *self;
        let sequence = self.durable.sequence + 1;
        let next = Block { sequence, capacity, tail, boot, salt, is_left };
        next.write(file)?;
        self.written = Some(next);
        Ok(())
    }
}

/// Says in a write-ahead log whether the next process may believe what the system caches of its
/// directory.
///
/// A sync that fails leaves bytes in the cache that are not on the disk, and the system takes them for
/// written: a later sync succeeds. So once a disk has failed, the cache is believed no more until all
/// logs were read without it.
#[derive(Debug)]
pub struct CacheTrust<F> {
    blocks: Arc<Blocks<F>>,
    /// This run of the machine.
    boot: u128,
}

impl<F: DiskFile> CacheTrust<F> {
    pub(super) fn new(blocks: Arc<Blocks<F>>, boot: u128) -> Self {
        Self { blocks, boot }
    }

    /// The disk has failed: the next process must not believe what is cached.
    ///
    /// # Errors
    /// It is not said. A disk that takes no write into the cache either will fail the next process, too.
    pub fn withdraw(&self) -> Result<(), IoError> {
        let mut state = self.blocks.state();
        (state.has_failed, state.boot) = (true, DISTRUSTED);
        let tail = state.newest().tail;
        state.write(&self.blocks.file, tail)
    }

    /// All logs are open, and what they hold in the cache only is yet to be written: in this run of the
    /// machine it may be believed, unless the disk has failed since.
    ///
    /// # Errors
    /// The next process will read the disk.
    pub fn give(&self) -> Result<(), IoError> {
        let mut state = self.blocks.state();
        if state.has_failed || state.boot == self.boot {
            return Ok(());
        }
        state.boot = self.boot;
        let tail = state.newest().tail;
        state.write(&self.blocks.file, tail)
    }
}
