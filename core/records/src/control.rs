//! Control records: what brokers write into a log for one another.
//!
//! ```text
//! key:             | version 0 (2) | type (2) |
//! EndTxn marker's: | version 0 (2) | coordinator epoch (4) |
//! ```
//!
//! Types and their numbers are known here, and the one payload that every partition can hold.
//! The payloads of the raft types are made where they mean something.

use bytes::Bytes;
use dohle_base::{ProducerEpoch, ProducerId, Timestamp};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I16, I32},
};

use crate::builder::BatchFull;
use crate::{BatchBuilder, BatchSpec, NewRecord, Producer, Record};

/// The version of keys and EndTxn markers that is written. Readers take higher ones for it.
const VERSION: i16 = 0;

/// What a control record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ControlType {
    /// A producer's transaction was aborted.
    Abort,
    /// A producer's transaction was committed.
    Commit,
    /// A raft leader began.
    LeaderChange,
    /// A snapshot begins.
    SnapshotHeader,
    /// A snapshot is whole.
    SnapshotFooter,
    /// The version of the raft protocol changed. Source: KIP-853.
    KRaftVersion,
    /// The set of raft voters changed. Source: KIP-853.
    KRaftVoters,
    /// One that is younger than this code. Readers pass over it.
    Unknown(i16),
}

impl ControlType {
    /// The type of a number.
    #[must_use]
    pub const fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            unknown => Self::Unknown(unknown),
        }
    }

    /// The number in a key.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The key of a control record of this type.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        let [version, id] = [VERSION.to_be_bytes(), self.id().to_be_bytes()];
        [version[0], version[1], id[0], id[1]]
    }

    /// Reads the key of a control record.
    ///
    /// # Errors
    /// `Truncated`, `BadVersion` if negative; higher versions are read as the one that is known.
    pub fn parse(key: &[u8]) -> Result<Self, ControlError> {
        let too_short = ControlError::Truncated { size: key.len() };
        let (fields, _) = Key::ref_from_prefix(key).map_err(|_| too_short)?;
        check_version(fields.version.get())?;
        Ok(Self::from_id(fields.id.get()))
    }

    /// The type of a record of a control batch.
    ///
    /// # Errors
    /// As `parse`; a null key is too short.
    pub fn of(record: &Record<'_>) -> Result<Self, ControlError> {
        Self::parse(record.key.unwrap_or_default())
    }
}

/// Why a control record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The key or the value ends early.
    #[error("{size} bytes are too few for a control record")]
    Truncated {
        /// How long it is.
        size: usize,
    },
    /// The version is negative.
    #[error("version {version} of a control record")]
    BadVersion {
        /// The version.
        version: i16,
    },
    /// Not the end of a transaction.
    #[error("control type {id} does not end a transaction")]
    NotEndTxn {
        /// The type's number.
        id: i16,
    },
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Key {
    version: I16,
    id: I16,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EndTxnValue {
    version: I16,
    coordinator_epoch: I32,
}

fn check_version(version: i16) -> Result<(), ControlError> {
    if version < VERSION { Err(ControlError::BadVersion { version }) } else { Ok(()) }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed, or else aborted.
    pub committed: bool,
    /// The leader epoch of the coordinator's partition, so that markers of a coordinator that has
    /// been replaced are told apart.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// `Commit` or `Abort`.
    #[must_use]
    pub fn control_type(&self) -> ControlType {
        if self.committed { ControlType::Commit } else { ControlType::Abort }
    }

    /// Reads the marker from a record of a control batch.
    ///
    /// # Errors
    /// `NotEndTxn` for other control records, `Truncated`, `BadVersion`.
    pub fn parse(record: &Record<'_>) -> Result<Self, ControlError> {
        let committed = match ControlType::of(record)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            other => return Err(ControlError::NotEndTxn { id: other.id() }),
        };
        let value = record.value.unwrap_or_default();
        let too_short = ControlError::Truncated { size: value.len() };
        let (fields, _) = EndTxnValue::ref_from_prefix(value).map_err(|_| too_short)?;
        check_version(fields.version.get())?;
        Ok(Self { committed, coordinator_epoch: fields.coordinator_epoch.get() })
    }

    /// The batch that ends the transaction of a producer in one partition. Its leader still has to
    /// assign offset and epoch.
    #[must_use]
    pub fn batch(&self, id: ProducerId, epoch: ProducerEpoch, timestamp: Timestamp) -> Bytes {
        let value = EndTxnValue {
            version: VERSION.into(),
            coordinator_epoch: self.coordinator_epoch.into(),
        };
        let record = ControlRecord { kind: self.control_type(), value: value.as_bytes() };
        let spec = BatchSpec {
            producer: Producer { id, epoch, base_sequence: -1 },
            transactional: true,
            ..BatchSpec::default()
        };
        control_batch(spec, timestamp, &[record]).expect("a marker is small")
    }
}

/// A control record to write.
#[derive(Clone, Copy, Debug)]
pub struct ControlRecord<'a> {
    /// Its type, which makes its key.
    pub kind: ControlType,
    /// Its payload.
    pub value: &'a [u8],
}

/// A batch of control records, all of one time.
///
/// # Errors
/// `BatchFull` if they are too large for one batch.
///
/// # Panics
/// If there are no records.
pub fn control_batch(
    spec: BatchSpec,
    timestamp: Timestamp,
    records: &[ControlRecord<'_>],
) -> Result<Bytes, BatchFull> {
    let mut builder = BatchBuilder::new(BatchSpec { control: true, ..spec });
    for record in records {
        let key = record.kind.key();
        let (key, value) = (Some(key.as_slice()), Some(record.value));
        builder.append(&NewRecord { timestamp, key, value, headers: &[] })?;
    }
    Ok(builder.finish())
}
