//! What a write-ahead log holds after a crash, by partition.

use std::{collections::BTreeMap, io::IoSlice};

use dohle_base::{Offset, PartitionId, TopicId};

use super::{
    WalDamage, WalError,
    entries::{Content, Entries, Entry, Key},
    format::{ALIGN, Block, CRC_END, DATA_START, FRAME_HEAD_SIZE, FrameHead, padding},
    search::find_frame,
};
use crate::{
    disk::{DiskFile, IoError},
    recover::Synced,
};
use held::{Held, Span};

pub(super) mod frames;
mod held;

/// Batches that may be missing in their segments, in the order in which they were written.
#[derive(Debug)]
pub struct Unflushed<F> {
    file: F,
    held: BTreeMap<Key, Held>,
    end: u64,
    /// The last frame, and at which position it was written.
    last: Option<(u64, Vec<u8>)>,
    pub(super) lost_cache: Option<bool>,
    pub(super) disk_failed: bool,
}

impl<F: DiskFile> Unflushed<F> {
    pub(super) fn none(file: F) -> Self {
        let (held, last) = (BTreeMap::new(), None);
        Self { file, held, end: 0, last, lost_cache: None, disk_failed: false }
    }

    /// Walks the frames from the tail on. Of a directory that was left clean nothing is needed; else
    /// what follows the last one is looked through for others.
    pub(super) fn read(file: &F, block: &Block, left_clean: bool) -> Result<Self, WalError> {
        let mut found = Self { end: block.tail, ..Self::none(file.clone()) };
        while let Some((position, frame)) = found.next_frame(block)? {
            if !left_clean {
                found.take(block, position, &frame)?;
            }
            found.end = position + (frame.len() as u64).next_multiple_of(ALIGN);
            found.last = Some((position, frame));
        }
        if !left_clean && let Some(valid_at) = found.frame_behind(block)? {
            return Err(found.damaged(block, found.end, WalDamage::Frame { valid_at }));
        }
        Ok(found)
    }

    /// Writes the last frame once more where it lies, not synced, and forgets it.
    pub(super) fn write_last(&mut self, block: &Block) -> Result<(), IoError> {
        let Some((position, frame)) = self.last.take() else { return Ok(()) };
        let slices = [IoSlice::new(&frame), IoSlice::new(padding(frame.len() as u64))];
        self.file.write_all_at(&slices, DATA_START + position % block.capacity)
    }

    /// The position behind the last frame.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether the machine has started since the directory was written to, or its disk failed, so that
    /// what was not synced may be gone in any order; `None` if nobody knows: the file is new.
    pub fn lost_cache(&self) -> Option<bool> {
        self.lost_cache
    }

    /// Whether a disk that has failed is all that has happened since: what the system caches of the
    /// directory's files may not be on it, and must not be believed.
    pub fn disk_failed(&self) -> bool {
        self.disk_failed
    }

    /// Whether it tells of no partition.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The partitions that may lack something, or that it tells of.
    pub fn partitions(&self) -> impl Iterator<Item = Key> {
        self.held.keys().copied()
    }

    /// Whether a partition may lack something, or it is told up to where it was synced.
    pub fn has(&self, topic: TopicId, partition: PartitionId) -> bool {
        self.held.contains_key(&(topic, partition))
    }

    /// Up to where a partition's segments were synced for sure, by what the frames tell: for
    /// [`crate::OpenLog`].
    pub fn synced(&self, topic: TopicId, partition: PartitionId) -> Option<Synced> {
        self.held.get(&(topic, partition))?.synced
    }

    /// Up to where a partition's log had come, by what the frames hold and tell: for
    /// [`crate::OpenLog`].
    pub fn reached(&self, topic: TopicId, partition: PartitionId) -> Offset {
        self.held.get(&(topic, partition)).map_or(Offset::ZERO, |held| held.next)
    }

    /// What a partition may lack: runs of batches, each to be given to [`crate::Log::redo`].
    pub fn of(
        &self,
        topic: TopicId,
        partition: PartitionId,
    ) -> impl Iterator<Item = Result<Vec<u8>, IoError>> {
        let held = self.held.get(&(topic, partition));
        let spans = held.map(|held| held.spans.as_slice()).unwrap_or_default();
        spans.iter().map(|span| {
            // Not more than a frame, whose checksum was right.
            let mut bytes = vec![0; span.size];
            self.file.read_exact_at(&mut bytes, span.position)?;
            Ok(bytes)
        })
    }

    /// The frame behind the last one: right there, or at the start of the next lap.
    fn next_frame(&self, block: &Block) -> Result<Option<(u64, Vec<u8>)>, IoError> {
        let next_lap = (self.end / block.capacity + 1) * block.capacity;
        for position in [self.end, next_lap] {
            if let Some(frame) = self.frame_at(block, position)? {
                return Ok(Some((position, frame)));
            }
        }
        Ok(None)
    }

    /// The frame that was written at `position`, if it is there, whole.
    fn frame_at(&self, block: &Block, position: u64) -> Result<Option<Vec<u8>>, IoError> {
        if position.saturating_sub(block.tail) >= block.capacity {
            return Ok(None);
        }
        let place = position % block.capacity;
        let mut head = [0; FRAME_HEAD_SIZE];
        let read = self.file.read_up_to(&mut head, DATA_START + place)?;
        let head = head.get(..read).and_then(|head| FrameHead::decode(head, block.salt));
        let Some(head) = head.filter(|head| head.position == position) else { return Ok(None) };
        if place + head.size as u64 > block.capacity {
            return Ok(None);
        }
        let mut frame = vec![0; head.size];
        let read = self.file.read_up_to(&mut frame, DATA_START + place)?;
        let covered = frame.get(CRC_END..).unwrap_or_default();
        let is_whole = read == head.size && block.salt.checksum(covered) == head.crc;
        Ok(is_whole.then_some(frame))
    }

    /// Where a frame lies that was written after the end, if one does.
    fn frame_behind(&self, block: &Block) -> Result<Option<u64>, IoError> {
        find_frame(&self.file, (block.capacity, block.salt), |place, head| {
            head.position > self.end
                && head.position % block.capacity == place
                && head.position.saturating_sub(block.tail) < block.capacity
                && place + head.size as u64 <= block.capacity
        })
    }

    /// Notes where the batches of each partition lie, and what is said of it.
    fn take(&mut self, block: &Block, position: u64, frame: &[u8]) -> Result<(), WalError> {
        let start = DATA_START + position % block.capacity;
        for entry in entries(block, frame) {
            let Ok(Entry { key, content }) = entry else {
                return Err(self.damaged(block, position, WalDamage::Entries));
            };
            let held = self.held.entry(key).or_default();
            match content {
                Content::Batches(at, batches) => {
                    let span = Span { position: start + at as u64, size: batches.len() };
                    held.take_batches(span, batches);
                }
                Content::Synced(synced) => held.take_note(synced),
            }
        }
        Ok(())
    }

    fn damaged(&self, block: &Block, position: u64, reason: WalDamage) -> WalError {
        let path = self.file.path().to_owned();
        WalError::Damaged { path, position: DATA_START + position % block.capacity, reason }
    }
}

/// What is in a whole frame.
fn entries<'a>(block: &Block, frame: &'a [u8]) -> Entries<'a> {
    Entries::new(frame, FrameHead::decode(frame, block.salt).map_or(0, |head| head.count))
}
