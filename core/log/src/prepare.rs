//! What a leader makes of a batch before it is appended: checked, and changed where the topic wants
//! it stored otherwise than it was sent.
//!
//! The producer's bytes are never copied or changed. A batch goes to the disk as 61 bytes of head
//! of our own, in which offset and epoch are set, and the rest from where it was received. Only two
//! things cost more: a change within the checksum (one pass for a new one), and another codec (the
//! batch is built anew).
//!
//! Records are looked at only if the topic needs it: it is compacted, it bounds the age of records,
//! it has a codec of its own, or the operator wants them checked; or if what the head says of their
//! times cannot be, or would be refused. What else a consumer could not read is the consumer's to
//! notice.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{
    BatchBuilder, BatchError, BatchFull, BatchHeader, BatchSpec, BatchView, HEADER_SIZE, Payload,
    Producer, TimestampType, check_produce_batch,
};

use crate::{
    append::Origin,
    config::{CompressionPolicy, LogConfig},
    error::AppendError,
};

/// Where the head has what is set here. Source: interop facts A.6.
const BASE_OFFSET: std::ops::Range<usize> = 0..8;
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;
const CRC: std::ops::Range<usize> = 17..21;
const ATTRIBUTES: std::ops::Range<usize> = 21..23;
const MAX_TIMESTAMP: std::ops::Range<usize> = 35..43;
/// From here to the end the checksum is taken.
const CRC_START: usize = 21;

/// A batch ready to be appended.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    head: [u8; HEADER_SIZE],
    body: Body<'a>,
}

#[derive(Debug)]
enum Body<'a> {
    Received(&'a [u8]),
    Built(Bytes),
}

impl<'a> Prepared<'a> {
    fn received(bytes: &'a [u8]) -> Self {
        let mut head = [0; HEADER_SIZE];
        let (start, rest) = bytes.split_at(HEADER_SIZE);
        head.copy_from_slice(start);
        Self { head, body: Body::Received(rest) }
    }

    fn built(bytes: &Bytes) -> Self {
        let mut head = [0; HEADER_SIZE];
        head.copy_from_slice(&bytes[..HEADER_SIZE]);
        Self { head, body: Body::Built(bytes.slice(HEADER_SIZE..)) }
    }

    pub(crate) fn head_bytes(&self) -> &[u8; HEADER_SIZE] {
        &self.head
    }

    pub(crate) fn body_bytes(&self) -> &[u8] {
        match &self.body {
            Body::Received(bytes) => bytes,
            Body::Built(bytes) => bytes,
        }
    }

    pub(crate) fn header(&self) -> BatchHeader<'_> {
        BatchHeader::parse(&self.head).expect("a head that was checked, with magic and length kept")
    }

    pub(crate) fn size(&self) -> usize {
        HEADER_SIZE + self.body_bytes().len()
    }

    /// Says where the batch lies. Outside the checksum.
    pub(crate) fn assign(&mut self, base: Offset, epoch: LeaderEpoch) {
        self.head[BASE_OFFSET].copy_from_slice(&base.0.to_be_bytes());
        self.head[LEADER_EPOCH].copy_from_slice(&epoch.0.to_be_bytes());
    }

    /// Says whose clock stamps the records. Takes a new checksum.
    fn stamp(&mut self, timestamp_type: TimestampType, max: Timestamp) {
        let attributes = self.header().attributes().with_timestamp_type(timestamp_type);
        self.head[ATTRIBUTES].copy_from_slice(&attributes.0.to_be_bytes());
        self.head[MAX_TIMESTAMP].copy_from_slice(&max.0.to_be_bytes());
        let crc = crc32c::crc32c(&self.head[CRC_START..]);
        let crc = crc32c::crc32c_append(crc, self.body_bytes());
        self.head[CRC].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Checks the batch that `bytes` are and makes of it what is to be stored.
pub(crate) fn prepare<'a>(
    config: &LogConfig,
    batch: &BatchView<'a>,
    origin: Origin,
    now: Timestamp,
) -> Result<Prepared<'a>, AppendError> {
    if origin.is_client() {
        check_produce_batch(batch.bytes())?;
    } else {
        batch.check_crc()?;
        batch.check()?;
    }
    if origin == Origin::Raft {
        return Ok(Prepared::received(batch.bytes()));
    }
    check_size(config, batch.size())?;
    let attributes = batch.attributes();
    if origin.is_client() && attributes.timestamp_type() == TimestampType::LogAppend {
        check_client_stamp(config, batch)?;
    }
    let plain = !attributes.is_control();
    let rebuilt = match config.compression {
        // Control records stay as their makers make them.
        CompressionPolicy::Fixed(target) if plain && Some(target.codec()) != attributes.codec() => {
            Some(target)
        }
        _ => None,
    };
    let bounds_age = origin.is_client() && config.timestamp_type == TimestampType::Create;
    let bounds_past = bounds_age && config.timestamp_before_ms_max < i64::MAX;
    let checks = origin.is_client() && config.checks_records;
    let is_doubtful = bounds_age && has_doubtful_times(config, batch, now);
    let limit = config.decompressed_bytes_max;
    let payload = rebuilt.map(|_| batch.decompress(limit)).transpose()?;
    let summary = match &payload {
        Some(payload) => Some(payload.summarize()?),
        None if (plain && config.compacted) || bounds_past || checks || is_doubtful => {
            Some(batch.survey(limit)?)
        }
        None => None,
    };
    if let Some(index) = summary.and_then(|summary| summary.first_without_key)
        && plain
        && config.compacted
    {
        return Err(AppendError::NoKey { index });
    }
    // Where the records were looked at, their times count and not what the head says of them.
    let youngest = summary.map_or(batch.max_timestamp(), |summary| summary.max_timestamp);
    if bounds_age {
        let oldest = summary.map_or(youngest, |summary| summary.min_timestamp);
        check_timestamp(config, oldest, now)?;
        check_timestamp(config, youngest, now)?;
    }
    let mut prepared = match (rebuilt, payload) {
        (Some(target), Some(payload)) => {
            let bytes = rebuild(batch, &payload, target)?;
            check_size(config, bytes.len())?;
            Prepared::built(&bytes)
        }
        _ => Prepared::received(batch.bytes()),
    };
    let max = match config.timestamp_type {
        TimestampType::Create => youngest,
        TimestampType::LogAppend => now,
    };
    let header = prepared.header();
    let timestamp_type = header.attributes().timestamp_type();
    if timestamp_type != config.timestamp_type || max != header.max_timestamp() {
        prepared.stamp(config.timestamp_type, max);
    }
    Ok(prepared)
}

fn check_size(config: &LogConfig, size: usize) -> Result<(), AppendError> {
    let size_max = config.message_bytes_max as usize;
    if size > size_max { Err(AppendError::TooLarge { size, size_max }) } else { Ok(()) }
}

/// Judges a client's batch whose head says that the log's clock has stamped its records: all of them have
/// the head's time then. Where the topic's records keep their times that is a time as any other, and no
/// excuse to have none. Source: Kafka 4.4.
fn check_client_stamp(config: &LogConfig, batch: &BatchView<'_>) -> Result<(), AppendError> {
    let keeps_times = config.timestamp_type == TimestampType::Create;
    match keeps_times && batch.max_timestamp() != Timestamp::NONE {
        true => Ok(()),
        false => Err(AppendError::StampedByClient),
    }
}

/// Whether only the records can tell if the head's greatest timestamp is theirs: it lies before that
/// of the first record, as clients make batches, or where a record's would be refused.
fn has_doubtful_times(config: &LogConfig, batch: &BatchView<'_>, now: Timestamp) -> bool {
    let max = batch.max_timestamp();
    max < batch.base_timestamp() || check_timestamp(config, max, now).is_err()
}

fn check_timestamp(
    config: &LogConfig,
    timestamp: Timestamp,
    now: Timestamp,
) -> Result<(), AppendError> {
    let earliest = Timestamp(now.0.saturating_sub(config.timestamp_before_ms_max));
    let latest = Timestamp(now.0.saturating_add(config.timestamp_after_ms_max));
    if timestamp == Timestamp::NONE || (earliest..=latest).contains(&timestamp) {
        return Ok(());
    }
    Err(AppendError::Timestamp { timestamp, earliest, latest })
}

/// The same records with another codec.
fn rebuild(
    batch: &BatchView<'_>,
    payload: &Payload<'_>,
    compression: dohle_records::Compression,
) -> Result<Bytes, BatchError> {
    let producer = Producer {
        id: batch.producer_id(),
        epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
    };
    let too_large = |BatchFull| BatchError::TooLarge { limit: i32::MAX as usize };
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: batch.base_offset(),
        producer,
        transactional: batch.attributes().is_transactional(),
        compression,
        ..BatchSpec::default()
    });
    for record in payload.records() {
        builder.copy(&record?).map_err(too_large)?;
    }
    if builder.is_empty() {
        let (count, last_offset_delta) = (0, batch.last_offset_delta());
        return Err(BatchError::BadCount { count, last_offset_delta });
    }
    Ok(builder.finish_at(batch.last_offset()))
}
