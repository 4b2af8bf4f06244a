//! What can be wrong with a batch, by whose fault, with the numbers that explain it.
//!
//! The enums are small and `Copy`: a hostile client must not be able to make errors expensive.
//! The conversion to a peer-visible code is not here but next to each handler.

use crate::Codec;

/// Why bytes are not a batch, or a batch is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does: a torn tail, or a size limit that cut a response.
    #[error("batch at {position} ends after {available} bytes, expected {needed} or more")]
    Truncated {
        /// Where the batch begins, from the start of the bytes that were given.
        position: usize,
        /// Bytes from there to its end, as far as is known.
        needed: usize,
        /// Bytes from there to the end of what was given.
        available: usize,
    },
    /// The length field is negative or smaller than the fixed head.
    #[error("batch at {position} claims a length of {length}, expected that of a head or more")]
    BadLength {
        /// Where the batch begins.
        position: usize,
        /// The length field.
        length: i32,
    },
    /// A format that does not exist, or one that cannot be here.
    #[error("batch at {position} has magic {magic}, expected 2, or 0 or 1 of old logs")]
    BadMagic {
        /// Where the batch begins.
        position: usize,
        /// The magic byte.
        magic: i8,
    },
    /// There are bytes behind the one batch that may be here.
    #[error("{size} bytes, expected a batch of {batch_size} alone")]
    NotAlone {
        /// Bytes that were given.
        size: usize,
        /// Bytes of the first batch.
        batch_size: usize,
    },
    /// The bytes are not those that the checksum was taken of.
    #[error("checksum is {computed:#010x}, expected {expected:#010x} as the batch says")]
    BadCrc {
        /// What the batch says.
        expected: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A codec number that has no meaning in this format.
    #[error("codec {id}, expected one that this format has")]
    UnknownCodec {
        /// The number, 5 to 7; of old messages 4, too.
        id: u8,
    },
    /// The offsets are negative or leave the range of an offset.
    #[error(
        "base offset {base_offset} with last offset delta {last_offset_delta}, expected both from 0, and a sum below 2^63"
    )]
    BadOffsets {
        /// The base offset.
        base_offset: i64,
        /// The last offset delta.
        last_offset_delta: i32,
    },
    /// The record count does not fit the offsets or the size.
    #[error(
        "{count} records, expected as many as last offset delta {last_offset_delta} has room for"
    )]
    BadCount {
        /// The record count.
        count: i32,
        /// The last offset delta.
        last_offset_delta: i32,
    },
    /// Control records may only be made by brokers.
    #[error("control records from a client")]
    ControlFromClient,
    /// A producer with an id must number its records.
    #[error("producer {producer_id} sent base sequence {base_sequence}")]
    BadSequence {
        /// The producer id.
        producer_id: i64,
        /// The base sequence, negative.
        base_sequence: i32,
    },
    /// The compressed bytes are not what the codec makes.
    #[error("the {codec} stream is broken, expected a whole one")]
    BadCompression {
        /// The codec.
        codec: Codec,
    },
    /// The records are larger than the reader allows.
    #[error("the records exceed {limit} bytes")]
    TooLarge {
        /// The most that the reader allows.
        limit: usize,
    },
    /// One record is not well-formed; those before it are.
    #[error("record {index}: {fault}")]
    BadRecord {
        /// The record's place in the batch, from 0.
        index: u32,
        /// What is wrong.
        fault: RecordFault,
    },
    /// There are bytes behind the last record.
    #[error("{count} bytes behind the last record, expected none")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

impl BatchError {
    /// Whether the bytes were damaged on their way, rather than made wrong. A producer is told
    /// `CORRUPT_MESSAGE` then and tries again, and otherwise `INVALID_RECORD`.
    ///
    /// A batch that is cut counts as none at all, and old formats as chosen, not as damage.
    #[must_use]
    pub const fn is_corruption(self) -> bool {
        match self {
            Self::BadMagic { magic, .. } => !matches!(magic, 0 | 1),
            Self::BadLength { .. } | Self::BadCrc { .. } => true,
            Self::Truncated { .. }
            | Self::NotAlone { .. }
            | Self::UnknownCodec { .. }
            | Self::BadOffsets { .. }
            | Self::BadCount { .. }
            | Self::ControlFromClient
            | Self::BadSequence { .. }
            | Self::BadCompression { .. }
            | Self::TooLarge { .. }
            | Self::BadRecord { .. }
            | Self::TrailingBytes { .. } => false,
        }
    }

    /// The same, with its position counted from `start` bytes earlier.
    #[must_use]
    pub fn at(self, start: usize) -> Self {
        match self {
            Self::Truncated { position, needed, available } => {
                Self::Truncated { position: position + start, needed, available }
            }
            Self::BadLength { position, length } => {
                Self::BadLength { position: position + start, length }
            }
            Self::BadMagic { position, magic } => {
                Self::BadMagic { position: position + start, magic }
            }
            other => other,
        }
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end within the record.
    #[error("ends early, expected all of its fields")]
    Truncated,
    /// A variable-length integer is longer than its type allows.
    #[error("overlong integer, expected one that its type has room for")]
    BadVarint,
    /// A length or count is negative, or exceeds the bytes that are there.
    #[error("length {length}, expected one that the bytes have room for")]
    BadLength {
        /// The length.
        length: i64,
    },
    /// The record is longer or shorter than its fields.
    #[error("size {size}, expected {fields} as its fields have")]
    SizeMismatch {
        /// What the record says.
        size: usize,
        /// Bytes that its fields take.
        fields: usize,
    },
    /// The offset does not lie in the batch, or not behind the record before.
    #[error("offset delta {delta}, expected one behind the record before and within the batch")]
    BadOffset {
        /// The offset delta.
        delta: i32,
    },
    /// The checksum of an old message is wrong.
    #[error("checksum is {computed:#010x}, expected {expected:#010x} as the message says")]
    BadCrc {
        /// What the message says.
        expected: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A message within a compressed one has a magic that cannot be there, or is itself compressed.
    #[error("cannot be within a compressed message")]
    BadNesting,
}
