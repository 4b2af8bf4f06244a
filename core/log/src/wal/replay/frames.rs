//! A write-ahead log as it is, for those who look at it: both blocks, and the frames from the tail on. A
//! directory that was left clean needs none of them. Nothing is written or repaired. Memory: a frame.

#[cfg(test)]
mod tests;

use dohle_base::{PartitionId, TopicId};

use super::{
    super::{
        WalDamage, WalError,
        entries::{Content, Entry},
        format::{ALIGN, Block, DATA_START, FrameHead, Salt},
        search::begins_frames,
    },
    Unflushed, entries,
};
use crate::{
    disk::{DiskFile, IoError},
    recover::Synced,
};

/// One of the two blocks, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalBlock {
    /// Of two blocks the one with the greater is true.
    pub sequence: u64,
    /// Bytes of a lap.
    pub capacity: u64,
    /// The position of the first frame that is needed.
    pub tail: u64,
    /// The run of the machine in which it was written.
    pub boot: u128,
    /// Whether another process may have written to the logs since.
    pub is_left: bool,
    /// Whether its frames are salted; the versions before wrote them without.
    pub is_salted: bool,
}

/// A frame, whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalFrame {
    /// How many bytes had gone by before it.
    pub position: u64,
    /// Its first byte in the file.
    pub start: u64,
    /// Its bytes, without the zeros behind it.
    pub size: usize,
    /// Its checksum.
    pub crc: u32,
    /// What is in it, in its order.
    pub entries: Vec<WalEntry>,
}

/// What a frame has of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalEntry {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// Batches of it, or what is said of it.
    pub content: WalContent,
}

/// Batches of a partition, or what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalContent {
    /// Batches.
    Batches {
        /// Their first byte in the file.
        start: u64,
        /// Their bytes.
        size: usize,
    },
    /// Its segments were synced instead of a frame.
    Synced(Synced),
}

/// Walks the frames from the tail on.
#[derive(Debug)]
pub struct WalFrames<F> {
    found: Unflushed<F>,
    blocks: [Option<Block>; 2],
    is_new: bool,
}

impl<F: DiskFile> WalFrames<F> {
    /// Reads the blocks, whatever they are.
    ///
    /// # Errors
    /// As the disk says.
    pub fn new(file: &F) -> Result<Self, IoError> {
        let mut bytes = vec![0; DATA_START as usize];
        let read = file.read_up_to(&mut bytes, 0)?;
        bytes.truncate(read);
        let (first, second) = bytes.split_at(read.min(ALIGN as usize));
        let blocks = [first, second].map(Block::decode);
        let is_new = bytes.iter().all(|byte| *byte == 0) && !begins_frames(file)?;
        let mut frames = Self { found: Unflushed::none(file.clone()), blocks, is_new };
        frames.found.end = frames.block().map_or(0, |block| block.tail);
        Ok(frames)
    }

    /// Both blocks; none in the place of one that is not whole, cannot be true, or was never written.
    pub fn blocks(&self) -> [Option<WalBlock>; 2] {
        self.blocks.each_ref().map(|block| {
            let Block { sequence, capacity, tail, boot, salt, is_left } = *block.as_ref()?;
            let is_salted = salt != Salt::NONE;
            Some(WalBlock { sequence, capacity, tail, boot, is_left, is_salted })
        })
    }

    /// The position behind the last frame that was returned; before the first one the tail.
    pub fn end(&self) -> u64 {
        self.found.end
    }

    /// The next frame; none behind the last one.
    ///
    /// # Errors
    /// `Damaged`, as a start after a crash would find it.
    pub fn next_frame(&mut self) -> Result<Option<WalFrame>, WalError> {
        let Some(block) = self.block().cloned() else {
            let path = self.found.file.path().to_owned();
            let damage = WalError::Damaged { path, position: 0, reason: WalDamage::NoBlock };
            return if self.is_new { Ok(None) } else { Err(damage) };
        };
        let Some((position, bytes)) = self.found.next_frame(&block)? else {
            return match self.found.frame_behind(&block)? {
                None => Ok(None),
                Some(valid_at) => {
                    let reason = WalDamage::Frame { valid_at };
                    Err(self.found.damaged(&block, self.found.end, reason))
                }
            };
        };
        let start = DATA_START + position % block.capacity;
        let mut shown = Vec::new();
        for entry in entries(&block, &bytes) {
            let Ok(Entry { key: (topic, partition), content }) = entry else {
                return Err(self.found.damaged(&block, position, WalDamage::Entries));
            };
            let content = match content {
                Content::Batches(at, batches) => {
                    WalContent::Batches { start: start + at as u64, size: batches.len() }
                }
                Content::Synced(synced) => WalContent::Synced(synced),
            };
            shown.push(WalEntry { topic, partition, content });
        }
        self.found.end = position + (bytes.len() as u64).next_multiple_of(ALIGN);
        Ok(Some(WalFrame {
            position,
            start,
            size: bytes.len(),
            crc: FrameHead::decode(&bytes, block.salt).map_or(0, |head| head.crc),
            entries: shown,
        }))
    }

    /// The one that is true.
    fn block(&self) -> Option<&Block> {
        self.blocks.iter().flatten().max_by_key(|block| block.sequence)
    }
}
