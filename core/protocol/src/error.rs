//! What can go wrong with bytes, both ways. Both errors are small, `Copy` and free of text: a peer
//! that sends garbage must not cost us an allocation.

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the start of what the reader was given.
    pub at: u32,
}

/// What is wrong with the bytes at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A value or a length that reaches beyond the end.
    #[error("data ends too early")]
    Truncated,
    /// A length below −1, or −1 where null is not allowed.
    #[error("negative length")]
    NegativeLength,
    /// Null where this version allows none.
    #[error("null where none is allowed")]
    UnexpectedNull,
    /// A string of more than 32,767 bytes.
    #[error("string too long")]
    StringTooLong,
    /// An array of more elements than the remaining bytes can hold, or than 1,000,000.
    #[error("more elements than fit")]
    TooManyElements,
    /// More than 10,000 tagged fields in one struct.
    #[error("too many tagged fields")]
    TooManyTags,
    /// A tagged field whose size is not that of its value.
    #[error("tagged field of a wrong size")]
    TagSize,
    /// A varint of more than five bytes or more than 32 bits.
    #[error("overlong varint")]
    OverlongVarint,
    /// A string that is not UTF-8.
    #[error("string that is not UTF-8")]
    NotUtf8,
    /// Bytes behind the end of the message.
    #[error("bytes behind the end")]
    TrailingBytes,
    /// An API key that Kafka 4.4 does not have.
    #[error("unknown API key {0}")]
    UnknownApiKey(i16),
    /// A version that the message does not have.
    #[error("unsupported version {0}")]
    UnsupportedVersion(i16),
    /// A stored record of a type that does not exist.
    #[error("unknown record type {0}")]
    UnknownRecordType(i16),
    /// A metadata record in a frame of another version than 1.
    #[error("unknown frame version {0}")]
    UnknownFrameVersion(u32),
}

/// A message that cannot be written in the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The field carries a value that this version would lose, and may not be dropped silently.
    #[error("field {field} is set, but version {version} does not have it")]
    NotInVersion {
        /// The field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The field is null, and this version allows none.
    #[error("field {field} is null, but the version allows none")]
    UnexpectedNull {
        /// The field.
        field: &'static str,
    },
    /// A string of more than 32,767 bytes, or anything of more than 2³¹ − 2.
    #[error("a length of {0} does not fit its field")]
    TooLong(usize),
}
