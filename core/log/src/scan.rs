//! Walking the batches of a segment's file.
//!
//! Two walks: `HeadScan` reads only what tells offsets and positions, for look-ups of a few
//! batches; `BatchScan` reads everything, for recovery and replay. Neither trusts a length before it
//! is checked against the end of the file. Old messages of magic 0 and 1 are walked like batches.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchError, BatchHeader, Entry, EntryPrefix, HEADER_SIZE, MAGIC_V2};

use crate::{
    disk::{DiskFile, IoError},
    error::{Corruption, DamageReason, LogError},
};

/// How much a look-up reads at once: as much as lies between two index entries by default.
const HEADS_SIZE: usize = 4096;
/// How much recovery reads at once, unless a batch is larger.
const CHUNK_SIZE: u64 = 1 << 20;
/// Where a message of magic 1 has its timestamp.
const LEGACY_TIMESTAMP: std::ops::Range<usize> = 18..26;

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
}

impl Head {
    /// The position behind it.
    pub(crate) fn end(&self) -> u32 {
        self.position.saturating_add(self.size)
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
        Ok(Self { position, size, base, last: base, leader_epoch, max_timestamp })
    }
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
}

impl<'a, F: DiskFile> HeadScan<'a, F> {
    /// Walks from a batch's first byte to `end`, the end of a batch.
    pub(crate) fn new(file: &'a F, position: u32, end: u32) -> Self {
        Self { file, position, end, buffer: [0; HEADS_SIZE], held: 0..0 }
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

    fn fill(&mut self) -> Result<(), IoError> {
        let wanted = ((self.end - self.position) as usize).min(HEADS_SIZE);
        let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
        let read = self.file.read_up_to(buffer, u64::from(self.position))?;
        self.held = self.position..self.position + read as u32;
        Ok(())
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
}

/// What lies at the position of a scan.
pub(crate) enum Scanned<'a> {
    /// A well-formed batch; its checksum is not looked at yet.
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
        Self { file, position, end, buffer: Vec::new(), start: position, chunk_size }
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
            self.fill(self.chunk_size.max(size as u64))?;
        }
        Ok(Ok(size))
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

/// Looks for a batch that was written behind damage: between `start` and `end`, well-formed, with
/// the right checksum, with offsets from `expected` on that fit the same segment, made by a leader
/// of `epoch` or later. Its position, if there is one.
pub(crate) fn find_valid<F: DiskFile>(
    file: &F,
    (start, end): (u64, u64),
    expected: Offset,
    epoch: LeaderEpoch,
) -> Result<Option<u64>, IoError> {
    let mut chunk = Vec::new();
    let mut position = start;
    while position + (HEADER_SIZE as u64) <= end {
        let size = usize::try_from((end - position).min(CHUNK_SIZE)).unwrap_or(usize::MAX);
        chunk.resize(size, 0);
        let read = file.read_up_to(&mut chunk, position)?;
        chunk.truncate(read);
        for (index, bytes) in chunk.windows(HEADER_SIZE).enumerate() {
            let at = position + index as u64;
            if is_plausible(bytes, end - at, expected, epoch) && is_valid(file, at, end)? {
                return Ok(Some(at));
            }
        }
        // The last bytes of a chunk may begin a head that ends in the next.
        match read.checked_sub(HEADER_SIZE - 1) {
            Some(searched) if searched > 0 => position += searched as u64,
            _ => break,
        }
    }
    Ok(None)
}

fn is_plausible(bytes: &[u8], left: u64, expected: Offset, epoch: LeaderEpoch) -> bool {
    // Nearly all bytes fail here.
    if bytes.get(16).is_none_or(|&magic| magic != MAGIC_V2 as u8) {
        return false;
    }
    let Ok(header) = BatchHeader::parse(bytes) else { return false };
    let distance = header.base_offset().0.saturating_sub(expected.0);
    header.check().is_ok()
        && header.size() as u64 <= left
        && (0..i64::from(i32::MAX)).contains(&distance)
        && header.partition_leader_epoch() >= epoch
}

fn is_valid<F: DiskFile>(file: &F, position: u64, end: u64) -> Result<bool, IoError> {
    match BatchScan::new(file, position, end).next()? {
        Scanned::Entry(_, entry) => Ok(entry.check_crc().is_ok()),
        Scanned::Damaged(..) | Scanned::End => Ok(false),
    }
}
