//! The bytes of a write-ahead log, big-endian.
//!
//! ```text
//! block   0        8     12        16         24         32     40     56     68     72
//!         | magic  | crc | version | sequence | capacity | tail | boot | salt | left |
//! frame   0       4     8      12      16         24
//!         | magic | crc | size | count | position | entry | entry | … | zeros up to 4096
//! entry   0          16          20     24
//!         | topic id | partition | size | batches, as in the segment |
//! note                                 24             28           36
//!         | topic id | partition | size | leader epoch | synced up to |
//! ```
//!
//! The checksums are CRC-32C of all that follows them, the zeros not included. `size` of a frame
//! counts from its first byte; that of a note has the highest bit set. `boot` is 0 once the directory's disk has failed (`blocks`). Of a frame
//! checksum and position are salted ([`Salt`]). A block of version 1 has no salt, nor have its frames.
//! `left` is 1 if another process may have written to the logs since (`handover`). Version 1 has none: it counts as 0.

use std::io::IoSlice;

use dohle_base::{PartitionId, TopicId};

use super::{FILE_NAME, WalDamage, WalError, search::begins_frames};
use crate::{
    disk::{DiskFile, IoError},
    recover::Synced,
};

/// Frames begin at multiples of this: a page is written as a whole, so the file system need not
/// read it before.
pub(super) const ALIGN: u64 = 4096;
/// Where the frames begin.
pub(super) const DATA_START: u64 = 2 * ALIGN;
/// The first bytes of a block.
const BLOCK_MAGIC: [u8; 8] = *b"DohleWAL";
const BLOCK_SIZE: usize = UNSALTED_SIZE + SALT_SIZE + 4;
/// Of a block without a salt, which the versions before wrote.
const UNSALTED_SIZE: usize = 56;
const VERSION: u32 = 2;
const UNSALTED_VERSION: u32 = 1;
/// Bytes of a salt.
pub const SALT_SIZE: usize = 12;
/// The first bytes of a frame.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"DWFr";
pub(super) const FRAME_HEAD_SIZE: usize = 24;
/// From where on its checksum covers a frame.
pub(super) const CRC_END: usize = 8;
pub(super) const ENTRY_HEAD_SIZE: usize = 24;
/// In the size of an entry that has no batches, but says up to where segments were synced.
pub(super) const NOTE: u32 = 1 << 31;
/// Bytes behind the head of such an entry.
const NOTE_SIZE: usize = 12;

static ZEROS: [u8; ALIGN as usize] = [0; ALIGN as usize];

/// The zeros behind so many bytes.
pub(super) fn padding(size: u64) -> &'static [u8] {
    let missing = size.next_multiple_of(ALIGN) - size;
    ZEROS.get(..missing as usize).unwrap_or_default()
}

/// What nobody knows who sends records: without it bytes of a record could look like a frame that is yet
/// to come, and be taken for it where that one was torn.
///
/// 64 bits hide the position, and with 32 the checksum begins. Zeros are none: plain positions and
/// checksums, as the versions before wrote them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt {
    position: u64,
    crc: u32,
}

impl Salt {
    /// Of a file that has none.
    pub(super) const NONE: Self = Self { position: 0, crc: 0 };

    pub(super) fn new(bytes: [u8; SALT_SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let position = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self { position, crc: u32::from_be_bytes(rest) }
    }

    fn bytes(self) -> [u8; SALT_SIZE] {
        let mut bytes = [0; SALT_SIZE];
        bytes[..8].copy_from_slice(&self.position.to_be_bytes());
        bytes[8..].copy_from_slice(&self.crc.to_be_bytes());
        bytes
    }

    /// Hides a position, or shows a hidden one.
    fn mask(self, position: u64) -> u64 {
        position ^ self.position
    }

    /// The checksum of a frame, of all that is covered by it.
    pub(super) fn checksum(self, covered: &[u8]) -> u32 {
        crc32c::crc32c_append(self.crc, covered)
    }

    /// What checksums of frames begin with.
    pub(super) fn seed(self) -> u32 {
        self.crc
    }
}

impl std::fmt::Debug for Salt {
    /// It is for nobody to read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

/// Where the frames are, as a block says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Of two blocks the one with the greater is true.
    pub(super) sequence: u64,
    pub(super) capacity: u64,
    pub(super) tail: u64,
    /// Which run of the machine wrote it; 0 if what the system caches is not to be believed.
    pub(super) boot: u128,
    pub(super) salt: Salt,
    /// Another process may have written to the directory's logs since.
    pub(super) is_left: bool,
}

/// No file has so long a lap, and no log was ever written so far: sums of a few do not overflow.
const POSITION_MAX: u64 = 1 << 60;

impl Block {
    /// The newer of the two blocks; `None` if the file is new, whatever became of it in a crash: frames
    /// come after the first block is durable.
    pub(super) fn read<F: DiskFile>(file: &F) -> Result<Option<Self>, WalError> {
        let mut bytes = vec![0; DATA_START as usize];
        let size = file.read_up_to(&mut bytes, 0)?;
        bytes.truncate(size);
        let (first, second) = bytes.split_at(bytes.len().min(ALIGN as usize));
        match Self::decode(first).max_by_sequence(Self::decode(second)) {
            Some(block) => Ok(Some(block)),
            None if bytes.iter().all(|byte| *byte == 0) && !begins_frames(file)? => Ok(None),
            None => {
                debug_assert!(file.path().ends_with(FILE_NAME), "the log's own file");
                let path = file.path().to_owned();
                Err(WalError::Damaged { path, position: 0, reason: WalDamage::NoBlock })
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let half = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let (bytes, salt, left) = match half(12)? {
            UNSALTED_VERSION => (bytes.get(..UNSALTED_SIZE)?, [0; SALT_SIZE], 0),
            VERSION => {
                let bytes = bytes.get(..BLOCK_SIZE)?;
                (bytes, *bytes.get(UNSALTED_SIZE..)?.first_chunk()?, half(BLOCK_SIZE - 4)?)
            }
            _ => return None,
        };
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let boot = u128::from_be_bytes(bytes.get(40..56)?.try_into().ok()?);
        let (sequence, capacity, tail) = (word(16)?, word(24)?, word(32)?);
        let (salt, is_left) = (Salt::new(salt), left == 1);
        let block = Self { sequence, capacity, tail, boot, salt, is_left };
        let is_whole = bytes.starts_with(&BLOCK_MAGIC)
            && half(8)? == crc32c::crc32c(bytes.get(12..)?)
            && left <= 1
            && block.capacity > 0
            && block.capacity.is_multiple_of(ALIGN)
            && block.tail.is_multiple_of(ALIGN)
            && block.capacity.max(block.tail) <= POSITION_MAX;
        is_whole.then_some(block)
    }

    /// Writes it in its place, where the one before the last was, not synced.
    pub(super) fn write<F: DiskFile>(&self, file: &F) -> Result<(), IoError> {
        let mut bytes = Vec::with_capacity(BLOCK_SIZE);
        bytes.extend_from_slice(&BLOCK_MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        for word in [self.sequence, self.capacity, self.tail] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.boot.to_be_bytes());
        bytes.extend_from_slice(&self.salt.bytes());
        bytes.extend_from_slice(&u32::from(self.is_left).to_be_bytes());
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_be_bytes());
        let slices = [IoSlice::new(&bytes), IoSlice::new(padding(BLOCK_SIZE as u64))];
        file.write_all_at(&slices, self.sequence % 2 * ALIGN)
    }
}

trait Newer {
    fn max_by_sequence(self, other: Self) -> Self;
}

impl Newer for Option<Block> {
    fn max_by_sequence(self, other: Self) -> Self {
        self.into_iter().chain(other).max_by_key(|block| block.sequence)
    }
}

/// Batches of any partitions on their way to the write-ahead log.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    count: u32,
}

impl Default for Frame {
    fn default() -> Self {
        Self { bytes: vec![0; FRAME_HEAD_SIZE], count: 0 }
    }
}

impl Frame {
    /// The most bytes of a frame. What is larger is not worth a second write: its segment is synced
    /// instead.
    pub const SIZE_MAX: usize = 16 << 20;

    /// Adds batches of a partition, as they lie in its segment; `false` if the frame cannot take
    /// them.
    pub fn push(
        &mut self,
        (topic, partition): (TopicId, PartitionId),
        batches: &[IoSlice<'_>],
    ) -> bool {
        let size = batches.iter().map(|slice| slice.len()).sum::<usize>();
        let end = self.bytes.len().saturating_add(ENTRY_HEAD_SIZE).saturating_add(size);
        if end > Self::SIZE_MAX {
            return false;
        }
        self.bytes.extend_from_slice(&topic.0.0.to_be_bytes());
        self.bytes.extend_from_slice(&partition.0.to_be_bytes());
        self.bytes.extend_from_slice(&(size as u32).to_be_bytes());
        batches.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
        self.count += 1;
        true
    }

    /// Adds that a partition's segments were synced up to an offset, so that what is wrong there later is
    /// not taken for what a power cut leaves; `false` if the frame cannot take it.
    pub fn push_synced(&mut self, (topic, partition): (TopicId, PartitionId), to: Synced) -> bool {
        let mut entry = [0; ENTRY_HEAD_SIZE + NOTE_SIZE];
        entry[..16].copy_from_slice(&topic.0.0.to_be_bytes());
        entry[16..20].copy_from_slice(&partition.0.to_be_bytes());
        entry[20..24].copy_from_slice(&(NOTE | NOTE_SIZE as u32).to_be_bytes());
        entry[24..28].copy_from_slice(&to.epoch.0.to_be_bytes());
        entry[28..].copy_from_slice(&to.end.0.to_be_bytes());
        if self.bytes.len() + entry.len() > Self::SIZE_MAX {
            return false;
        }
        self.bytes.extend_from_slice(&entry);
        self.count += 1;
        true
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes, its head included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Drops what was added. The memory of a large frame is given back.
    pub fn clear(&mut self, kept_max: usize) {
        self.bytes.truncate(FRAME_HEAD_SIZE);
        self.bytes.shrink_to(kept_max);
        self.count = 0;
    }

    /// Says where the frame will lie.
    pub(super) fn seal(&mut self, position: u64, salt: Salt) {
        let size = self.bytes.len() as u32;
        let Some((head, _)) = self.bytes.split_first_chunk_mut::<FRAME_HEAD_SIZE>() else { return };
        head[0..4].copy_from_slice(&FRAME_MAGIC);
        head[8..12].copy_from_slice(&size.to_be_bytes());
        head[12..16].copy_from_slice(&self.count.to_be_bytes());
        head[16..24].copy_from_slice(&salt.mask(position).to_be_bytes());
        let crc = salt.checksum(&self.bytes[CRC_END..]);
        self.bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether a page begins as a frame does, whatever its salt.
pub(super) fn begins_frame(page: &[u8]) -> bool {
    FrameHead::decode(page, Salt::NONE).is_some()
}

/// What a frame's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) crc: u32,
    pub(super) size: usize,
    pub(super) count: u32,
    pub(super) position: u64,
}

impl FrameHead {
    /// Reads a head; `None` if the bytes are none.
    pub(super) fn decode(bytes: &[u8], salt: Salt) -> Option<Self> {
        let bytes: &[u8; FRAME_HEAD_SIZE] = bytes.first_chunk()?;
        let half = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let head = Self {
            crc: half(4)?,
            size: half(8)? as usize,
            count: half(12)?,
            position: salt.mask(u64::from_be_bytes(bytes.get(16..24)?.try_into().ok()?)),
        };
        let is_possible = (FRAME_HEAD_SIZE..=Frame::SIZE_MAX).contains(&head.size);
        (bytes.starts_with(&FRAME_MAGIC) && is_possible).then_some(head)
    }
}
