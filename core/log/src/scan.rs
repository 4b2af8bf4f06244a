//! Walking the batches of a segment's file.
//!
//! Two walks: `HeadScan` reads only what tells offsets and positions, for look-ups of a few
//! batches; `BatchScan` reads everything, for recovery and replay. Neither trusts a length before it
//! is checked against the end of the file, and what is longer than a chunk gets memory only once its
//! checksum is right: a length that is wrong may reach to the end of the file. Old messages of magic 0 and 1 are walked like batches.

#[cfg(test)]
mod tests;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchError, BatchHeader, Checksum, Entry, EntryPrefix, HEADER_SIZE, MAGIC_V2};

use crate::{
    disk::{DiskFile, IoError},
    error::{Corruption, DamageReason, LogError},
};

/// How much a look-up reads at once: as much as lies between two index entries by default.
pub(crate) const HEADS_SIZE: usize = 4096;
/// How much recovery reads at once, unless a batch is larger.
pub(crate) const CHUNK_SIZE: u64 = 1 << 20;
/// Where a message of magic 1 has its timestamp.
const LEGACY_TIMESTAMP: std::ops::Range<usize> = 18..26;
/// Where a message of magic 0 or 1 says how it is compressed, and in which bits.
const LEGACY_CODEC: (usize, u8) = (17, 7);

/// What a batch or an old message says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its first byte in the file.
    pub(crate) position: u32,
    /// Its bytes.
    pub(crate) size: u32,
    /// Its first offset; of an old compressed message the last one, as nothing else is told.
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) max_timestamp: Timestamp,
    /// Whether it is known to have a record at each of its offsets.
    pub(crate) is_whole: bool,
}

impl Head {
    /// The position behind it.
    pub(crate) fn end(&self) -> u32 {
        self.position.saturating_add(self.size)
    }

    /// Reads the head of the batch at `position` and nothing behind it, where the last one ends at `end`.
    /// `None` if there is none that is whole, or it cannot be read.
    pub(crate) fn at<F: DiskFile>(file: &F, position: u32, end: u32) -> Option<Self> {
        let left = end.checked_sub(position)?;
        let mut buffer = [0; HEADER_SIZE];
        let bytes = buffer.get_mut(..HEADER_SIZE.min(left as usize))?;
        let read = file.read_up_to(bytes, u64::from(position)).ok()?;
        let head = Self::parse(bytes.get(..read)?, position).ok()?;
        (head.size <= left).then_some(head)
    }

    /// Reads the head of an entry at `position` from its first bytes.
    pub(crate) fn parse(bytes: &[u8], position: u32) -> Result<Self, BatchError> {
        let prefix = EntryPrefix::parse(bytes)?;
        let size = u32::try_from(prefix.size).unwrap_or(u32::MAX);
        if prefix.magic == MAGIC_V2 {
            let header = BatchHeader::parse(bytes)?;
            header.check()?;
            return Ok(Self {
                position,
                size,
                base: header.base_offset(),
                last: header.last_offset(),
                leader_epoch: header.partition_leader_epoch(),
                max_timestamp: header.max_timestamp(),
                is_whole: is_whole(&header),
            });
        }
        let max_timestamp = match bytes.get(LEGACY_TIMESTAMP).map(TryInto::try_into) {
            Some(Ok(bytes)) if prefix.magic == 1 => Timestamp(i64::from_be_bytes(bytes)),
            _ => Timestamp::NONE,
        };
        let (base, leader_epoch) = (prefix.offset, LeaderEpoch::NONE);
        if base.0 < 0 || base.0 == i64::MAX {
            return Err(BatchError::BadOffsets { base_offset: base.0, last_offset_delta: 0 });
        }
        let (at, mask) = LEGACY_CODEC;
        let is_whole = bytes.get(at).is_some_and(|attributes| attributes & mask == 0);
        Ok(Self { position, size, base, last: base, leader_epoch, max_timestamp, is_whole })
    }
}

/// Whether a batch has a record at each of its offsets.
pub(crate) fn is_whole(header: &BatchHeader<'_>) -> bool {
    i64::from(header.record_count()) == i64::from(header.last_offset_delta()) + 1
}

/// Walks the heads of batches, reading little.
pub(crate) struct HeadScan<'a, F> {
    file: &'a F,
    /// Where the next head is.
    position: u32,
    /// Where the last batch ends.
    end: u32,
    buffer: [u8; HEADS_SIZE],
    /// What of the file is in the buffer.
    held: std::ops::Range<u32>,
    /// How many reads were made.
    reads: u32,
}

impl<'a, F: DiskFile> HeadScan<'a, F> {
    /// Walks from a batch's first byte to `end`, the end of a batch.
    pub(crate) fn new(file: &'a F, position: u32, end: u32) -> Self {
        Self { file, position, end, buffer: [0; HEADS_SIZE], held: 0..0, reads: 0 }
    }

    /// The next head; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Head>, LogError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let needed = (self.end - position).min(HEADER_SIZE as u32);
        if !(self.held.start <= position && position + needed <= self.held.end) {
            self.fill()?;
        }
        let start = (position - self.held.start) as usize;
        let held = (self.held.end - self.held.start) as usize;
        let bytes = self.buffer.get(start..held).unwrap_or_default();
        let head = Head::parse(bytes, position).map_err(|error| self.damaged(error))?;
        if head.size > self.end - position {
            let available = (self.end - position) as usize;
            let needed = head.size as usize;
            return Err(self.damaged(BatchError::Truncated { position: 0, needed, available }));
        }
        self.position = head.end();
        Ok(Some(head))
    }

    /// The header of the batch that `next` has just told; `None` of an old message.
    pub(crate) fn header(&self, head: &Head) -> Option<BatchHeader<'_>> {
        let start = head.position.checked_sub(self.held.start)?;
        BatchHeader::parse(self.buffer.get(start as usize..)?).ok()
    }

    /// All bytes of the batch that `next` has just told, if they were read with its head.
    pub(crate) fn held(&self, head: &Head) -> Option<&[u8]> {
        let start = head.position.checked_sub(self.held.start)? as usize;
        let end = head.end().min(self.held.end).checked_sub(self.held.start)? as usize;
        self.buffer.get(start..end).filter(|bytes| bytes.len() == head.size as usize)
    }

    fn fill(&mut self) -> Result<(), IoError> {
        let wanted = ((self.end - self.position) as usize).min(HEADS_SIZE);
        let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
        let read = self.file.read_up_to(buffer, u64::from(self.position))?;
        self.held = self.position..self.position + read as u32;
        self.reads = self.reads.saturating_add(1);
        Ok(())
    }

    /// How many reads were made.
    pub(crate) fn reads(&self) -> u32 {
        self.reads
    }

    fn damaged(&self, error: BatchError) -> LogError {
        let position = u64::from(self.position);
        Corruption::new(self.file.path(), position, DamageReason::Batch(error)).into()
    }
}

/// Walks whole batches, reading everything.
pub(crate) struct BatchScan<'a, F> {
    file: &'a F,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer's first byte is.
    start: u64,
    chunk_size: u64,
    /// Whether what does not fit a chunk is read twice, for its checksum first.
    distrusts_sizes: bool,
}

/// What lies at the position of a scan.
pub(crate) enum Scanned<'a> {
    /// A well-formed batch; its checksum was looked at only if it is large.
    Entry(u64, Entry<'a>),
    /// Bytes that are none.
    Damaged(u64, BatchError),
    /// Nothing more.
    End,
}

impl<'a, F: DiskFile> BatchScan<'a, F> {
    /// Walks the file from `position` to `end`.
    pub(crate) fn new(file: &'a F, position: u64, end: u64) -> Self {
        Self::in_chunks(file, position, end, CHUNK_SIZE)
    }

    /// The same, reading so many bytes at once, but not fewer than a head has.
    pub(crate) fn in_chunks(file: &'a F, position: u64, end: u64, chunk_size: u64) -> Self {
        let chunk_size = chunk_size.max(HEADER_SIZE as u64);
        let (buffer, start) = (Vec::new(), position);
        Self { file, position, end, buffer, start, chunk_size, distrusts_sizes: true }
    }

    /// The same where all was checked before, and only heads and markers count: what became of the rest
    /// since is for readers to find.
    pub(crate) fn of_checked(file: &'a F, position: u64, end: u64) -> Self {
        Self { distrusts_sizes: false, ..Self::new(file, position, end) }
    }

    pub(crate) fn next(&mut self) -> Result<Scanned<'_>, IoError> {
        if self.position >= self.end {
            return Ok(Scanned::End);
        }
        let at = self.position;
        let size = match self.load()? {
            Ok(size) => size,
            Err(error) => return Ok(Scanned::Damaged(at, error)),
        };
        self.position = at + size as u64;
        Ok(match Entry::parse(self.held(at, size)) {
            Ok(entry) => Scanned::Entry(at, entry),
            Err(error) => Scanned::Damaged(at, error),
        })
    }

    /// Gets the entry at the position into the buffer and says how long it is.
    fn load(&mut self) -> Result<Result<usize, BatchError>, IoError> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if self.held(self.position, HEADER_SIZE.min(left)).is_empty() {
            self.fill(self.chunk_size)?;
        }
        let size = match EntryPrefix::parse(self.held(self.position, HEADER_SIZE.min(left))) {
            Ok(prefix) => prefix.size,
            Err(error) => return Ok(Err(error)),
        };
        if size > left {
            let error = BatchError::Truncated { position: 0, needed: size, available: left };
            return Ok(Err(error));
        }
        if self.held(self.position, size).is_empty() {
            if self.distrusts_sizes
                && size as u64 > self.chunk_size
                && let Err(error) = self.check_large(size)?
            {
                return Ok(Err(error));
            }
            self.fill(self.chunk_size.max(size as u64))?;
        }
        Ok(Ok(size))
    }

    /// Whether the checksum is right of the entry of this size at the position; a chunk at a time.
    fn check_large(&mut self, size: usize) -> Result<Result<(), BatchError>, IoError> {
        let position = self.position;
        let mut sum = match Checksum::of(self.held(position, Checksum::HEAD_SIZE)) {
            Ok(sum) => sum,
            Err(error) => return Ok(Err(error)),
        };
        let end = position + size as u64;
        while self.position < end {
            self.fill(self.chunk_size.min(end - self.position))?;
            if self.buffer.is_empty() {
                break;
            }
            sum.add(&self.buffer);
            self.position += self.buffer.len() as u64;
        }
        self.position = position;
        Ok(sum.check())
    }

    /// The bytes of the file there, if all of them are in the buffer; else none.
    fn held(&self, position: u64, size: usize) -> &[u8] {
        let start = position.checked_sub(self.start).and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(start..start.checked_add(size)?));
        range.and_then(|range| self.buffer.get(range)).unwrap_or_default()
    }

    /// Reads from the position on; `size` has been checked against the end, or is small.
    fn fill(&mut self, size: u64) -> Result<(), IoError> {
        let size = usize::try_from(size.min(self.end - self.position)).unwrap_or(usize::MAX);
        self.buffer.resize(size, 0);
        let read = self.file.read_up_to(&mut self.buffer, self.position)?;
        self.buffer.truncate(read);
        self.start = self.position;
        Ok(())
    }
}
