//! What can go wrong with a log, by whose fault.
//!
//! - the disk fails: `Io`; the log directory is dead unless it is only full;
//! - bytes on the disk are not what was written: `Corrupt`, with file, position and reason; the
//!   partition goes offline, the node does not;
//! - a side file does not say what it should: `SideFile`;
//! - the caller asks for what cannot be: the enums of each operation.
//!
//! Which code a peer is told is decided next to each handler, not here.

use std::path::{Path, PathBuf};

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId};
use dohle_records::{BatchError, ControlError};

use crate::{checkpoint::SideFileError, disk::IoError};

/// Why a log cannot be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Bytes on the disk are not what was written.
    #[error(transparent)]
    Corrupt(#[from] Box<Corruption>),
    /// A side file of the partition does not say what it should.
    #[error(transparent)]
    SideFile(#[from] Box<SideFileError>),
    /// The directory belongs to another topic of this name.
    #[error("{} belongs to the topic with id {found}, not {wanted}", dir.display())]
    OtherTopic {
        /// The directory.
        dir: PathBuf,
        /// The topic that it says it belongs to.
        found: TopicId,
        /// The one that it should.
        wanted: TopicId,
    },
    /// A write failed and what it left could not be cut off: the log has to be opened again.
    #[error("the log is closed since a write failed")]
    Poisoned,
}

impl From<SideFileError> for LogError {
    fn from(error: SideFileError) -> Self {
        match error {
            SideFileError::Io(error) => Self::Io(error),
            malformed => Self::SideFile(Box::new(malformed)),
        }
    }
}

impl From<Corruption> for LogError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(Box::new(corruption))
    }
}

/// Where the bytes on the disk are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at {position}: {reason}{}{}",
    path.display(), behind(valid_at.as_ref()), synced(synced_to.as_ref())
)]
pub struct Corruption {
    /// The file.
    pub path: PathBuf,
    /// The first byte that cannot be true.
    pub position: u64,
    /// Why it cannot.
    pub reason: DamageReason,
    /// Where valid data follows, if it does: then the damage is not the torn end of a log.
    pub valid_at: Option<Place>,
    /// Up to which offset the log had been synced, if that is behind the damage: neither is it then.
    pub synced_to: Option<ToldSynced>,
}

/// Up to where a log had been synced, by a file beside it: if that lies, the log is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldSynced {
    /// All before this offset was.
    pub end: Offset,
    /// The file that says so.
    pub told_by: PathBuf,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The byte, from 0.
    pub position: u64,
}

fn behind(place: Option<&Place>) -> String {
    place.map_or(String::new(), |Place { path, position }| {
        format!("; valid data follows in {} at {position}", path.display())
    })
}

fn synced(told: Option<&ToldSynced>) -> String {
    told.map_or(String::new(), |ToldSynced { end, told_by }| {
        format!("; all before offset {end} had been synced, says {}", told_by.display())
    })
}

impl Corruption {
    /// Damage of which no more is known.
    pub fn new(path: &Path, position: u64, reason: DamageReason) -> Self {
        Self { path: path.to_owned(), position, reason, valid_at: None, synced_to: None }
    }
}

/// Why bytes on the disk cannot be what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageReason {
    /// They are no batch.
    #[error(transparent)]
    Batch(BatchError),
    /// A batch does not lie behind the one before.
    #[error("offset {offset}, expected {expected} or more")]
    OffsetOrder {
        /// The least offset that can be there.
        expected: Offset,
        /// The one that is.
        offset: Offset,
    },
    /// A batch is further from the segment's base than an index can tell.
    #[error(
        "offset {offset}, expected one that is less than 2,147,483,648 behind the segment's base"
    )]
    OffsetOverflow {
        /// The offset.
        offset: Offset,
    },
    /// What lay between the end of a segment and the next one is not there.
    #[error("the segment behind begins at offset {offset}, expected {expected}")]
    Gap {
        /// Where the segment ends.
        expected: Offset,
        /// Where the next one begins.
        offset: Offset,
    },
    /// A segment begins before the one before it ends.
    #[error(
        "the segment begins too early, expected offset {end} or more, the end of the one before"
    )]
    Overlap {
        /// Where the segment before ends.
        end: Offset,
    },
    /// A segment is longer than any position that can be told.
    #[error(
        "the segment has {size} bytes, expected {} at the most",
        crate::segment::SEGMENT_SIZE_MAX
    )]
    TooLong {
        /// How long it is.
        size: u64,
    },
    /// The log ends before what was made durable.
    #[error("the log ends at offset {end}, and was durable up to {durable}")]
    Lost {
        /// Up to where it was durable, by the checkpoint or the write-ahead log.
        durable: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// A log with batches ends before where it is said to start, and was never known to go so far.
    #[error(
        "the log is said to start at offset {start}, expected its end {end} at most: write where it starts, or take the line away and correct the count"
    )]
    StartBehindEnd {
        /// Where it is said to start.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// What the write-ahead log holds does not follow the end of the log.
    #[error("the write-ahead log goes on at offset {offset}, expected {end}, where the log ends")]
    Unconnected {
        /// Where the log ends.
        end: Offset,
        /// The first offset that the write-ahead log holds.
        offset: Offset,
    },
    /// An entry of an index of transactions that is none.
    #[error("expected an entry of an aborted transaction")]
    NotAnEntry,
}

/// Why an append was refused or failed. Unless it says otherwise the log is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The bytes are not batches, or break the rules for clients.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A marker that cannot be read.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// There are no batches at all.
    #[error("no batches")]
    Empty,
    /// A batch is larger than the topic allows.
    #[error("a batch of {size} bytes, {size_max} are allowed")]
    TooLarge {
        /// Bytes of the batch, as it would be stored.
        size: usize,
        /// The most that is allowed.
        size_max: usize,
    },
    /// The batches are together larger than a segment.
    #[error("{size} bytes do not fit a segment of {size_max}")]
    LargerThanSegment {
        /// Bytes of all batches.
        size: usize,
        /// Bytes of a segment.
        size_max: usize,
    },
    /// A record's time is too far from the log's clock.
    #[error("timestamp {} is not within {} to {}", timestamp.0, earliest.0, latest.0)]
    Timestamp {
        /// The record's time.
        timestamp: Timestamp,
        /// The least that is allowed.
        earliest: Timestamp,
        /// The greatest that is allowed.
        latest: Timestamp,
    },
    /// A client says that the log's clock has stamped its records.
    #[error("the batch of a client comes with log append time")]
    StampedByClient,
    /// A record without a key, which a compacted topic cannot keep.
    #[error("record {index} has no key")]
    NoKey {
        /// The record's place in the batch, from 0.
        index: u32,
    },
    /// The producer may not append this.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// A follower got a batch that does not lie behind its log.
    #[error("a batch from {first} to {last} where {expected} is next")]
    OutOfOrder {
        /// The end of the log, or of the batch before.
        expected: Offset,
        /// The first offset of the batch.
        first: Offset,
        /// The last one.
        last: Offset,
    },
    /// The leader's epoch is older than one that the log has seen.
    #[error("leader epoch {epoch} after {latest}")]
    StaleLeaderEpoch {
        /// The epoch to append in.
        epoch: LeaderEpoch,
        /// The newest in the log.
        latest: LeaderEpoch,
    },
    /// The disk failed, or the log is closed since it did.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<IoError> for AppendError {
    fn from(error: IoError) -> Self {
        Self::Log(error.into())
    }
}

/// Why a producer may not append a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A newer incarnation of the producer has written: `INVALID_PRODUCER_EPOCH`.
    #[error("epoch {epoch} of producer {producer_id}, {current} has written")]
    StaleEpoch {
        /// Who.
        producer_id: ProducerId,
        /// The batch's epoch.
        epoch: ProducerEpoch,
        /// The newest in the log.
        current: ProducerEpoch,
    },
    /// Records are missing before the batch: `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error("sequence {sequence} of producer {producer_id}, {expected} is next")]
    OutOfSequence {
        /// Who.
        producer_id: ProducerId,
        /// The batch's first sequence number.
        sequence: i32,
        /// The one that is next.
        expected: i32,
    },
    /// The producer has an open transaction and the batch is not of it: `INVALID_TXN_STATE`.
    #[error("producer {producer_id} has an open transaction")]
    NotInTransaction {
        /// Who.
        producer_id: ProducerId,
    },
    /// The batch would begin a transaction that no coordinator is known to end: `INVALID_TXN_STATE`.
    #[error("producer {producer_id} has no open transaction, and nobody has verified one")]
    UnverifiedTransaction {
        /// Who.
        producer_id: ProducerId,
    },
    /// A marker of a coordinator that has been replaced: `TRANSACTION_COORDINATOR_FENCED`.
    #[error(
        "marker of coordinator epoch {epoch} for producer {producer_id}, {current} has written"
    )]
    StaleCoordinator {
        /// Whose transaction.
        producer_id: ProducerId,
        /// The marker's epoch.
        epoch: i32,
        /// The newest in the log.
        current: i32,
    },
}

/// Why a read was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log does not reach there: `OFFSET_OUT_OF_RANGE`.
    #[error("offset {offset} is not within {start} to {end}")]
    OutOfRange {
        /// The offset that was asked for.
        offset: Offset,
        /// Where the log starts.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// The disk failed or is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<IoError> for ReadError {
    fn from(error: IoError) -> Self {
        Self::Log(error.into())
    }
}
