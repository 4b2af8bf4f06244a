//! Messages of the formats before batches (magic 0 and 1), which old segments still hold.
//!
//! ```text
//!  0        8      12     16  17  18             26 / 18
//!  | offset | size | crc  |m | at| timestamp (1) | key length, key | value length, value |
//!                         '----------------- covered by the CRC-32 (IEEE) --------------'
//! ```
//!
//! They are read and passed on as they are, and never written.

use dohle_base::{Offset, Timestamp};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    big_endian::{I32, I64, U32},
};

use crate::entries::EntryPrefix;
use crate::{Attributes, BatchError};

/// A message borrowed from the bytes that hold it. Compressed, its value holds further messages.
#[derive(Clone, Copy)]
pub struct LegacyMessage<'a> {
    head: &'a Head,
    timestamp: Timestamp,
    bytes: &'a [u8],
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    offset: I64,
    size: I32,
    crc: U32,
    magic: i8,
    attributes: i8,
}

/// Where the bytes that the CRC covers begin: at the magic.
const CRC_START: usize = 16;

impl<'a> LegacyMessage<'a> {
    /// The least size of a message of magic 0, offset and size included.
    pub(crate) const SIZE_MIN_V0: usize = 26;
    /// The least size of a message of magic 1, offset and size included.
    pub(crate) const SIZE_MIN_V1: usize = 34;

    /// Reads the message at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// `Truncated`, `BadMagic` (2 included), `BadLength`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let EntryPrefix { size, magic, .. } = EntryPrefix::parse(bytes)?;
        if magic > 1 {
            return Err(BatchError::BadMagic { position: 0, magic });
        }
        let truncated = BatchError::Truncated { position: 0, needed: size, available: bytes.len() };
        let bytes = bytes.get(..size).ok_or(truncated)?;
        let (head, rest) = Head::ref_from_prefix(bytes).map_err(|_| truncated)?;
        let timestamp = match magic {
            0 => Timestamp::NONE,
            _ => Timestamp(I64::read_from_prefix(rest).map_err(|_| truncated)?.0.get()),
        };
        Ok(Self { head, timestamp, bytes })
    }

    /// The whole message.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the whole message, offset and size included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its offset; that of the last message within, if compressed.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.head.offset.get())
    }

    /// The format: 0 or 1.
    #[must_use]
    pub fn magic(&self) -> i8 {
        self.head.magic
    }

    /// The CRC-32 that the message claims.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.head.crc.get()
    }

    /// The attribute bits; only codec and timestamp type have a meaning.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from(self.head.attributes) & 0x0f)
    }

    /// Its time; the greatest of the messages within, if compressed; `NONE` with magic 0.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Whether the bytes are those that the checksum was taken of. One pass over them.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let covered = self.bytes.get(CRC_START..).unwrap_or_default();
        let (expected, computed) = (self.crc(), crc32fast::hash(covered));
        if expected == computed { Ok(()) } else { Err(BatchError::BadCrc { expected, computed }) }
    }
}

impl std::fmt::Debug for LegacyMessage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegacyMessage")
            .field("offset", &self.offset())
            .field("size", &self.size())
            .field("magic", &self.magic())
            .field("attributes", &self.attributes())
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}
