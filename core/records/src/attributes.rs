//! The sixteen attribute bits of a batch.
//!
//! ```text
//! 15 … 7   6               5        4              3               2 1 0
//! unused   delete horizon  control  transactional  log append time  codec
//! ```

use std::fmt;

use crate::Codec;

/// Whose clock a batch's timestamps are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer's: each record has its own. Magic 0 has none at all, which reads as this.
    #[default]
    Create,
    /// The broker's: the batch's max timestamp holds for all its records.
    LogAppend,
}

impl TimestampType {
    /// 0 or 1, as the attribute bit and the Java client's enum have it.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Create => 0,
            Self::LogAppend => 1,
        }
    }

    /// The name that tools print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateTime",
            Self::LogAppend => "LogAppendTime",
        }
    }
}

/// A batch's attributes. Bits without a meaning are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub i16);

const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

impl Attributes {
    /// The number of the codec, 0 to 7.
    #[must_use]
    pub const fn codec_id(self) -> u8 {
        (self.0 & CODEC_MASK).to_be_bytes()[1]
    }

    /// The codec; `None` if its number has no meaning.
    #[must_use]
    pub const fn codec(self) -> Option<Codec> {
        Codec::from_id(self.codec_id())
    }

    /// Whose clock the timestamps are from.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & LOG_APPEND_TIME == 0 { TimestampType::Create } else { TimestampType::LogAppend }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL != 0
    }

    /// Whether the records are for brokers (markers, raft), not for consumers.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// Whether the base timestamp is the time from which the cleaner may drop tombstones.
    ///
    /// Source: KIP-534.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON != 0
    }

    /// The same with this codec.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> Self {
        Self((self.0 & !CODEC_MASK) | codec.id() as i16)
    }

    /// The same with this timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(LOG_APPEND_TIME, matches!(timestamp_type, TimestampType::LogAppend))
    }

    /// The same, in a transaction or not.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.with(TRANSACTIONAL, on)
    }

    /// The same, of control records or not.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.with(CONTROL, on)
    }

    /// The same, with the base timestamp being a delete horizon or not.
    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        self.with(DELETE_HORIZON, on)
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        if on { Self(self.0 | bit) } else { Self(self.0 & !bit) }
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attributes({:#06x})", self.0)
    }
}
