//! The write-ahead log of a log directory: what makes an acknowledged record durable at the price of
//! one sync, however many partitions it shares it with.
//!
//! Batches go to their partitions' segments, unsynced, and a copy of all that came meanwhile goes to
//! this file as one frame, which is synced; then all of them are acknowledged. Later the segments
//! are synced at leisure, and the place of the frames is used again: the file goes round, and writes
//! to bytes that the file system knows already are the cheapest there are.
//!
//! ```text
//! dohle.wal
//! 0          4096       8192                                            8192 + capacity
//! | block 0  | block 1  | frame | frame | (free) …          | frame |  |
//! ```
//!
//! - A *position* counts the bytes that ever went by; it never goes back. A frame at position `p`
//!   lies at `8192 + p mod capacity` and does not wrap: one that does not fit begins the next lap.
//! - `tail` is where the first frame lies that is still needed. The two blocks say it, in turn, so
//!   that a torn write of one leaves the other.
//! - One frame is on its way at a time: the next is written when the one before is synced. So a
//!   frame that cannot be read with none behind it is a torn one that nobody was told of; with one
//!   behind it, it is damage, and the directory is not used.
//!
//! After a crash each partition takes in what it lacks ([`crate::Log::redo`]), and the directory is
//! whole for Kafka too, which passes over the file. After a clean stop it holds nothing.
//!
//! Not here: who waits for the sync, when segments are synced, and when the file is prepared for what
//! comes (host/broker).

mod ahead;
mod format;
mod replay;

#[cfg(test)]
mod tests;

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::disk::{Disk, DiskFile, IoError, OpenMode};
use ahead::Ahead;
pub use ahead::Preparer;
pub use format::Frame;
use format::{ALIGN, Block, DATA_START, padding};
pub use replay::Unflushed;

/// The name of the file in a log directory.
pub const FILE_NAME: &str = "dohle.wal";
/// The least capacity: two frames of a record or two.
const CAPACITY_MIN: u64 = 2 * ALIGN;

/// How to open a write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenWal {
    /// How many bytes of frames it may hold. One that has been chosen stays while frames are needed.
    pub capacity: u64,
    /// Whether the directory's clean-stop file is there: then the segments have everything.
    pub left_clean: bool,
    /// A number of this run of the machine: what an earlier one had only cached may be gone.
    pub boot: u128,
}

/// Why a write-ahead log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// What was acknowledged cannot be read.
    #[error("{} is damaged at {position}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that cannot be true.
        position: u64,
        /// What is wrong with it.
        reason: WalDamage,
    },
}

/// What is wrong with a write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalDamage {
    /// Neither of the two blocks at its start can be read.
    #[error("neither block at the start says where the frames begin")]
    NoBlock,
    /// A frame cannot be read, and there is one behind it.
    #[error("a frame cannot be read, and one that was written after it can, at {valid_at}")]
    Frame {
        /// Where that one lies in the file.
        valid_at: u64,
    },
    /// A frame's checksum is right and what is in it is not.
    #[error("a frame's entries are not its length")]
    Entries,
}

/// The write-ahead log of one directory, open.
#[derive(Debug)]
pub struct Wal<F> {
    file: F,
    block: Block,
    /// Where the next frame goes.
    head: u64,
    /// A tail that was written and is not synced yet.
    unsynced_tail: Option<u64>,
    ahead: Arc<Ahead>,
}

impl<F: DiskFile> Wal<F> {
    /// Opens the one in `dir`, or makes it, and says what in it the segments may lack: nothing if
    /// the directory was left clean.
    ///
    /// # Errors
    /// `Damaged` if acknowledged records may be lost: nothing was changed.
    pub fn open<D: Disk<File = F>>(
        disk: &D,
        dir: &Path,
        how: OpenWal,
    ) -> Result<(Self, Unflushed<F>), WalError> {
        let OpenWal { capacity, left_clean, boot } = how;
        let capacity = capacity.max(CAPACITY_MIN).next_multiple_of(ALIGN);
        let file = disk.open(&dir.join(FILE_NAME), OpenMode::Create)?;
        let block = match Block::read(&file) {
            Err(WalError::Damaged { .. }) if left_clean => None,
            block => block?,
        };
        let Some(block) = block else {
            file.truncate(0)?;
            // The place of both blocks, so that a full volume does not keep the tail from moving.
            file.write_all_at(&mut [IoSlice::new(&[0; DATA_START as usize])], 0)?;
            let block = Block { sequence: 0, capacity, tail: 0, boot };
            block.write(&file)?;
            file.sync()?;
            disk.sync_dir(dir)?;
            let unflushed = Unflushed::none(file.clone());
            return Ok((Self::new(file, block, 0)?, unflushed));
        };
        let mut unflushed = Unflushed::read(&file, &block, left_clean)?;
        unflushed.lost_cache = Some(block.boot != boot);
        let (mut head, mut block) = (unflushed.end(), Block { boot, ..block });
        if unflushed.is_empty() {
            // A lap of the new length begins at a multiple of it, behind all positions so far.
            head = head.div_ceil(capacity) * capacity;
            block.capacity = capacity;
        }
        let mut wal = Self::new(file, block, head)?;
        // Says under which run of the machine what follows is written.
        wal.write_block(if unflushed.is_empty() { wal.head } else { wal.block.tail })?;
        wal.sync()?;
        Ok((wal, unflushed))
    }

    fn new(file: F, block: Block, head: u64) -> Result<Self, IoError> {
        let written = DATA_START + head % block.capacity;
        let ahead = Ahead::new(file.size()?, written, DATA_START + block.capacity);
        Ok(Self { file, block, head, unsynced_tail: None, ahead })
    }

    /// What prepares the file for frames that are to come.
    ///
    /// # Errors
    /// The file cannot be opened once more.
    pub fn preparer<D: Disk<File = F>>(&self, disk: &D) -> Result<Preparer<F>, IoError> {
        let file = disk.open(self.file.path(), OpenMode::Write)?;
        Ok(Preparer::new(file, Arc::clone(&self.ahead)))
    }

    /// How many bytes are prepared behind the latest frame; `None` if nothing is to be prepared ever.
    pub fn room(&self) -> Option<u64> {
        self.ahead.room()
    }

    /// Writes a frame behind the last one, not synced. `false` if there is no room: before some of
    /// the frames are released, or ever, if it is larger than the capacity.
    ///
    /// # Errors
    /// `Io`: the frame may be there in part, and the same position is written again by the next.
    pub fn append(&mut self, frame: &mut Frame) -> Result<bool, IoError> {
        let size = frame.size() as u64;
        let padded = size.next_multiple_of(ALIGN);
        let capacity = self.block.capacity;
        if padded > capacity {
            return Ok(false);
        }
        let lap_end = (self.head / capacity + 1) * capacity;
        let is_idle = self.head == self.unsynced_tail.unwrap_or(self.block.tail);
        if is_idle && !self.head.is_multiple_of(capacity) {
            // From the start again, so that a quiet directory's file stays small.
            self.head = lap_end;
            self.release(lap_end)?;
        }
        let fits = self.head + padded <= lap_end;
        let position = if is_idle || fits { self.head } else { lap_end };
        if !is_idle && position + padded - self.block.tail > capacity {
            return Ok(false);
        }
        frame.seal(position);
        let mut slices = [IoSlice::new(frame.bytes()), IoSlice::new(padding(size))];
        let place = DATA_START + position % capacity;
        self.ahead.write(place + padded, || self.file.write_all_at(&mut slices, place))?;
        self.head = position + padded;
        Ok(true)
    }

    /// Makes the frames durable that were written, and a tail that was released.
    ///
    /// # Errors
    /// The directory is dead.
    pub fn sync(&mut self) -> Result<(), IoError> {
        self.file.sync()?;
        if let Some(tail) = self.unsynced_tail.take() {
            self.block.tail = tail;
        }
        Ok(())
    }

    /// Frames before `position`, a former [`Wal::end`], are no longer needed: all that is in them is
    /// durable elsewhere. Their place is used again after the next sync.
    ///
    /// # Errors
    /// `Io`; nothing was released.
    pub fn release(&mut self, position: u64) -> Result<(), IoError> {
        assert!(position <= self.head, "what is not written cannot be released");
        if position <= self.block.tail {
            return Ok(());
        }
        self.write_block(position)
    }

    fn write_block(&mut self, tail: u64) -> Result<(), IoError> {
        let next = Block { sequence: self.block.sequence + 1, tail, ..self.block.clone() };
        next.write(&self.file)?;
        self.block.sequence = next.sequence;
        self.unsynced_tail = Some(tail);
        Ok(())
    }

    /// The position behind the last frame.
    pub fn end(&self) -> u64 {
        self.head
    }

    /// How many bytes of frames are still needed.
    pub fn needed(&self) -> u64 {
        self.head - self.block.tail
    }

    /// How many bytes of frames it holds.
    pub fn capacity(&self) -> u64 {
        self.block.capacity
    }
}
