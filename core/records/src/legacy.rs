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

use crate::entries::{Entries, EntryPrefix, entries};
use crate::{Attributes, BatchError, Codec, Entry, Headers, Record, RecordFault, TimestampType};

type Nullable<'a> = Option<&'a [u8]>;

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

impl<'a> LegacyMessage<'a> {
    /// Where the bytes that the CRC covers begin: at the magic.
    pub(crate) const CRC_START: usize = 16;
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

    /// The key and the value.
    pub(crate) fn key_and_value(&self) -> Result<(Nullable<'a>, Nullable<'a>), RecordFault> {
        let fields_start = if self.magic() == 0 { 18 } else { 26 };
        let mut rest = self.bytes.get(fields_start..).unwrap_or_default();
        Ok((take_nullable(&mut rest)?, take_nullable(&mut rest)?))
    }

    /// Whether the bytes are those that the checksum was taken of. One pass over them.
    ///
    /// # Errors
    /// `BadCrc`.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let covered = self.bytes.get(Self::CRC_START..).unwrap_or_default();
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

/// Takes a length of four bytes and as many bytes; `None` if the length is negative.
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Result<Nullable<'a>, RecordFault> {
    let (length, rest) = I32::ref_from_prefix(bytes).map_err(|_| RecordFault::Truncated)?;
    let length = length.get();
    *bytes = rest;
    let Ok(size) = usize::try_from(length) else { return Ok(None) };
    let bad = RecordFault::BadLength { length: i64::from(length) };
    let (taken, rest) = bytes.split_at_checked(size).ok_or(bad)?;
    *bytes = rest;
    Ok(Some(taken))
}

/// What to add to the offsets of the messages within a compressed one, whose payload `bytes` is.
///
/// With magic 0 they are absolute. With magic 1 they are relative, and the outer offset is that of
/// the last message within, or 0 from certain old producers, whose offsets begin there.
pub(crate) fn offset_shift(wrapper: &LegacyMessage<'_>, bytes: &[u8]) -> Result<i64, RecordFault> {
    let mut last = None;
    for message in messages(bytes) {
        last = Some(message?.offset().0);
    }
    let last = last.ok_or(RecordFault::Truncated)?;
    match (wrapper.magic(), wrapper.offset().0) {
        (0, _) | (_, 0) => Ok(0),
        (_, outer) if outer < last || last < 0 => Err(RecordFault::BadNesting),
        (_, outer) => Ok(outer - last),
    }
}

/// The messages within a compressed one. One that is cut short ends them.
fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages(entries(bytes))
}

#[derive(Clone, Debug)]
struct Messages<'a>(Entries<'a>);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<LegacyMessage<'a>, RecordFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.next()? {
            Ok(Entry::Legacy(message)) => Some(Ok(message)),
            Err(BatchError::Truncated { .. }) => None,
            Err(BatchError::BadLength { length, .. }) => {
                Some(Err(RecordFault::BadLength { length: i64::from(length) }))
            }
            Ok(Entry::Batch(_)) | Err(_) => Some(Err(RecordFault::BadNesting)),
        }
    }
}

/// Walks the records of an old message: itself, or those within it.
#[derive(Clone, Debug)]
pub(crate) struct LegacyRecords<'a> {
    walk: LegacyWalk<'a>,
    index: u32,
}

#[derive(Clone, Debug)]
enum LegacyWalk<'a> {
    Single(LegacyMessage<'a>),
    Within {
        messages: Messages<'a>,
        shift: i64,
        log_append_time: Option<Timestamp>,
        are_checked: bool,
    },
    Ended,
}

impl<'a> LegacyRecords<'a> {
    pub(crate) fn single(message: LegacyMessage<'a>) -> Self {
        Self { walk: LegacyWalk::Single(message), index: 0 }
    }

    /// `are_checked`: whether a wrong checksum of one of them is an error.
    pub(crate) fn within(
        wrapper: LegacyMessage<'_>,
        shift: i64,
        bytes: &'a [u8],
        are_checked: bool,
    ) -> Self {
        let log_append = wrapper.attributes().timestamp_type() == TimestampType::LogAppend;
        let log_append_time = log_append.then_some(wrapper.timestamp);
        let messages = messages(bytes);
        let walk = LegacyWalk::Within { messages, shift, log_append_time, are_checked };
        Self { walk, index: 0 }
    }

    pub(crate) fn next(&mut self) -> Option<Result<Record<'a>, BatchError>> {
        let record = match &mut self.walk {
            LegacyWalk::Ended => return None,
            LegacyWalk::Single(message) => {
                let record = record_of(message, 0, None);
                self.walk = LegacyWalk::Ended;
                record
            }
            LegacyWalk::Within { messages, shift, log_append_time, are_checked } => {
                messages.next()?.and_then(|message| {
                    check_inner(&message, *are_checked)?;
                    record_of(&message, *shift, *log_append_time)
                })
            }
        };
        if record.is_err() {
            self.walk = LegacyWalk::Ended;
        }
        let index = self.index;
        self.index += 1;
        Some(record.map_err(|fault| BatchError::BadRecord { index, fault }))
    }
}

fn check_inner(message: &LegacyMessage<'_>, is_checked: bool) -> Result<(), RecordFault> {
    if message.attributes().codec() != Some(Codec::None) {
        return Err(RecordFault::BadNesting);
    }
    match message.check_crc() {
        Err(BatchError::BadCrc { expected, computed }) if is_checked => {
            Err(RecordFault::BadCrc { expected, computed })
        }
        _ => Ok(()),
    }
}

fn record_of<'a>(
    message: &LegacyMessage<'a>,
    shift: i64,
    log_append_time: Option<Timestamp>,
) -> Result<Record<'a>, RecordFault> {
    let (key, value) = message.key_and_value()?;
    let offset = message.offset().0.checked_add(shift).ok_or(RecordFault::BadNesting)?;
    let timestamp = match log_append_time {
        Some(time) if message.magic() > 0 => time,
        _ => message.timestamp,
    };
    Ok(Record { offset: Offset(offset), timestamp, key, value, headers: Headers::default() })
}
