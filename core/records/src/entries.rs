//! Batches and old messages one behind another, as segments, requests and responses hold them.
//!
//! All formats begin alike: offset, size, four bytes that mean different things, magic. So one walk
//! steps over all of them.

use bytes::Bytes;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    big_endian::{I32, I64},
};

use dohle_base::Offset;

use crate::layout::{HEADER_SIZE, MAGIC_V2, PREFIX_SIZE};
use crate::{Batch, BatchError, BatchView, LegacyMessage};

/// Bytes that show an entry's offset, size and magic.
pub const PEEK_SIZE: usize = 17;

/// What every entry begins with, of whatever format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPrefix {
    /// The base offset of a batch; of a message its own offset, or its last one's if compressed.
    pub offset: Offset,
    /// Bytes of the whole entry.
    pub size: usize,
    /// The format: 0, 1 or 2.
    pub magic: i8,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PrefixLayout {
    offset: I64,
    length: I32,
    epoch_or_crc: I32,
    magic: i8,
}

const _: () = assert!(size_of::<PrefixLayout>() == PEEK_SIZE);

impl EntryPrefix {
    /// Reads the first 17 bytes of an entry; the rest need not be there.
    ///
    /// # Errors
    /// `Truncated` if fewer are there, `BadMagic` for an unknown format, `BadLength` for a length
    /// below the least of the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Ok((prefix, _)) = PrefixLayout::ref_from_prefix(bytes) else {
            let available = bytes.len();
            return Err(BatchError::Truncated { position: 0, needed: PEEK_SIZE, available });
        };
        let magic = prefix.magic;
        let size_min = match magic {
            0 => LegacyMessage::SIZE_MIN_V0,
            1 => LegacyMessage::SIZE_MIN_V1,
            MAGIC_V2 => HEADER_SIZE,
            _ => return Err(BatchError::BadMagic { position: 0, magic }),
        };
        let length = prefix.length.get();
        let size = usize::try_from(length).ok().and_then(|length| length.checked_add(PREFIX_SIZE));
        match size {
            Some(size) if size >= size_min => {
                Ok(Self { offset: Offset(prefix.offset.get()), size, magic })
            }
            _ => Err(BatchError::BadLength { position: 0, length }),
        }
    }
}

/// A batch, or a message of the formats before batches.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Magic 2.
    Batch(BatchView<'a>),
    /// Magic 0 or 1.
    Legacy(LegacyMessage<'a>),
}

impl<'a> Entry<'a> {
    /// Reads the entry at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// `Truncated`, `BadMagic`, `BadLength`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let prefix = EntryPrefix::parse(bytes)?;
        if prefix.magic == MAGIC_V2 {
            BatchView::parse(bytes).map(Self::Batch)
        } else {
            LegacyMessage::parse(bytes).map(Self::Legacy)
        }
    }

    /// The whole entry.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Batch(batch) => batch.bytes(),
            Self::Legacy(message) => message.bytes(),
        }
    }

    /// The batch, if it is one.
    #[must_use]
    pub fn batch(&self) -> Option<BatchView<'a>> {
        match self {
            Self::Batch(batch) => Some(*batch),
            Self::Legacy(_) => None,
        }
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        match self {
            Self::Batch(batch) => batch.last_offset(),
            Self::Legacy(message) => message.offset(),
        }
    }

    /// Whether the bytes are those that the checksum was taken of. One pass over them.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        match self {
            Self::Batch(batch) => batch.check_crc(),
            Self::Legacy(message) => message.check_crc(),
        }
    }
}

/// Walks entries that lie one behind another.
///
/// Ends after the first error: behind bytes that are not an entry no other can be found.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

/// Walks the batches and old messages in `bytes`.
#[must_use]
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { bytes, position: 0, failed: false }
}

/// Takes all batches in `bytes` without copying them. What a response cut short is left out.
///
/// # Errors
/// `BadMagic` for old messages, too; `BadLength`.
pub fn split_batches(bytes: &Bytes) -> Result<Vec<Batch>, BatchError> {
    let mut batches = Vec::new();
    let mut walk = entries(bytes);
    loop {
        let position = walk.position();
        match walk.next() {
            None | Some(Err(BatchError::Truncated { .. })) => return Ok(batches),
            Some(Err(error)) => return Err(error),
            Some(Ok(Entry::Batch(batch))) => batches.push(Batch::of(bytes, batch)),
            Some(Ok(Entry::Legacy(message))) => {
                return Err(BatchError::BadMagic { position, magic: message.magic() });
            }
        }
    }
}

impl Entries<'_> {
    /// Where the next entry begins; after an error, where the one begins that is none. Bytes
    /// before are whole entries.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if rest.is_empty() || self.failed {
            return None;
        }
        match Entry::parse(rest) {
            Ok(entry) => {
                self.position += entry.bytes().len();
                Some(Ok(entry))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error.at(self.position)))
            }
        }
    }
}
