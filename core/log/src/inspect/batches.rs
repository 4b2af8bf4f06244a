//! Batches and old messages of a segment or a snapshot, however wrong their heads are.

use dohle_base::{Offset, Timestamp};
use dohle_records::{
    Attributes, BatchError, BatchHeader, Entry, HEADER_SIZE, MAGIC_V2, PEEK_SIZE, PREFIX_SIZE,
};

use super::window::Window;
use crate::{
    disk::{DiskFile, IoError},
    error::{Corruption, DamageReason, LogError},
};

/// The least length field of any format: that of a message of magic 0 with neither key nor value.
const LENGTH_MIN: usize = 14;
/// Bytes of the head of a message of magic 0, up to its attributes.
const HEAD_SIZE_V0: usize = 18;
/// Bytes of the head of a message of magic 1, up to its timestamp.
const HEAD_SIZE_V1: usize = 26;

/// Walks what lies one behind another, until bytes that cannot be the head of anything.
#[derive(Debug)]
pub struct Batches<'a, F> {
    window: Window<'a, F>,
    position: u64,
    end: u64,
}

/// A batch, or an old message, by its head. Numbers are as they are stored; none is checked.
#[derive(Clone, Copy, Debug)]
pub struct StoredBatch {
    /// Its first byte in the file.
    pub position: u64,
    /// Its bytes; so many are there.
    pub size: usize,
    /// Its format; 2 and above are read as 2.
    pub magic: i8,
    /// The first bytes, as far as a head of its format goes; with magic and length of a batch in
    /// place, so that it can be read as one.
    head: [u8; HEADER_SIZE],
}

impl<'a, F: DiskFile> Batches<'a, F> {
    /// Walks `file` from `position` to `end`, reading `piece_size` bytes at once: little if only
    /// heads are wanted.
    ///
    /// # Errors
    /// As the disk says.
    pub fn new(
        file: &'a F,
        (position, end): (u64, u64),
        piece_size: usize,
    ) -> Result<Self, IoError> {
        let window = Window::new(file, piece_size)?;
        let end = end.min(window.file_size());
        Ok(Self { window, position, end })
    }

    /// Where the next batch begins, or behind the last one what cannot be one begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the walk ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Goes on elsewhere.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The next one; none if what is left is too little for a head or for all that it announces.
    ///
    /// # Errors
    /// A length that no format has, or a head that is longer than the rest of the file.
    pub fn next_batch(&mut self) -> Result<Option<StoredBatch>, LogError> {
        let left = self.end.saturating_sub(self.position);
        // Source: observed of Kafka 4.4.0, which wants one byte more than it looks at.
        if left <= PEEK_SIZE as u64 {
            return Ok(None);
        }
        let position = self.position;
        let bytes = self.window.bytes(position, HEADER_SIZE)?;
        let mut head = [0; HEADER_SIZE];
        let known = bytes.len();
        head.get_mut(..known).unwrap_or_default().copy_from_slice(bytes);
        let [_, _, _, _, _, _, _, _, l0, l1, l2, l3, _, _, _, _, magic, ..] = head;
        let (length, magic) = (i32::from_be_bytes([l0, l1, l2, l3]), magic.cast_signed());
        let size = match usize::try_from(length) {
            Ok(length) if length >= LENGTH_MIN => length + PREFIX_SIZE,
            _ => return Err(self.damaged(BatchError::BadLength { position: 0, length })),
        };
        if left < size as u64 {
            return Ok(None);
        }
        let needed = match magic {
            0 => HEAD_SIZE_V0,
            ..MAGIC_V2 => HEAD_SIZE_V1,
            MAGIC_V2.. => HEADER_SIZE,
        };
        if known < needed {
            let error = BatchError::Truncated { position: 0, needed, available: known };
            return Err(self.damaged(error));
        }
        self.position = position + size as u64;
        Ok(Some(StoredBatch::new(position, size, magic, head)))
    }

    /// The whole of a batch that this walk has found.
    ///
    /// # Errors
    /// As the disk says.
    pub fn bytes(&mut self, batch: &StoredBatch) -> Result<&[u8], IoError> {
        self.window.bytes(batch.position, batch.size)
    }

    /// That the bytes at a batch are wrong.
    fn damaged(&self, error: BatchError) -> LogError {
        let reason = DamageReason::Batch(error);
        Corruption::new(self.window.file().path(), self.position, reason).into()
    }
}

impl StoredBatch {
    fn new(position: u64, size: usize, magic: i8, mut head: [u8; HEADER_SIZE]) -> Self {
        if magic >= MAGIC_V2 {
            head[16] = MAGIC_V2.cast_unsigned();
            // A batch can claim to be shorter than its own head, which then reaches behind it.
            let length = u32::try_from(size.max(HEADER_SIZE) - PREFIX_SIZE).unwrap_or(u32::MAX);
            head[8..12].copy_from_slice(&length.to_be_bytes());
        }
        Self { position, size, magic, head }
    }

    /// The head of a batch; none of a message before batches.
    pub fn header(&self) -> Option<BatchHeader<'_>> {
        (self.magic >= MAGIC_V2).then(|| BatchHeader::parse(&self.head).ok()).flatten()
    }

    /// The attribute bits.
    pub fn attributes(&self) -> Attributes {
        match self.header() {
            Some(header) => header.attributes(),
            None => Attributes(i16::from(self.head[17]) & 0x0f),
        }
    }

    /// The checksum that it claims.
    pub fn crc(&self) -> u32 {
        match self.header() {
            Some(header) => header.crc(),
            None => {
                u32::from_be_bytes([self.head[12], self.head[13], self.head[14], self.head[15]])
            }
        }
    }

    /// The greatest timestamp; that of an old message; `NONE` with magic 0.
    pub fn max_timestamp(&self) -> Timestamp {
        match (self.header(), self.magic, self.head[18..].first_chunk()) {
            (Some(header), ..) => header.max_timestamp(),
            (None, 0, _) | (None, _, None) => Timestamp::NONE,
            (None, _, Some(bytes)) => Timestamp(i64::from_be_bytes(*bytes)),
        }
    }

    /// The last offset; that of an old message. It may be none that an offset can be.
    pub fn last_offset(&self) -> Offset {
        let [o0, o1, o2, o3, o4, o5, o6, o7, ..] = self.head;
        let base = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let delta = self.header().map_or(0, |header| header.last_offset_delta());
        Offset(base.wrapping_add(i64::from(delta)))
    }

    /// The entry in `bytes`, which are the whole of it. A format from the future is read as the
    /// newest one, out of a copy in `patched`: no checksum covers the byte that names it.
    ///
    /// # Errors
    /// It is shorter than the head of its format, or of a format before all.
    pub fn entry<'a>(
        &self,
        bytes: &'a [u8],
        patched: &'a mut Vec<u8>,
    ) -> Result<Entry<'a>, BatchError> {
        if self.magic <= MAGIC_V2 {
            return Entry::parse(bytes);
        }
        patched.clear();
        patched.extend_from_slice(bytes);
        if let Some(magic) = patched.get_mut(16) {
            *magic = MAGIC_V2.cast_unsigned();
        }
        Entry::parse(patched)
    }
}
