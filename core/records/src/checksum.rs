//! The checksum of an entry that is read piece by piece: whether it is whole can be told before there is
//! memory for it.

use crate::layout::{CRC_START, MAGIC_V2};
use crate::{BatchError, EntryPrefix, LegacyMessage};

/// A checksum under way.
#[derive(Clone, Debug)]
pub struct Checksum {
    expected: u32,
    sum: Sum,
    /// Bytes that are yet to come before those that the checksum covers.
    before: usize,
}

#[derive(Clone, Debug)]
enum Sum {
    Castagnoli(u32),
    Ieee(crc32fast::Hasher),
}

impl Checksum {
    /// Bytes of an entry that tell what its checksum is to be.
    pub const HEAD_SIZE: usize = CRC_START;

    /// The checksum of the entry that begins with `head`, of which no byte has been added.
    ///
    /// # Errors
    /// As `EntryPrefix::parse`; `Truncated` below 21 bytes.
    pub fn of(head: &[u8]) -> Result<Self, BatchError> {
        let prefix = EntryPrefix::parse(head)?;
        let (crc, sum, before) = match prefix.magic {
            MAGIC_V2 => (head.get(17..21), Sum::Castagnoli(0), CRC_START),
            _ => (head.get(12..16), Sum::Ieee(crc32fast::Hasher::new()), LegacyMessage::CRC_START),
        };
        let (needed, available) = (Self::HEAD_SIZE, head.len());
        let truncated = BatchError::Truncated { position: 0, needed, available };
        let crc = crc.and_then(|bytes| bytes.try_into().ok()).ok_or(truncated)?;
        Ok(Self { expected: u32::from_be_bytes(crc), sum, before })
    }

    /// Adds the next bytes of the entry, from its first on.
    pub fn add(&mut self, bytes: &[u8]) {
        let skipped = self.before.min(bytes.len());
        self.before -= skipped;
        let covered = bytes.get(skipped..).unwrap_or_default();
        match &mut self.sum {
            Sum::Castagnoli(sum) => *sum = crc32c::crc32c_append(*sum, covered),
            Sum::Ieee(hasher) => hasher.update(covered),
        }
    }

    /// Whether it is what the head says, once all bytes were added.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check(self) -> Result<(), BatchError> {
        let computed = match self.sum {
            Sum::Castagnoli(sum) => sum,
            Sum::Ieee(hasher) => hasher.finalize(),
        };
        let expected = self.expected;
        if expected == computed { Ok(()) } else { Err(BatchError::BadCrc { expected, computed }) }
    }
}
