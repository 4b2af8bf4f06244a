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
//! - `tail` is where the first frame lies that is still needed. The newer of the two blocks says it. The
//!   one that is known to be on the disk is not written over, so that a torn write leaves it.
//! - One frame is on its way at a time: the next is written when the one before is synced. So a
//!   frame that cannot be read with none behind it is a torn one that nobody was told of; with one
//!   behind it, it is damage, and the directory is not used.
//! - What no frame takes is made durable in its segment, and noted in a frame: damage there is no torn end.
//! - A frame's position and checksum are salted with a secret that the blocks tell: nobody who sends
//!   records can make bytes that look like a frame to come, whatever is torn and wherever they lie when
//!   the file goes round. A process takes another one as soon as no frame is needed of those before;
//!   both blocks tell it before the first frame is written under it. Laps need none of their own: nobody
//!   learns it, and frames of an earlier lap have other positions.
//! - What a process leaves that is killed, or whose sync fails, a start may read in the system's cache
//!   though it is not on the disk. It can be the newest block and the last frame, so a start writes both
//!   once more, and syncs, before anything goes behind them.
//!
//! After a crash each partition takes in what it lacks ([`crate::Log::redo`]), and the directory is
//! whole for Kafka too, which passes over the file. After a clean stop it holds nothing.
//!
//! Not here: who waits for the sync, when segments are synced, and when the file is prepared for what
//! comes (host/broker).

mod ahead;
mod blocks;
mod entries;
mod format;
mod handover;
mod replay;
mod search;

#[cfg(test)]
mod tests;

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::disk::{Disk, DiskFile, IoError, OpenMode, turn_to_disk};
use ahead::Ahead;
pub use ahead::Preparer;
pub use blocks::CacheTrust;
use blocks::{Blocks, DISTRUSTED};
use format::{ALIGN, Block, DATA_START, Salt, padding};
pub use format::{Frame, SALT_SIZE};
pub use handover::Handover;
pub use replay::Unflushed;
pub use replay::frames::{WalBlock, WalContent, WalEntry, WalFrame, WalFrames};

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
    /// Random bytes that nobody who sends records can know.
    pub salt: [u8; SALT_SIZE],
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
    #[error("neither block at the start says where the frames begin, expected one of them to")]
    NoBlock,
    /// A frame cannot be read, and there is one behind it.
    #[error("expected a frame: one that was written after it can be read, at {valid_at}")]
    Frame {
        /// Where that one lies in the file.
        valid_at: u64,
    },
    /// A frame's checksum is right and what is in it is not.
    #[error("expected entries that are as long as their frame")]
    Entries,
}

/// The write-ahead log of one directory, open.
#[derive(Debug)]
pub struct Wal<F> {
    file: F,
    blocks: Arc<Blocks<F>>,
    capacity: u64,
    /// Where the next frame goes.
    head: u64,
    ahead: Arc<Ahead>,
    boot: u128,
    /// That of the frames that are written.
    salt: Salt,
    /// That of this process: the other one's frames may still be needed.
    own_salt: Salt,
    /// Whether both blocks tell the salt of the frames that are written.
    has_begun: bool,
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
        let OpenWal { capacity, left_clean, boot, salt } = how;
        let own_salt = Salt::new(salt);
        let capacity = capacity.max(CAPACITY_MIN).next_multiple_of(ALIGN);
        let file = disk.open(&dir.join(FILE_NAME), OpenMode::Create)?;
        let mut block = Block::read(&file);
        let disk_failed = matches!(&block, Ok(Some(block)) if block.boot == DISTRUSTED);
        if disk_failed {
            turn_to_disk(&file)?;
            // The disk may have an older one.
            let withdrawn = |block| Block { boot: DISTRUSTED, ..block };
            block = Block::read(&file).map(|block| block.map(withdrawn));
        }
        let block = match block {
            Err(WalError::Damaged { .. }) if left_clean => None,
            block => block?,
        };
        let Some(block) = block else {
            file.truncate(0)?;
            // The place of both blocks, so that a full volume does not keep the tail from moving.
            file.write_all_at(&[IoSlice::new(&[0; DATA_START as usize])], 0)?;
            let block =
                Block { sequence: 0, capacity, tail: 0, boot, salt: own_salt, is_left: true };
            block.write(&file)?;
            file.sync()?;
            disk.sync_dir(dir)?;
            // Whoever wrote the logs so far had no such file.
            let unflushed = Unflushed::none(file.clone());
            let wal = Self::new(file, (block, capacity), 0, (boot, own_salt))?;
            return Ok((wal, unflushed));
        };
        if block.sequence == 0 {
            // Who made it may not have come to that.
            disk.sync_dir(dir)?;
        }
        let mut unflushed = Unflushed::read(&file, &block, left_clean)?;
        let are_ours = left_clean || !block.is_left;
        unflushed.lost_cache = are_ours.then_some(block.boot != boot);
        unflushed.disk_failed = disk_failed;
        // They may be read in the cache and not be on the disk: see above.
        block.write(&file)?;
        unflushed.write_last(&block)?;
        file.sync()?;
        let is_needed = !unflushed.is_empty();
        let capacity = if is_needed { block.capacity } else { capacity };
        let head = unflushed.end();
        let mut wal = Self::new(file, (block, capacity), head, (boot, own_salt))?;
        if !is_needed {
            wal.begin()?;
        }
        Ok((wal, unflushed))
    }

    /// Of a file whose newest block is on the disk, and for frames from `head` on.
    fn new(
        file: F,
        (durable, capacity): (Block, u64),
        head: u64,
        (boot, own_salt): (u128, Salt),
    ) -> Result<Self, IoError> {
        let written = DATA_START + head % capacity;
        let ahead = Ahead::new(file.size()?, written, DATA_START + capacity);
        let salt = durable.salt;
        let blocks = Blocks::new(file.clone(), durable);
        Ok(Self { file, blocks, capacity, head, ahead, boot, salt, own_salt, has_begun: true })
    }

    /// No frame is needed: the next one is the first of a lap, under the salt of this process. A lap of
    /// another length begins at a multiple of it, behind all positions so far.
    ///
    /// # Errors
    /// `Io`; no frame is written before another attempt succeeds.
    fn begin(&mut self) -> Result<(), IoError> {
        self.head = self.head.div_ceil(self.capacity) * self.capacity;
        (self.salt, self.has_begun) = (self.own_salt, false);
        self.blocks.begin(self.head, self.capacity, self.salt)?;
        self.has_begun = true;
        Ok(())
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
        let capacity = self.capacity;
        if padded > capacity {
            return Ok(false);
        }
        let is_former = self.salt != self.own_salt && self.head == self.blocks.tail();
        if is_former || !self.has_begun {
            self.begin()?;
        }
        let tail = self.blocks.tail();
        let lap_end = (self.head / capacity + 1) * capacity;
        // Durably: the frames before must not be written over as long as a start would look for them.
        let is_idle = self.head == tail;
        if is_idle && !self.head.is_multiple_of(capacity) {
            // From the start again, so that a quiet directory's file stays small.
            self.head = lap_end;
            self.release(lap_end)?;
        }
        let fits = self.head + padded <= lap_end;
        let position = if is_idle || fits { self.head } else { lap_end };
        if !is_idle && position + padded - tail > capacity {
            return Ok(false);
        }
        frame.seal(position, self.salt);
        let slices = [IoSlice::new(frame.bytes()), IoSlice::new(padding(size))];
        let place = DATA_START + position % capacity;
        self.ahead.write(place + padded, || self.file.write_all_at(&slices, place))?;
        self.head = position + padded;
        Ok(true)
    }

    /// Makes the frames durable that were written, and a tail that was released.
    ///
    /// # Errors
    /// The directory is dead.
    pub fn sync(&mut self) -> Result<(), IoError> {
        self.blocks.sync()
    }

    /// Frames before `position`, a former [`Wal::end`], are no longer needed: all that is in them is
    /// durable elsewhere. Their place is used again after the next sync.
    ///
    /// # Errors
    /// `Io`; nothing was released.
    pub fn release(&mut self, position: u64) -> Result<(), IoError> {
        assert!(position <= self.head, "what is not written cannot be released");
        if position <= self.blocks.released() {
            return Ok(());
        }
        self.blocks.write(position, self.capacity)
    }

    /// What says whether the next process may believe the system's cache.
    pub fn cache_trust(&self) -> CacheTrust<F> {
        CacheTrust::new(Arc::clone(&self.blocks), self.boot)
    }

    /// What says whose the logs are.
    ///
    /// # Errors
    /// The file cannot be opened once more.
    pub fn handover<D: Disk<File = F>>(&self, disk: &D) -> Result<Handover<F>, IoError> {
        let file = disk.open(self.file.path(), OpenMode::Write)?;
        Ok(Handover::new(file, Arc::clone(&self.blocks)))
    }

    /// The position behind the last frame.
    pub fn end(&self) -> u64 {
        self.head
    }

    /// How many bytes of frames are still needed.
    pub fn needed(&self) -> u64 {
        self.head - self.blocks.tail()
    }

    /// How many bytes of frames it holds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }
}
