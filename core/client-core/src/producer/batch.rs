//! A batch of records on its way: open for more, then sealed, then perhaps sent several times.

use bytes::Bytes;
use dohle_base::{ErrorCode, Instant, ProducerEpoch, ProducerId, Timestamp};
use dohle_records::{
    BatchBuilder, BatchMut, BatchSpec, Compression, Header, NewRecord, Producer as Stamp,
};

use super::{ProducerRecord, record::Delivered};
use crate::{ProduceError, TopicPartition};

/// Who a producer is to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// A batch and those who wait for it.
#[derive(Debug)]
pub(super) struct Batch<T> {
    /// Its place among all batches of the producer, for `flush`.
    pub(super) id: u64,
    /// Its place among the batches of its partition.
    pub(super) ordinal: u64,
    content: Content,
    waiters: Vec<Waiter<T>>,
    /// When its first record came.
    pub(super) created: Instant,
    /// Times it was sent.
    pub(super) attempts: u32,
    /// When it may be sent again.
    pub(super) not_before: Instant,
    /// The number of its first record and whose numbers these are, once it was first sent.
    pub(super) stamp: Option<(Identity, i32)>,
    /// Bytes that it counts for in the producer's memory.
    pub(super) memory: usize,
    /// Why it was not accepted the last time.
    pub(super) last_error: Option<ErrorCode>,
}

#[derive(Debug)]
enum Content {
    Open(Box<BatchBuilder>),
    Sealed(Bytes),
}

#[derive(Debug)]
struct Waiter<T> {
    token: T,
    timestamp: Timestamp,
}

/// What happened to a record, and who wants to know.
pub(super) type Outcome<T> = (T, Result<Delivered, ProduceError>);

impl<T> Batch<T> {
    /// An open batch without records.
    pub(super) fn new(id: u64, ordinal: u64, created: Instant, compression: Compression) -> Self {
        let builder = BatchBuilder::new(BatchSpec { compression, ..BatchSpec::default() });
        Self {
            id,
            ordinal,
            content: Content::Open(Box::new(builder)),
            waiters: Vec::new(),
            created,
            attempts: 0,
            not_before: Instant::default(),
            stamp: None,
            memory: 0,
            last_error: None,
        }
    }

    /// Appends the record if the batch is open and stays within `limit`, or is empty; otherwise
    /// gives the token back.
    pub(super) fn append(
        &mut self,
        record: &ProducerRecord,
        timestamp: Timestamp,
        limit: usize,
        token: T,
    ) -> Result<(), T> {
        let Content::Open(builder) = &mut self.content else { return Err(token) };
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(name, value)| Header { key: name.as_bytes(), value: value.as_deref() })
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let new = NewRecord { timestamp, key, value, headers: &headers };
        let full = !builder.is_empty() && !builder.fits(&new, limit);
        if full || builder.append(&new).is_err() {
            return Err(token);
        }
        self.waiters.push(Waiter { token, timestamp });
        Ok(())
    }

    /// How many records it has.
    pub(super) fn count(&self) -> i32 {
        i32::try_from(self.waiters.len()).expect("a batch has less than 2^31 records")
    }

    /// Bytes as they are now: uncompressed while it is open.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Open(builder) => builder.size(),
            Content::Sealed(bytes) => bytes.len(),
        }
    }

    /// Numbers the records and ends the batch; later calls only change the numbers.
    pub(super) fn seal(&mut self, stamp: Option<(Identity, i32)>) {
        let producer = stamp.map_or(Stamp::NONE, |(identity, base_sequence)| Stamp {
            id: identity.id,
            epoch: identity.epoch,
            base_sequence,
        });
        let changed = self.stamp != stamp;
        self.stamp = stamp;
        let placeholder = Content::Sealed(Bytes::new());
        self.content = match std::mem::replace(&mut self.content, placeholder) {
            Content::Open(mut builder) => {
                builder.set_producer(producer, false);
                Content::Sealed(builder.finish())
            }
            Content::Sealed(bytes) if changed => {
                let mut bytes = Vec::from(bytes);
                let mut batch = BatchMut::parse(&mut bytes).expect("we built this batch");
                batch.set_producer(producer, false);
                Content::Sealed(bytes.into())
            }
            sealed @ Content::Sealed(_) => sealed,
        };
    }

    /// The bytes of a sealed batch.
    ///
    /// # Panics
    /// If it is open.
    pub(super) fn bytes(&self) -> Bytes {
        match &self.content {
            Content::Open(_) => panic!("a batch is sealed before it is sent"),
            Content::Sealed(bytes) => bytes.clone(),
        }
    }

    /// The outcome for each record: written from `base_offset` on.
    pub(super) fn succeed(
        self,
        partition: &TopicPartition,
        base_offset: Option<dohle_base::Offset>,
        log_append_time: Option<Timestamp>,
    ) -> impl Iterator<Item = Outcome<T>> {
        self.waiters.into_iter().zip(0_i64..).map(move |(waiter, index)| {
            let delivered = Delivered {
                partition: partition.clone(),
                offset: base_offset.map(|base| base.plus(index)),
                timestamp: log_append_time.unwrap_or(waiter.timestamp),
            };
            (waiter.token, Ok(delivered))
        })
    }

    /// The outcome for each record: not written, or not known to be.
    pub(super) fn fail(self, error: &ProduceError) -> impl Iterator<Item = Outcome<T>> {
        self.waiters.into_iter().map(move |waiter| (waiter.token, Err(error.clone())))
    }
}
