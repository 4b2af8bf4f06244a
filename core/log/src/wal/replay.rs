//! What a write-ahead log holds after a crash, by partition.

use std::collections::BTreeMap;

use dohle_base::{PartitionId, TopicId, Uuid};

use super::{
    WalDamage, WalError,
    format::{ALIGN, Block, DATA_START, ENTRY_HEAD_SIZE, FRAME_HEAD_SIZE, FrameHead},
};
use crate::disk::{DiskFile, IoError};

/// How much of the file is looked through at once for frames behind a torn one.
const SEARCH_SIZE: usize = 1 << 20;

/// A partition, by its topic's id.
type Key = (TopicId, PartitionId);

/// Where in the file some batches of a partition lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    position: u64,
    size: usize,
}

/// Batches that may be missing in their segments, in the order in which they were written.
#[derive(Debug)]
pub struct Unflushed<F> {
    file: F,
    spans: BTreeMap<Key, Vec<Span>>,
    end: u64,
    pub(super) lost_cache: Option<bool>,
}

impl<F: DiskFile> Unflushed<F> {
    pub(super) fn none(file: F) -> Self {
        Self { file, spans: BTreeMap::new(), end: 0, lost_cache: None }
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
        }
        if !left_clean && let Some(valid_at) = found.frame_behind(block)? {
            return Err(found.damaged(block, found.end, WalDamage::Frame { valid_at }));
        }
        Ok(found)
    }

    /// The position behind the last frame.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether the machine has started since the directory was written to, so that what was not synced
    /// may be gone in any order; `None` if nobody knows: the file is new.
    pub fn lost_cache(&self) -> Option<bool> {
        self.lost_cache
    }

    /// Whether no partition lacks anything.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The partitions that may lack something.
    pub fn partitions(&self) -> impl Iterator<Item = Key> {
        self.spans.keys().copied()
    }

    /// Whether a partition may lack something.
    pub fn has(&self, topic: TopicId, partition: PartitionId) -> bool {
        self.spans.contains_key(&(topic, partition))
    }

    /// What a partition may lack: runs of batches, each to be given to [`crate::Log::redo`].
    pub fn of(
        &self,
        topic: TopicId,
        partition: PartitionId,
    ) -> impl Iterator<Item = Result<Vec<u8>, IoError>> {
        let spans = self.spans.get(&(topic, partition)).map(Vec::as_slice).unwrap_or_default();
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
        let head = head.get(..read).and_then(FrameHead::decode);
        let Some(head) = head.filter(|head| head.position == position) else { return Ok(None) };
        if place + head.size as u64 > block.capacity {
            return Ok(None);
        }
        let mut frame = vec![0; head.size];
        let read = self.file.read_up_to(&mut frame, DATA_START + place)?;
        let is_whole = read == head.size
            && frame.get(8..).is_some_and(|rest| crc32c::crc32c(rest) == head.crc);
        Ok(is_whole.then_some(frame))
    }

    /// Where a frame lies that was written after the end, if one does.
    fn frame_behind(&self, block: &Block) -> Result<Option<u64>, IoError> {
        let size = self.file.size()?.saturating_sub(DATA_START).min(block.capacity);
        let mut chunk = vec![0; SEARCH_SIZE];
        let mut place = 0;
        while place < size {
            let read = self.file.read_up_to(&mut chunk, DATA_START + place)?;
            let pages = chunk.get(..read).unwrap_or_default().chunks(ALIGN as usize);
            for (index, page) in pages.enumerate() {
                let Some(head) = FrameHead::decode(page) else { continue };
                let at = place + index as u64 * ALIGN;
                let is_later = head.position > self.end && head.position % block.capacity == at;
                if is_later && self.frame_at(block, head.position)?.is_some() {
                    return Ok(Some(DATA_START + at));
                }
            }
            place += SEARCH_SIZE as u64;
        }
        Ok(None)
    }

    /// Notes where the batches of each partition lie.
    fn take(&mut self, block: &Block, position: u64, frame: &[u8]) -> Result<(), WalError> {
        let start = DATA_START + position % block.capacity;
        let mut at = FRAME_HEAD_SIZE;
        let count = FrameHead::decode(frame).map_or(0, |head| head.count);
        for _ in 0..count {
            let entry = frame.get(at..).and_then(entry);
            let Some((key, size)) =
                entry.filter(|(_, size)| frame.len() - at - ENTRY_HEAD_SIZE >= *size)
            else {
                return Err(self.damaged(block, position, WalDamage::Entries));
            };
            let span = Span { position: start + (at + ENTRY_HEAD_SIZE) as u64, size };
            self.spans.entry(key).or_default().push(span);
            at += ENTRY_HEAD_SIZE + size;
        }
        if at == frame.len() {
            return Ok(());
        }
        Err(self.damaged(block, position, WalDamage::Entries))
    }

    fn damaged(&self, block: &Block, position: u64, reason: WalDamage) -> WalError {
        let path = self.file.path().to_owned();
        WalError::Damaged { path, position: DATA_START + position % block.capacity, reason }
    }
}

/// The head of an entry: whose it is and how many bytes follow.
fn entry(bytes: &[u8]) -> Option<(Key, usize)> {
    let head: &[u8; ENTRY_HEAD_SIZE] = bytes.first_chunk()?;
    let topic = TopicId(Uuid(u128::from_be_bytes(head.get(..16)?.try_into().ok()?)));
    let partition = PartitionId(i32::from_be_bytes(head.get(16..20)?.try_into().ok()?));
    let size = u32::from_be_bytes(head.get(20..24)?.try_into().ok()?);
    Some(((topic, partition), usize::try_from(size).ok()?))
}
