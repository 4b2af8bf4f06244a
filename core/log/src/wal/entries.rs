//! What is in a frame: batches of a partition, or up to where its segments were synced.

use dohle_base::{LeaderEpoch, Offset, PartitionId, TopicId, Uuid};

use super::format::{ENTRY_HEAD_SIZE, FRAME_HEAD_SIZE, NOTE};
use crate::recover::Synced;

/// A partition, by its topic's id.
pub(super) type Key = (TopicId, PartitionId);

/// One entry.
pub(super) struct Entry<'a> {
    pub(super) key: Key,
    pub(super) content: Content<'a>,
}

/// What it says of its partition.
pub(super) enum Content<'a> {
    /// Batches, and at which byte of the frame they begin.
    Batches(usize, &'a [u8]),
    Synced(Synced),
}

/// Walks the entries of a frame.
pub(super) struct Entries<'a> {
    frame: &'a [u8],
    at: usize,
    left: u32,
}

/// The entries are not what the frame's head says.
pub(super) struct Malformed;

impl<'a> Entries<'a> {
    /// Those of a whole frame, of which the head says how many there are.
    pub(super) fn new(frame: &'a [u8], count: u32) -> Self {
        Self { frame, at: FRAME_HEAD_SIZE, left: count }
    }

    fn take(&mut self) -> Option<Entry<'a>> {
        let head: &[u8; ENTRY_HEAD_SIZE] = self.frame.get(self.at..)?.first_chunk()?;
        let topic = TopicId(Uuid(u128::from_be_bytes(head.get(..16)?.try_into().ok()?)));
        let partition = PartitionId(i32::from_be_bytes(head.get(16..20)?.try_into().ok()?));
        let size = u32::from_be_bytes(head.get(20..24)?.try_into().ok()?);
        let start = self.at + ENTRY_HEAD_SIZE;
        let end = start.checked_add(usize::try_from(size & !NOTE).ok()?)?;
        let bytes = self.frame.get(start..end)?;
        let content = match size & NOTE {
            0 => Content::Batches(start, bytes),
            _ => Content::Synced(synced(bytes)?),
        };
        (self.at, self.left) = (end, self.left - 1);
        Some(Entry { key: (topic, partition), content })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 && self.at == self.frame.len() {
            return None;
        }
        let taken = if self.left > 0 { self.take() } else { None };
        if taken.is_none() {
            // The last answer.
            (self.at, self.left) = (self.frame.len(), 0);
        }
        Some(taken.ok_or(Malformed))
    }
}

fn synced(bytes: &[u8]) -> Option<Synced> {
    let (epoch, end) = bytes.split_first_chunk()?;
    let epoch = LeaderEpoch(i32::from_be_bytes(*epoch));
    Some(Synced { end: Offset(i64::from_be_bytes(end.try_into().ok()?)), epoch })
}
