//! Makes batches, byte for byte as the Java client lays them out.
//!
//! Records are encoded as they come, uncompressed; `finish` compresses them all at once and seals
//! the head. The base timestamp is the first record's, unless it holds a delete horizon.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use zerocopy::IntoBytes;

use crate::batch::crc_of;
use crate::codec::compress;
use crate::layout::{HEADER_SIZE, Layout, MAGIC_V2, PREFIX_SIZE};
use crate::varint::{put_varint, put_varlong, varlong_size};
use crate::{Attributes, Codec, Compression, Header, Headers, Record, TimestampType};

/// The most bytes of a batch before it is compressed. Its length field could say twice as much;
/// that leaves room for what codecs add to bytes that do not compress.
const SIZE_MAX: usize = 1 << 30;

/// Who numbers the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its identity.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// The number of the batch's first record; −1 in control batches.
    pub base_sequence: i32,
}

impl Producer {
    /// No idempotent producer.
    pub const NONE: Self =
        Self { id: ProducerId::NONE, epoch: ProducerEpoch::NONE, base_sequence: -1 };
}

/// All of a batch but its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSpec {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The epoch of the leader that appends; `NONE` from clients.
    pub partition_leader_epoch: LeaderEpoch,
    /// Who numbers the records.
    pub producer: Producer,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
    /// The one time of all records, if the log's clock stamps; else each record has its own.
    pub log_append_time: Option<Timestamp>,
    /// From when on the cleaner may drop the batch's tombstones.
    pub delete_horizon: Option<Timestamp>,
    /// How the records are compressed.
    pub compression: Compression,
}

impl Default for BatchSpec {
    /// A client's batch: from offset 0, no epoch, no producer, each record with its own time.
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            partition_leader_epoch: LeaderEpoch::NONE,
            producer: Producer::NONE,
            transactional: false,
            control: false,
            log_append_time: None,
            delete_horizon: None,
            compression: Compression::NONE,
        }
    }
}

/// A record to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Its time.
    pub timestamp: Timestamp,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The headers, in order; keys may repeat.
    pub headers: &'a [Header<'a>],
}

/// The record does not fit: the batch would grow beyond what its length field can say, or its
/// offsets beyond 31 bits. The batch is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is full")]
pub struct BatchFull;

/// A batch in the making.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    spec: BatchSpec,
    /// Room for the head, then the encoded records.
    bytes: Vec<u8>,
    count: i32,
    /// Of the record to come, if the caller does not choose.
    next_delta: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

enum AnyHeaders<'a> {
    Listed(&'a [Header<'a>]),
    Encoded(Headers<'a>),
}

struct Fields<'a> {
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: AnyHeaders<'a>,
}

impl BatchBuilder {
    /// A batch without records.
    #[must_use]
    pub fn new(spec: BatchSpec) -> Self {
        Self {
            spec,
            bytes: vec![0; HEADER_SIZE],
            count: 0,
            next_delta: 0,
            base_timestamp: spec.delete_horizon.unwrap_or(Timestamp::NONE),
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Appends a record behind the last one and returns its offset.
    ///
    /// # Errors
    /// `BatchFull`; the batch is as it was.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<Offset, BatchFull> {
        let fields = self.fields(self.next_delta, record);
        self.put(&fields, record.timestamp)?;
        Ok(Offset(self.spec.base_offset.0.saturating_add(i64::from(fields.offset_delta))))
    }

    /// Appends a record of another batch with its own offset, as the cleaner does.
    ///
    /// # Errors
    /// `BatchFull`; the batch is as it was.
    ///
    /// # Panics
    /// If the offset is not behind those of the records before.
    pub fn copy(&mut self, record: &Record<'_>) -> Result<(), BatchFull> {
        let delta = record.offset.0.checked_sub(self.spec.base_offset.0).ok_or(BatchFull)?;
        assert!(delta >= i64::from(self.next_delta), "offsets ascend within a batch");
        let fields = Fields {
            offset_delta: i32::try_from(delta).map_err(|_| BatchFull)?,
            timestamp_delta: self.timestamp_delta(record.timestamp),
            key: record.key,
            value: record.value,
            headers: AnyHeaders::Encoded(record.headers),
        };
        self.put(&fields, record.timestamp)
    }

    /// Records appended so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, head included, were it finished uncompressed.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the record would add, uncompressed.
    #[must_use]
    pub fn size_of(&self, record: &NewRecord<'_>) -> usize {
        let body = self.fields(self.next_delta, record).size();
        body.saturating_add(varint_size_of(body))
    }

    /// Whether the batch would stay within `limit` bytes, uncompressed, with the record.
    #[must_use]
    pub fn fits(&self, record: &NewRecord<'_>, limit: usize) -> bool {
        self.size().saturating_add(self.size_of(record)) <= limit
    }

    /// The greatest timestamp so far; `NONE` without records.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    /// Says who numbers the records, which a producer knows only when it sends.
    pub fn set_producer(&mut self, producer: Producer, transactional: bool) {
        self.spec.producer = producer;
        self.spec.transactional = transactional;
    }

    /// Ends the batch.
    ///
    /// # Panics
    /// If it has no records: it would have no last offset. `finish_at` makes empty batches.
    #[must_use]
    pub fn finish(self) -> Bytes {
        assert!(!self.is_empty(), "a batch without records has no last offset of its own");
        let last_delta = self.next_delta - 1;
        self.seal(last_delta)
    }

    /// Ends the batch with a last offset at or beyond its last record's, as the cleaner does for
    /// what it took out. Without records, the max timestamp is −1 unless `log_append_time` is set.
    ///
    /// # Panics
    /// If the offset is before the last record's, before the base offset, or not within 31 bits of
    /// it.
    #[must_use]
    pub fn finish_at(self, last_offset: Offset) -> Bytes {
        let delta = last_offset.0.checked_sub(self.spec.base_offset.0);
        let delta = delta.and_then(|delta| i32::try_from(delta).ok());
        let delta = delta.filter(|delta| *delta >= 0 && *delta >= self.next_delta - 1);
        self.seal(delta.expect("the last offset lies behind the records"))
    }

    fn fields<'a>(&self, offset_delta: i32, record: &NewRecord<'a>) -> Fields<'a> {
        Fields {
            offset_delta,
            timestamp_delta: self.timestamp_delta(record.timestamp),
            key: record.key,
            value: record.value,
            headers: AnyHeaders::Listed(record.headers),
        }
    }

    fn timestamp_delta(&self, timestamp: Timestamp) -> i64 {
        if self.count == 0 && self.spec.delete_horizon.is_none() {
            return 0;
        }
        // Readers add it back with wrapping.
        timestamp.0.wrapping_sub(self.base_timestamp.0)
    }

    fn put(&mut self, fields: &Fields<'_>, timestamp: Timestamp) -> Result<(), BatchFull> {
        let body = fields.size();
        let size = self.bytes.len().checked_add(varint_size_of(body));
        let size = size.and_then(|size| size.checked_add(body)).ok_or(BatchFull)?;
        let next_delta = fields.offset_delta.checked_add(1).ok_or(BatchFull)?;
        if size > SIZE_MAX {
            return Err(BatchFull);
        }
        self.bytes.reserve(size - self.bytes.len());
        put_varlong(&mut self.bytes, i64::try_from(body).map_err(|_| BatchFull)?);
        fields.put(&mut self.bytes);
        assert_eq!(self.bytes.len(), size, "the size was foretold");
        if self.count == 0 && self.spec.delete_horizon.is_none() {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        self.next_delta = next_delta;
        Ok(())
    }

    fn seal(mut self, last_offset_delta: i32) -> Bytes {
        let spec = self.spec;
        let codec = if self.is_empty() { Codec::None } else { spec.compression.codec() };
        if codec != Codec::None {
            let records = self.bytes.get(HEADER_SIZE..).unwrap_or_default();
            let packed = compress(spec.compression, records);
            self.bytes.truncate(HEADER_SIZE);
            self.bytes.extend_from_slice(&packed);
        }
        let timestamp_type = match spec.log_append_time {
            Some(_) => TimestampType::LogAppend,
            None => TimestampType::Create,
        };
        let attributes = Attributes::default()
            .with_codec(codec)
            .with_timestamp_type(timestamp_type)
            .with_transactional(spec.transactional)
            .with_control(spec.control)
            .with_delete_horizon(spec.delete_horizon.is_some());
        let length = i32::try_from(self.bytes.len() - PREFIX_SIZE)
            .expect("at most SIZE_MAX, and what does not compress grows by little");
        let layout = Layout {
            base_offset: spec.base_offset.0.into(),
            batch_length: length.into(),
            partition_leader_epoch: spec.partition_leader_epoch.0.into(),
            magic: MAGIC_V2,
            crc: 0.into(),
            attributes: attributes.0.into(),
            last_offset_delta: last_offset_delta.into(),
            base_timestamp: self.base_timestamp.0.into(),
            max_timestamp: spec.log_append_time.unwrap_or(self.max_timestamp).0.into(),
            producer_id: spec.producer.id.0.into(),
            producer_epoch: spec.producer.epoch.0.into(),
            base_sequence: spec.producer.base_sequence.into(),
            record_count: self.count.into(),
        };
        write_layout(&mut self.bytes, &layout);
        let crc = crc_of(&self.bytes);
        write_layout(&mut self.bytes, &Layout { crc: crc.into(), ..layout });
        self.bytes.into()
    }
}

fn write_layout(batch: &mut [u8], layout: &Layout) {
    layout.write_to_prefix(batch).expect("a batch begins with room for its head");
}

impl Fields<'_> {
    /// Bytes of the record, its own size not counted.
    fn size(&self) -> usize {
        let fixed = 1 + varlong_size(self.timestamp_delta) + varlong_size(self.offset_delta.into());
        let sizes = [nullable_size(self.key), nullable_size(self.value), self.headers.size()];
        sizes.into_iter().fold(fixed, usize::saturating_add)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(0);
        put_varlong(out, self.timestamp_delta);
        put_varint(out, self.offset_delta);
        put_nullable(out, self.key);
        put_nullable(out, self.value);
        self.headers.put(out);
    }
}

impl AnyHeaders<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Listed(headers) => {
                headers.iter().fold(varint_size_of(headers.len()), |sum, header| {
                    let key = nullable_size(Some(header.key));
                    sum.saturating_add(key).saturating_add(nullable_size(header.value))
                })
            }
            Self::Encoded(headers) => varint_size_of(headers.len()) + headers.bytes().len(),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Listed(headers) => {
                put_size(out, headers.len());
                for header in *headers {
                    put_nullable(out, Some(header.key));
                    put_nullable(out, header.value);
                }
            }
            Self::Encoded(headers) => {
                put_size(out, headers.len());
                out.extend_from_slice(headers.bytes());
            }
        }
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => varint_size_of(bytes.len()).saturating_add(bytes.len()),
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_size(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_size(out: &mut Vec<u8>, size: usize) {
    put_varlong(out, i64::try_from(size).expect("a slice is shorter than 2^63"));
}

fn varint_size_of(size: usize) -> usize {
    i64::try_from(size).map_or(usize::MAX, varlong_size)
}
