//! One whole batch, read where it lies.
//!
//! Three checks, each its own call, because each path needs others of them: `parse` (framing),
//! `check` of the head (its numbers agree), `check_crc` (one pass over the bytes). Decoding the
//! records is a fourth and lives in `records`.

use std::ops::Deref;

use bytes::Bytes;

use crate::layout::{CRC_START, HEADER_SIZE};
use crate::{BatchError, BatchHeader};

/// A batch borrowed from the bytes that hold it.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader<'a>,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads the batch at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// `Truncated`, `BadMagic`, `BadLength`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        match bytes.get(..header.size()) {
            Some(bytes) => Ok(Self { header, bytes }),
            None => Err(BatchError::Truncated {
                position: 0,
                needed: header.size(),
                available: bytes.len(),
            }),
        }
    }

    /// The head; all its accessors are the batch's, too.
    #[must_use]
    pub fn header(&self) -> BatchHeader<'a> {
        self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they are stored, compressed or not.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER_SIZE..).unwrap_or_default()
    }

    /// Whether the bytes are those that the checksum was taken of. One pass over them.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (expected, computed) = (self.crc(), crc_of(self.bytes));
        if expected == computed { Ok(()) } else { Err(BatchError::BadCrc { expected, computed }) }
    }
}

impl<'a> Deref for BatchView<'a> {
    type Target = BatchHeader<'a>;

    fn deref(&self) -> &Self::Target {
        &self.header
    }
}

/// A batch that shares ownership of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch(Bytes);

impl Batch {
    /// Takes the batch at the start of `bytes`, without copying it.
    ///
    /// # Errors
    /// As `BatchView::parse`.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let size = BatchView::parse(bytes)?.size();
        Ok(Self(bytes.slice(..size)))
    }

    /// Shares the bytes of a batch that lies in `owner`.
    ///
    /// # Panics
    /// If it lies elsewhere.
    #[must_use]
    pub fn of(owner: &Bytes, batch: BatchView<'_>) -> Self {
        Self(owner.slice_ref(batch.bytes()))
    }

    /// The batch to read.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        BatchView::parse(&self.0).expect("parsed when it was made, and bytes do not change")
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The whole batch.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The CRC-32C of a whole batch.
pub(crate) fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_START..).unwrap_or_default())
}
