//! Records, decoded from the payload of a batch or of an old message.
//!
//! ```text
//! bytes ──parse──▶ Entry ──decompress──▶ Payload ──records──▶ Record, Record, … borrowed from it
//! ```
//!
//! What is not compressed is borrowed throughout. Decoding is strict: as many records as the head
//! counts, offsets ascending within the batch, each record as long as its fields, nothing behind.

use std::borrow::Cow;

use dohle_base::{Offset, Timestamp};

use crate::codec::{Era, decompress};
use crate::legacy::{self, LegacyRecords};
use crate::record::take_nullable;
use crate::varint::{take_varint, take_varlong};
use crate::{
    BatchError, BatchHeader, BatchView, Codec, Entry, Headers, LegacyMessage, Record, RecordFault,
    TimestampType,
};

/// The most bytes that a reader takes unless told otherwise.
/// Source: the default of `max.decompressed.message.bytes` in Kafka 4.4.
pub const DECOMPRESSED_SIZE_MAX: usize = 2_147_483_639;

/// The records of one batch or old message, decompressed if they were compressed.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bytes: Cow<'a, [u8]>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Batch(BatchHeader<'a>),
    Message(LegacyMessage<'a>),
    /// A compressed message, and what to add to the offsets of those within.
    Wrapper(LegacyMessage<'a>, i64),
}

impl<'a> BatchView<'a> {
    /// The records, decompressed if need be, to `limit` bytes at most. Checks nothing else.
    ///
    /// # Errors
    /// `UnknownCodec`, `BadCompression`, `TooLarge`.
    pub fn decompress(&self, limit: usize) -> Result<Payload<'a>, BatchError> {
        let attributes = self.attributes();
        let bytes = match attributes.codec() {
            None => return Err(BatchError::UnknownCodec { id: attributes.codec_id() }),
            Some(Codec::None) => Cow::Borrowed(self.payload()),
            // The cleaner's empty batches may name a codec; there is no stream then.
            Some(_) if self.record_count() == 0 => Cow::Borrowed(self.payload()),
            Some(codec) => Cow::Owned(decompress(codec, Era::Current, self.payload(), limit)?),
        };
        Ok(Payload { source: Source::Batch(self.header()), bytes })
    }
}

impl<'a> LegacyMessage<'a> {
    /// The message, or those within it, decompressed to `limit` bytes at most.
    ///
    /// # Errors
    /// `UnknownCodec` (Zstandard is younger than these formats), `BadCompression`, `TooLarge`;
    /// `BadRecord` if there are no messages within or their offsets do not fit.
    pub fn decompress(&self, limit: usize) -> Result<Payload<'a>, BatchError> {
        let attributes = self.attributes();
        let codec = match attributes.codec() {
            None | Some(Codec::Zstd) => {
                return Err(BatchError::UnknownCodec { id: attributes.codec_id() });
            }
            Some(Codec::None) => {
                let bytes = Cow::Borrowed(self.bytes());
                return Ok(Payload { source: Source::Message(*self), bytes });
            }
            Some(codec) => codec,
        };
        let bad = |fault| BatchError::BadRecord { index: 0, fault };
        let (_, value) = self.key_and_value().map_err(bad)?;
        let packed = value.ok_or(bad(RecordFault::BadLength { length: -1 }))?;
        let bytes = decompress(codec, Era::Legacy, packed, limit)?;
        let shift = legacy::offset_shift(self, &bytes).map_err(bad)?;
        Ok(Payload { source: Source::Wrapper(*self, shift), bytes: Cow::Owned(bytes) })
    }
}

impl<'a> Entry<'a> {
    /// The records, decompressed if need be, to `limit` bytes at most. Checks nothing else.
    ///
    /// # Errors
    /// `UnknownCodec`, `BadCompression`, `TooLarge`; `BadRecord` of old messages.
    pub fn decompress(&self, limit: usize) -> Result<Payload<'a>, BatchError> {
        match self {
            Self::Batch(batch) => batch.decompress(limit),
            Self::Legacy(message) => message.decompress(limit),
        }
    }
}

/// What a look at each record of a batch tells. Timestamps are the records' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsSummary {
    /// How many there are.
    pub count: u32,
    /// Whether the offsets leave no gap, from the batch's first to its last.
    pub contiguous: bool,
    /// The least timestamp but for −1, which means none; `NONE` if no record has one.
    pub min_timestamp: Timestamp,
    /// The greatest timestamp.
    pub max_timestamp: Timestamp,
    /// The first record without a key, which a compacted topic cannot take.
    pub first_without_key: Option<u32>,
    /// Bytes of the records, decompressed.
    pub size: usize,
}

impl Payload<'_> {
    /// The decompressed bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Walks the records. The first error is the last item.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        self.walk(Strictness::Full)
    }

    /// Walks the records of a batch that may be damaged, for people who look for what is wrong with
    /// it: offsets are not checked against the head, nor the checksums of messages within another,
    /// and bytes behind the last record are an error in its place, because one of the two lengths
    /// is wrong.
    #[must_use]
    pub fn records_as_stored(&self) -> Records<'_> {
        self.walk(Strictness::FramesOnly)
    }

    fn walk(&self, strictness: Strictness) -> Records<'_> {
        Records(match self.source {
            Source::Batch(header) => {
                Walk::Batch(BatchRecords::new(&header, &self.bytes, strictness))
            }
            Source::Message(message) => Walk::Legacy(LegacyRecords::single(message)),
            Source::Wrapper(message, shift) => {
                let are_checked = strictness == Strictness::Full;
                Walk::Legacy(LegacyRecords::within(message, shift, &self.bytes, are_checked))
            }
        })
    }

    /// Looks at each record.
    ///
    /// # Errors
    /// As the walk: `BadCount`, `BadRecord`, `TrailingBytes`.
    pub fn summarize(&self) -> Result<RecordsSummary, BatchError> {
        let mut summary = RecordsSummary { size: self.bytes.len(), ..RecordsSummary::EMPTY };
        let mut expected = match self.source {
            Source::Batch(header) => Some(header.base_offset()),
            Source::Message(_) | Source::Wrapper(..) => None,
        };
        for record in self.records() {
            let record = record?;
            let at = expected.unwrap_or(record.offset);
            summary.contiguous &= record.offset == at;
            expected = Some(Offset(record.offset.0.saturating_add(1)));
            summary.add(record.timestamp, record.key.is_some());
        }
        if let Source::Batch(header) = self.source {
            summary.contiguous &= expected == Some(header.next_offset());
        }
        Ok(summary)
    }
}

impl RecordsSummary {
    pub(crate) const EMPTY: Self = Self {
        count: 0,
        contiguous: true,
        min_timestamp: Timestamp::NONE,
        max_timestamp: Timestamp::NONE,
        first_without_key: None,
        size: 0,
    };

    pub(crate) fn add(&mut self, timestamp: Timestamp, has_key: bool) {
        if timestamp != Timestamp::NONE {
            self.min_timestamp = match self.min_timestamp {
                Timestamp::NONE => timestamp,
                least => least.min(timestamp),
            };
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if !has_key {
            self.first_without_key.get_or_insert(self.count);
        }
        self.count += 1;
    }
}

/// Walks the records of a payload.
#[derive(Clone, Debug)]
pub struct Records<'a>(Walk<'a>);

#[derive(Clone, Debug)]
enum Walk<'a> {
    Batch(BatchRecords<'a>),
    Legacy(LegacyRecords<'a>),
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Batch(records) => records.next(),
            Walk::Legacy(records) => records.next(),
        }
    }
}

/// What a walk looks at besides the records' own lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// Offsets, too, and bytes behind the last record, which is still given.
    Full,
    /// Bytes behind the last record, which is not given then.
    FramesOnly,
}

#[derive(Clone, Debug)]
struct BatchRecords<'a> {
    rest: &'a [u8],
    /// As the head counts; negative only in a head that `check` refuses.
    count: i32,
    index: i32,
    base_offset: i64,
    /// The least offset delta that the next record may have.
    delta_min: i32,
    delta_max: i32,
    base_timestamp: i64,
    log_append_time: Option<Timestamp>,
    strictness: Strictness,
    ended: bool,
}

impl<'a> BatchRecords<'a> {
    fn new(header: &BatchHeader<'_>, bytes: &'a [u8], strictness: Strictness) -> Self {
        let log_append = header.attributes().timestamp_type() == TimestampType::LogAppend;
        Self {
            rest: bytes,
            count: header.record_count(),
            index: 0,
            base_offset: header.base_offset().0,
            delta_min: 0,
            delta_max: header.last_offset_delta(),
            base_timestamp: header.base_timestamp().0,
            log_append_time: log_append.then(|| header.max_timestamp()),
            strictness,
            // Kafka does not even look at the bytes of a batch that counts no records.
            ended: strictness == Strictness::FramesOnly && header.record_count() == 0,
        }
    }

    fn next(&mut self) -> Option<Result<Record<'a>, BatchError>> {
        if self.ended {
            return None;
        }
        if self.index >= self.count {
            self.ended = true;
            return self.fault_behind().map(Err);
        }
        let record = self.take();
        self.ended = record.is_err();
        let index = self.index.unsigned_abs();
        self.index += 1;
        if self.strictness == Strictness::FramesOnly
            && self.index == self.count
            && record.is_ok()
            && let Some(fault) = self.fault_behind()
        {
            self.ended = true;
            return Some(Err(fault));
        }
        Some(record.map_err(|fault| BatchError::BadRecord { index, fault }))
    }

    fn fault_behind(&self) -> Option<BatchError> {
        if self.count < 0 {
            let last_offset_delta = self.delta_max;
            return Some(BatchError::BadCount { count: self.count, last_offset_delta });
        }
        let count = self.rest.len();
        (count > 0).then_some(BatchError::TrailingBytes { count })
    }

    fn take(&mut self) -> Result<Record<'a>, RecordFault> {
        let length = take_varint(&mut self.rest)?;
        let bad_length = RecordFault::BadLength { length: i64::from(length) };
        let size = usize::try_from(length).map_err(|_| bad_length)?;
        let (mut body, rest) = self.rest.split_at_checked(size).ok_or(bad_length)?;
        self.rest = rest;
        let (_attributes, fields) = body.split_first().ok_or(RecordFault::Truncated)?;
        body = fields;
        let timestamp_delta = take_varlong(&mut body)?;
        let offset = self.take_offset(&mut body)?;
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        let header_count = take_varint(&mut body)?;
        let headers = Headers::decode(header_count, body)?;
        // Both sides of the wire count with wrapping, so all timestamps have a delta.
        let own_time = Timestamp(self.base_timestamp.wrapping_add(timestamp_delta));
        let timestamp = self.log_append_time.unwrap_or(own_time);
        Ok(Record { offset, timestamp, key, value, headers })
    }

    fn take_offset(&mut self, body: &mut &'a [u8]) -> Result<Offset, RecordFault> {
        let delta = take_varint(body)?;
        if self.strictness == Strictness::FramesOnly {
            return Ok(Offset(self.base_offset.wrapping_add(i64::from(delta))));
        }
        let bad = RecordFault::BadOffset { delta };
        if delta < self.delta_min || delta > self.delta_max {
            return Err(bad);
        }
        // Behind the greatest delta there is none, and no batch has more records than that.
        self.delta_min = delta.checked_add(1).ok_or(bad)?;
        self.base_offset.checked_add(i64::from(delta)).map(Offset).ok_or(bad)
    }
}
