//! Requests encoded once and sent many times, and where in an answer the fields lie that matter.
//!
//! Versions with topic names, the last ones before topic ids: a frame then depends on nothing that
//! a broker must be asked for. All requests have correlation id 0: answers come in order, and each
//! connection carries requests of one kind.

use std::ops::Range;

use anyhow::{Error, Result, bail};
use bytes::Bytes;
use dohle_base::{ErrorCode, Offset, PartitionId, Str};
use dohle_protocol::{
    RecordSet, Request, Writer,
    api::{
        fetch_request::{FetchPartition, FetchRequest, FetchTopic},
        fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData},
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse},
    },
    decode_response, encode_request, encode_response,
};

/// Produce with topic names.
pub(crate) const PRODUCE_VERSION: i16 = 12;
/// Fetch with topic names.
pub(crate) const FETCH_VERSION: i16 = 12;

/// A number that stands in no frame by chance: encoded in a field, it shows where the field lies.
const MARK: Offset = Offset(0x0123_4567_89ab_cdef);

/// Bytes of the longest number of 32 bits.
const VARINT_SIZE_MAX: usize = 5;

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) index: i32,
}

/// Any request as a frame.
pub(crate) fn request<M: Request>(version: i16, request: &M) -> Result<Bytes> {
    let mut w = Writer::new();
    encode_request(&mut w, version, 0, Some("dohle-bench"), request)?;
    Ok(w.into_bytes())
}

/// Some partitions of a topic, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partitions {
    pub(crate) topic: String,
    pub(crate) indexes: Range<i32>,
}

impl Partitions {
    fn one(partition: &Partition) -> Self {
        let Partition { topic, index } = partition;
        Self { topic: topic.clone(), indexes: *index..*index + 1 }
    }
}

/// A Produce request with one batch.
pub(crate) fn produce(partition: &Partition, acks: i16, batch: Bytes) -> Result<Bytes> {
    produce_together(&Partitions::one(partition), acks, batch)
}

/// A Produce request with the batch for each of some partitions, as a producer sends what is ready
/// for one broker: the topic once, a batch for a partition.
pub(crate) fn produce_together(to: &Partitions, acks: i16, batch: Bytes) -> Result<Bytes> {
    let data = |index| PartitionProduceData {
        index: PartitionId(index),
        records: Some(RecordSet::Bytes(batch.clone())),
    };
    let topic = TopicProduceData {
        name: Str::from(&to.topic),
        partition_data: to.indexes.clone().map(data).collect(),
        ..TopicProduceData::default()
    };
    let body = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: [topic].into(),
        ..ProduceRequest::default()
    };
    request(PRODUCE_VERSION, &body)
}

/// The answer to a Produce request without an error: always of the same size.
///
/// ```text
/// head: … how many partitions + 1 (varint)
/// part, for each of them: index (4) │ error code (2) │ base offset (8) │ …
/// tail
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    frame: Vec<u8>,
    /// Of the first partition.
    base_offset_at: usize,
    part_size: usize,
    count: usize,
}

impl Ack {
    pub(crate) fn of(partition: &Partition) -> Result<Self> {
        Self::together(&Partitions::one(partition))
    }

    pub(crate) fn together(partitions: &Partitions) -> Result<Self> {
        let Partitions { topic, indexes } = partitions;
        let sized = |count| Ok::<_, Error>(Self::encoded(topic, 0..count)?.len());
        let part_size = sized(2)? - sized(1)?;
        let frame = Self::encoded(topic, indexes.clone())?;
        let base_offset_at = position_of(&frame, MARK);
        Ok(Self { frame, base_offset_at, part_size, count: indexes.len() })
    }

    fn encoded(topic: &str, indexes: Range<i32>) -> Result<Vec<u8>> {
        let response = |index| PartitionProduceResponse {
            index: PartitionId(index),
            base_offset: MARK,
            log_start_offset: Offset(0),
            ..PartitionProduceResponse::default()
        };
        let topic = TopicProduceResponse {
            name: Str::from(topic),
            partition_responses: indexes.map(response).collect(),
            ..TopicProduceResponse::default()
        };
        let body = ProduceResponse { responses: [topic].into(), ..ProduceResponse::default() };
        let mut w = Writer::new();
        encode_response(&mut w, ProduceRequest::KEY, PRODUCE_VERSION, 0, &body)?;
        Ok(w.into_bytes().to_vec())
    }

    /// The base offset that an answer (without its 4-byte size) assigns; of several partitions that of the
    /// first in it.
    ///
    /// # Errors
    /// An answer that does not acknowledge all partitions, with what it says.
    pub(crate) fn base_offset(&self, answer: &[u8]) -> Result<Offset> {
        let at = self.base_offset_at - 4;
        let mut parts = (0..self.count).map(|part| at + part * self.part_size);
        if answer.len() + 4 == self.frame.len()
            && parts.all(|at| answer.get(at - 2..at) == Some(&[0, 0]))
        {
            let field = answer.get(at..).and_then(<[u8]>::first_chunk);
            return Ok(Offset(i64::from_be_bytes(*field.expect("as long as the frame"))));
        }
        // Tags and throttling make an answer longer; it is looked at as a whole.
        let frame = Bytes::copy_from_slice(answer);
        let (_, response) = decode_response::<ProduceRequest>(frame, PRODUCE_VERSION)?;
        let partitions = || response.responses.iter().flat_map(|topic| &topic.partition_responses);
        if let Some(refused) = partitions().find(|part| part.error_code != ErrorCode::NONE) {
            bail!(
                "produce refused: {} {}",
                refused.error_code,
                refused.error_message.as_deref().unwrap_or_default()
            );
        }
        match partitions().next() {
            Some(first) if partitions().count() == self.count => Ok(first.base_offset),
            _ => bail!("a produce answer of {} partitions", partitions().count()),
        }
    }

    /// Its size, with the 4 bytes that say it.
    pub(crate) fn size(&self) -> usize {
        self.frame.len()
    }

    /// Writes the answer to a request of `correlation_id` for the one partition; `out` is as long as the answer.
    pub(crate) fn put(&self, out: &mut [u8], correlation_id: [u8; 4], base_offset: Offset) {
        out.copy_from_slice(&self.frame);
        out[4..8].copy_from_slice(&correlation_id);
        out[self.base_offset_at..][..8].copy_from_slice(&base_offset.0.to_be_bytes());
    }

    /// Where in the frame the one partition's part is.
    fn part(&self) -> Range<usize> {
        let start = self.base_offset_at - 6;
        start..start + self.part_size
    }

    /// Writes what is before the parts of an answer for `count` partitions into `out`, which must be
    /// [`Self::head_size_max`] long; gives its size.
    pub(crate) fn put_head(&self, out: &mut [u8], correlation_id: [u8; 4], count: u32) -> usize {
        let count_at = self.part().start - 1; // Of one partition it is one byte.
        out[..count_at].copy_from_slice(&self.frame[..count_at]);
        out[4..8].copy_from_slice(&correlation_id);
        let size = put_varint(out, count_at, count + 1);
        let all = size - 4 + count as usize * self.part_size + self.tail().len();
        out[..4].copy_from_slice(&(all as u32).to_be_bytes());
        size
    }

    pub(crate) fn head_size_max(&self) -> usize {
        self.part().start - 1 + VARINT_SIZE_MAX
    }

    /// Writes this partition's part of an answer; `out` is as long as it.
    pub(crate) fn put_part(&self, out: &mut [u8], base_offset: Offset) {
        out.copy_from_slice(&self.frame[self.part()]);
        out[6..14].copy_from_slice(&base_offset.0.to_be_bytes());
    }

    pub(crate) fn part_size(&self) -> usize {
        self.part_size
    }

    /// What follows the parts.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.frame[self.part().end..]
    }
}

/// Writes a number behind what is at `at`; gives the position behind it.
fn put_varint(out: &mut [u8], mut at: usize, mut number: u32) -> usize {
    while number >= 0x80 {
        out[at] = number as u8 | 0x80;
        (number, at) = (number >> 7, at + 1);
    }
    out[at] = number as u8;
    at + 1
}

/// The answer to a Fetch request of one partition, around its records.
///
/// ```text
/// … error code (2) │ high watermark (8) │ last stable offset (8) │ log start offset (8) │ …
/// … size of the records + 1 (varint) │ records │ behind
/// ```
#[derive(Clone, Debug)]
pub(crate) struct FetchAnswer {
    /// Up to the size of the records.
    head: Vec<u8>,
    high_watermark_at: usize,
    behind: Vec<u8>,
}

/// What a [`FetchAnswer`] says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchFields {
    pub(crate) correlation_id: [u8; 4],
    pub(crate) error_code: ErrorCode,
    pub(crate) log_start_offset: Offset,
    /// All of it is stable.
    pub(crate) high_watermark: Offset,
    pub(crate) records_size: u32,
}

impl FetchAnswer {
    pub(crate) fn of(partition: &Partition) -> Result<Self> {
        let records = Offset(!MARK.0);
        let data = PartitionData {
            partition_index: PartitionId(partition.index),
            high_watermark: MARK,
            last_stable_offset: Offset(0),
            log_start_offset: Offset(0),
            records: Some(RecordSet::Bytes(Bytes::copy_from_slice(&records.0.to_be_bytes()))),
            ..PartitionData::default()
        };
        let topic = FetchableTopicResponse {
            topic: Str::from(&partition.topic),
            partitions: [data].into(),
            ..FetchableTopicResponse::default()
        };
        let body = FetchResponse { responses: [topic].into(), ..FetchResponse::default() };
        let mut w = Writer::new();
        encode_response(&mut w, FetchRequest::KEY, FETCH_VERSION, 0, &body)?;
        let mut head = w.into_bytes().to_vec();
        let records_at = position_of(&head, records);
        let behind = head.split_off(records_at + 8);
        head.truncate(records_at - 1); // Their size is one byte.
        Ok(Self { high_watermark_at: position_of(&head, MARK), head, behind })
    }

    /// Writes what is before the records into `out`, which must be [`Self::head_size_max`] long; gives its size.
    pub(crate) fn put_head(&self, out: &mut [u8], fields: FetchFields) -> usize {
        let mut size = self.head.len();
        out[..size].copy_from_slice(&self.head);
        let FetchFields { high_watermark, log_start_offset, .. } = fields;
        let at = self.high_watermark_at;
        out[4..8].copy_from_slice(&fields.correlation_id);
        out[at - 2..at].copy_from_slice(&fields.error_code.0.to_be_bytes());
        for (index, offset) in [high_watermark, high_watermark, log_start_offset].iter().enumerate()
        {
            out[at + index * 8..][..8].copy_from_slice(&offset.0.to_be_bytes());
        }
        size = put_varint(out, size, fields.records_size + 1);
        let all = size - 4 + fields.records_size as usize + self.behind.len();
        out[..4].copy_from_slice(&(all as u32).to_be_bytes());
        size
    }

    pub(crate) fn head_size_max(&self) -> usize {
        self.head.len() + VARINT_SIZE_MAX
    }

    /// What follows the records.
    pub(crate) fn behind(&self) -> &[u8] {
        &self.behind
    }
}

/// What a Fetch request asks for besides its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchLimits {
    pub(crate) bytes_max: i32,
    pub(crate) wait_ms_max: i32,
}

/// A Fetch request of one partition, whose offset is put in before each use.
#[derive(Clone, Debug)]
pub(crate) struct FetchFrame {
    frame: Vec<u8>,
    offset_at: usize,
}

impl FetchFrame {
    pub(crate) fn new(partition: &Partition, limits: FetchLimits) -> Result<Self> {
        let asked = FetchPartition {
            partition: PartitionId(partition.index),
            fetch_offset: MARK,
            partition_max_bytes: limits.bytes_max,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: Str::from(&partition.topic),
            partitions: [asked].into(),
            ..FetchTopic::default()
        };
        let body = FetchRequest {
            max_wait_ms: limits.wait_ms_max,
            min_bytes: 1,
            max_bytes: limits.bytes_max,
            topics: [topic].into(),
            ..FetchRequest::default()
        };
        let frame = request(FETCH_VERSION, &body)?.to_vec();
        Ok(Self { offset_at: position_of(&frame, MARK), frame })
    }

    pub(crate) fn at(&mut self, offset: Offset) -> &[u8] {
        let end = self.offset_at + 8;
        self.frame[self.offset_at..end].copy_from_slice(&offset.0.to_be_bytes());
        &self.frame
    }
}

/// One partition's part of a Fetch answer.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) high_watermark: Offset,
    pub(crate) log_start_offset: Offset,
    pub(crate) records: Bytes,
}

impl Fetched {
    /// Reads an answer (without its 4-byte size).
    ///
    /// # Errors
    /// An answer with an error, or not of one partition.
    pub(crate) fn decode(answer: Bytes) -> Result<Self> {
        let (_, response) = decode_response::<FetchRequest>(answer, FETCH_VERSION)?;
        if response.error_code != ErrorCode::NONE {
            bail!("fetch refused: {}", response.error_code);
        }
        let mut partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let Some(partition) = partitions.next() else { bail!("a fetch answer without partitions") };
        if partition.error_code != ErrorCode::NONE {
            bail!("fetch refused: {}", partition.error_code);
        }
        let records = partition.records.as_ref().and_then(RecordSet::as_bytes).cloned();
        Ok(Self {
            high_watermark: partition.high_watermark,
            log_start_offset: partition.log_start_offset,
            records: records.unwrap_or_default(),
        })
    }
}

fn position_of(frame: &[u8], mark: Offset) -> usize {
    let mark = mark.0.to_be_bytes();
    let place = frame.windows(mark.len()).position(|window| window == mark);
    place.expect("the frame was encoded with the mark in it")
}

/// Reads any answer (without its 4-byte size) of an API that the generator seldom uses.
pub(crate) fn answer<M: Request>(frame: Bytes, version: i16) -> Result<M::Response> {
    let (_, response) = decode_response::<M>(frame, version)?;
    Ok(response)
}

#[cfg(test)]
mod tests;
