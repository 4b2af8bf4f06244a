//! A look at each record of a batch without room for all of them: what is compressed is read as a
//! stream, a piece at a time, and keys and values are passed over.
//!
//! It refuses what decoding refuses, as far as it goes. Whoever needs the records themselves decompresses
//! the batch.

use std::io::Read;

use dohle_base::{Offset, Timestamp};

use crate::codec::plain;
use crate::varint::{VARLONG_SIZE_MAX, take_varint, take_varlong};
use crate::{
    BatchError, BatchView, Codec, Entry, RecordFault, Records, RecordsSummary, TimestampType,
};

/// How many decompressed bytes are there at once, beside the window that a codec looks back in.
const PIECE_SIZE: usize = 32 * 1024;

impl BatchView<'_> {
    /// Looks at each record, which together may have `limit` bytes at most.
    ///
    /// # Errors
    /// `UnknownCodec`, `BadCompression`, `TooLarge`, `BadCount`, `BadRecord`, `TrailingBytes`.
    pub fn survey(&self, limit: usize) -> Result<RecordsSummary, BatchError> {
        match Survey::of(self, limit)? {
            Some(survey) => survey.summarize(self.record_count()),
            // There is nothing to decompress.
            None => self.decompress(limit)?.summarize(),
        }
    }

    /// The offset and time of the first record that is wanted, by them. What lies behind it is not looked
    /// at, and what lies before may have `limit` bytes at most.
    ///
    /// # Errors
    /// As `survey`.
    pub fn find(
        &self,
        limit: usize,
        is_wanted: impl Fn(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>, BatchError> {
        match Survey::of(self, limit)? {
            Some(survey) => survey.find(self.record_count(), is_wanted),
            None => find_in(self.decompress(limit)?.records(), is_wanted),
        }
    }
}

impl Entry<'_> {
    /// As `BatchView::find`. Old messages that are compressed are decompressed as a whole: where their
    /// offsets begin only the last one tells.
    ///
    /// # Errors
    /// As `BatchView::survey`.
    pub fn find(
        &self,
        limit: usize,
        is_wanted: impl Fn(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>, BatchError> {
        match self {
            Self::Batch(batch) => batch.find(limit, is_wanted),
            Self::Legacy(message) => find_in(message.decompress(limit)?.records(), is_wanted),
        }
    }
}

fn find_in(
    records: Records<'_>,
    is_wanted: impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    for record in records {
        let record = record?;
        if is_wanted(record.offset, record.timestamp) {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// Why a survey ends early.
enum Stop {
    Batch(BatchError),
    Record(RecordFault),
}

impl Stop {
    /// In the record of this index.
    fn at(self, index: u32) -> BatchError {
        match self {
            Self::Batch(error) => error,
            Self::Record(fault) => BatchError::BadRecord { index, fault },
        }
    }
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<RecordFault> for Stop {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

struct Survey<'a> {
    batch: &'a BatchView<'a>,
    plain: Plain<'a>,
}

/// What a survey sees of a record.
struct Seen {
    delta: i32,
    offset: Offset,
    timestamp: Timestamp,
    has_key: bool,
}

impl<'a> Survey<'a> {
    /// `None` if nothing is compressed.
    fn of(batch: &'a BatchView<'a>, limit: usize) -> Result<Option<Self>, BatchError> {
        match batch.attributes().codec() {
            Some(codec) if codec != Codec::None && batch.record_count() > 0 => {
                let bytes = plain(codec, batch.payload())?;
                Ok(Some(Self { batch, plain: Plain::new(codec, bytes, limit) }))
            }
            _ => Ok(None),
        }
    }

    fn find(
        mut self,
        count: i32,
        is_wanted: impl Fn(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>, BatchError> {
        let mut delta_min = 0;
        for index in 0..count.unsigned_abs() {
            let seen = self.record(delta_min).map_err(|stop| stop.at(index))?;
            if is_wanted(seen.offset, seen.timestamp) {
                return Ok(Some((seen.offset, seen.timestamp)));
            }
            delta_min = seen.delta.saturating_add(1);
        }
        match self.plain.drain()? {
            0 => Ok(None),
            count => Err(BatchError::TrailingBytes { count }),
        }
    }

    fn summarize(mut self, count: i32) -> Result<RecordsSummary, BatchError> {
        let mut summary = RecordsSummary::EMPTY;
        let mut delta_min = 0;
        for _ in 0..count {
            let index = summary.count;
            let seen = self.record(delta_min).map_err(|stop| stop.at(index))?;
            summary.contiguous &= seen.delta == delta_min;
            // Not the greatest integer: it does not exceed the last delta of a batch that counts
            // more records than it.
            delta_min = seen.delta.saturating_add(1);
            summary.add(seen.timestamp, seen.has_key);
        }
        summary.contiguous &= delta_min == self.batch.last_offset_delta().saturating_add(1);
        summary.size = self.plain.taken;
        match self.plain.drain()? {
            0 => Ok(summary),
            count => Err(BatchError::TrailingBytes { count }),
        }
    }

    fn record(&mut self, delta_min: i32) -> Result<Seen, Stop> {
        let length = self.plain.integer(take_varint)?;
        let bad_length = RecordFault::BadLength { length: i64::from(length) };
        let size = usize::try_from(length).map_err(|_| bad_length)?;
        let start = self.plain.taken;
        let end = start.checked_add(size).ok_or(bad_length)?;
        let _attributes = self.plain.byte()?.ok_or(RecordFault::Truncated)?;
        let timestamp_delta = self.plain.integer(take_varlong)?;
        let delta = self.plain.integer(take_varint)?;
        let bad_offset = RecordFault::BadOffset { delta };
        if delta < delta_min || delta > self.batch.last_offset_delta() {
            return Err(bad_offset.into());
        }
        let offset = self.batch.base_offset().0.checked_add(i64::from(delta)).map(Offset);
        let offset = offset.ok_or(bad_offset)?;
        let has_key = self.field(end)?;
        self.field(end)?;
        let headers = self.plain.integer(take_varint)?;
        for _ in 0..u32::try_from(headers).map_err(|_| bad_count(headers))? {
            if !self.field(end)? {
                return Err(bad_count(-1).into());
            }
            self.field(end)?;
        }
        let fields = self.plain.taken - start;
        if fields != size {
            return Err(RecordFault::SizeMismatch { size, fields }.into());
        }
        Ok(Seen { delta, offset, timestamp: self.timestamp(timestamp_delta), has_key })
    }

    /// Passes over a length and as many bytes, none of them behind `end`. Whether it is not null.
    fn field(&mut self, end: usize) -> Result<bool, Stop> {
        let length = self.plain.integer(take_varint)?;
        let Ok(size) = usize::try_from(length) else { return Ok(false) };
        let left = end.saturating_sub(self.plain.taken);
        if size > left || !self.plain.skip(size)? {
            return Err(bad_count(length).into());
        }
        Ok(true)
    }

    fn timestamp(&self, delta: i64) -> Timestamp {
        match self.batch.attributes().timestamp_type() {
            TimestampType::LogAppend => self.batch.max_timestamp(),
            TimestampType::Create => Timestamp(self.batch.base_timestamp().0.wrapping_add(delta)),
        }
    }
}

fn bad_count(length: i32) -> RecordFault {
    RecordFault::BadLength { length: i64::from(length) }
}

/// Decompressed bytes, a piece at a time.
struct Plain<'a> {
    codec: Codec,
    stream: Box<dyn Read + 'a>,
    limit: usize,
    piece: Box<[u8]>,
    /// What of the piece is filled, and what of that is taken.
    filled: usize,
    at: usize,
    /// Bytes that were taken of all pieces.
    taken: usize,
}

impl<'a> Plain<'a> {
    fn new(codec: Codec, stream: Box<dyn Read + 'a>, limit: usize) -> Self {
        let piece = vec![0; PIECE_SIZE].into_boxed_slice();
        Self { codec, stream, limit, piece, filled: 0, at: 0, taken: 0 }
    }

    /// What is left of the piece, or the next one; empty at the end.
    fn rest(&mut self) -> Result<&[u8], BatchError> {
        if self.at == self.filled {
            let broken = |_| BatchError::BadCompression { codec: self.codec };
            self.filled = self.stream.read(&mut self.piece).map_err(broken)?;
            self.at = 0;
            if self.taken.saturating_add(self.filled) > self.limit {
                return Err(BatchError::TooLarge { limit: self.limit });
            }
        }
        Ok(self.piece.get(self.at..self.filled).unwrap_or_default())
    }

    fn take(&mut self, size: usize) {
        self.at += size;
        self.taken += size;
    }

    fn byte(&mut self) -> Result<Option<u8>, BatchError> {
        let byte = self.rest()?.first().copied();
        if byte.is_some() {
            self.take(1);
        }
        Ok(byte)
    }

    /// Passes over `size` bytes; false if there are not so many.
    fn skip(&mut self, mut size: usize) -> Result<bool, BatchError> {
        while size > 0 {
            let some = self.rest()?.len().min(size);
            if some == 0 {
                return Ok(false);
            }
            self.take(some);
            size -= some;
        }
        Ok(true)
    }

    /// Reads to the end, where some codecs have a checksum, and says how much there was.
    fn drain(&mut self) -> Result<usize, BatchError> {
        let before = self.taken;
        loop {
            match self.rest()?.len() {
                0 => return Ok(self.taken - before),
                some => self.take(some),
            }
        }
    }

    /// Takes a variable-length integer, which may lie across pieces.
    fn integer<T>(
        &mut self,
        decode: impl Fn(&mut &[u8]) -> Result<T, RecordFault>,
    ) -> Result<T, Stop> {
        let mut bytes = [0; VARLONG_SIZE_MAX];
        let mut size = 0;
        for slot in &mut bytes {
            let Some(byte) = self.byte()? else { break };
            *slot = byte;
            size += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(decode(&mut bytes.get(..size).unwrap_or_default())?)
    }
}
