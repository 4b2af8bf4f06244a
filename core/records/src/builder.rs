//! Makes batches, byte for byte as the Java client lays them out.
//!
//! Records are encoded as they come, uncompressed; `finish` compresses them all at once and seals
//! the head. The base timestamp is the first record's, unless it holds a delete horizon.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use zerocopy::IntoBytes;

use crate::batch::crc_of;
use crate::codec::compress;
use crate::encode::{AnyHeaders, Fields};
use crate::layout::{HEADER_SIZE, Layout, MAGIC_V2, PREFIX_SIZE};
use crate::{Attributes, BatchHeader, Codec, Compression, Header, Record, TimestampType};

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

impl BatchSpec {
    /// What a batch is like, to make another like it out of some of its records. A codec that has
    /// no meaning becomes none; levels are not known and become the default.
    #[must_use]
    pub fn of(batch: &BatchHeader<'_>) -> Self {
        let attributes = batch.attributes();
        let log_append = attributes.timestamp_type() == TimestampType::LogAppend;
        Self {
            base_offset: batch.base_offset(),
            partition_leader_epoch: batch.partition_leader_epoch(),
            producer: Producer {
                id: batch.producer_id(),
                epoch: batch.producer_epoch(),
                base_sequence: batch.base_sequence(),
            },
            transactional: attributes.is_transactional(),
            control: attributes.is_control(),
            log_append_time: log_append.then(|| batch.max_timestamp()),
            delete_horizon: batch.delete_horizon(),
            compression: attributes.codec().unwrap_or_default().into(),
        }
    }
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

/// The record does not fit: the batch would grow beyond 1 GiB, or its offsets beyond 31 bits. The
/// batch is as it was.
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
        self.fields(self.next_delta, record).size()
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
    /// If it has no records: it would have no last offset. `empty_batch` makes such.
    #[must_use]
    pub fn finish(self) -> Bytes {
        assert!(!self.is_empty(), "a batch without records has no last offset of its own");
        let last_delta = self.next_delta - 1;
        self.seal(last_delta)
    }

    /// Ends the batch with a last offset at or beyond its last record's, as the cleaner does for
    /// what it took out.
    ///
    /// # Panics
    /// If it has no records, or the offset is before the last one's or not within 31 bits of the
    /// base offset.
    #[must_use]
    pub fn finish_at(self, last_offset: Offset) -> Bytes {
        assert!(!self.is_empty(), "empty_batch makes batches without records");
        let delta = delta_between(self.spec.base_offset, last_offset);
        assert!(delta >= self.next_delta - 1, "the last offset is not before the last record's");
        self.seal(delta)
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
        let size = self.bytes.len().saturating_add(fields.size());
        let next_delta = fields.offset_delta.checked_add(1).ok_or(BatchFull)?;
        if size > SIZE_MAX {
            return Err(BatchFull);
        }
        self.bytes.reserve(size - self.bytes.len());
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
        let codec = spec.compression.codec();
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

/// A batch without records, from the spec's base offset to `last_offset`, which keeps what the
/// cleaner must not forget of the batch that was there: its producer's last sequence number.
///
/// # Panics
/// If the last offset is before the base offset or not within 31 bits of it.
#[must_use]
pub fn empty_batch(
    spec: BatchSpec,
    last_offset: Offset,
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) -> Bytes {
    // Without records there is nothing to compress, and there are no tombstones to drop.
    let spec = BatchSpec {
        delete_horizon: None,
        compression: Compression::NONE,
        log_append_time: (timestamp_type == TimestampType::LogAppend).then_some(max_timestamp),
        ..spec
    };
    let mut builder = BatchBuilder::new(spec);
    builder.max_timestamp = max_timestamp;
    builder.seal(delta_between(spec.base_offset, last_offset))
}

fn delta_between(base_offset: Offset, last_offset: Offset) -> i32 {
    let delta = last_offset.0.checked_sub(base_offset.0).and_then(|delta| delta.try_into().ok());
    delta.filter(|delta| *delta >= 0).expect("a batch's offsets are within 31 bits of its base")
}

fn write_layout(batch: &mut [u8], layout: &Layout) {
    layout.write_to_prefix(batch).expect("a batch begins with room for its head");
}
