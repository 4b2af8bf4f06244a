//! Control records of the metadata log: what the quorum says to itself.
//!
//! Key: int16 version 0, int16 type. Value: the message, version 0, which begins with its version
//! once more. Source: interop facts A.11, B.4.

use bytes::Bytes;
use dohle_protocol::records::raft::{
    kraft_version_record::KRaftVersionRecord, leader_change_message::LeaderChangeMessage,
    snapshot_footer_record::SnapshotFooterRecord, snapshot_header_record::SnapshotHeaderRecord,
    voters_record::VotersRecord,
};
use dohle_protocol::{DecodeError, Message};

/// A control record, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// Type 2: an epoch begins.
    LeaderChange(LeaderChangeMessage),
    /// Type 3: a snapshot begins.
    SnapshotHeader(SnapshotHeaderRecord),
    /// Type 4: a snapshot is complete.
    SnapshotFooter(SnapshotFooterRecord),
    /// Type 5: the finalised kraft.version.
    KRaftVersion(KRaftVersionRecord),
    /// Type 6: the voters.
    Voters(VotersRecord),
}

/// Why a control record cannot be used. It is never skipped: what it says may be who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The key is not four bytes of version 0 and a type.
    #[error("not the key of a control record")]
    BadKey,
    /// A type that does not occur in a metadata log.
    #[error("control record of type {id} is unknown here")]
    UnknownType {
        /// The type.
        id: i16,
    },
    /// There is no value, or one of an unknown version.
    #[error("control record of type {id} has version {version}")]
    BadVersion {
        /// The type.
        id: i16,
        /// The version; −1 if there is no value.
        version: i16,
    },
    /// The value is not the message.
    #[error("control record of type {id}: {fault}")]
    BadValue {
        /// The type.
        id: i16,
        /// What is wrong.
        fault: DecodeError,
    },
}

const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const VOTERS: i16 = 6;

impl ControlRecord {
    /// Its type.
    pub fn id(&self) -> i16 {
        match self {
            Self::LeaderChange(_) => LEADER_CHANGE,
            Self::SnapshotHeader(_) => SNAPSHOT_HEADER,
            Self::SnapshotFooter(_) => SNAPSHOT_FOOTER,
            Self::KRaftVersion(_) => KRAFT_VERSION,
            Self::Voters(_) => VOTERS,
        }
    }

    /// The key of the record.
    pub fn key(&self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }

    /// The value of the record.
    pub fn value(&self) -> Bytes {
        match self {
            Self::LeaderChange(message) => encode(message),
            Self::SnapshotHeader(message) => encode(message),
            Self::SnapshotFooter(message) => encode(message),
            Self::KRaftVersion(message) => encode(message),
            Self::Voters(message) => encode(message),
        }
    }

    /// Reads a record of a control batch.
    ///
    /// # Errors
    /// The record is not one that this software knows.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, ControlError> {
        let Some([0, 0, high, low]) = key else { return Err(ControlError::BadKey) };
        let id = i16::from_be_bytes([*high, *low]);
        if !(LEADER_CHANGE..=VOTERS).contains(&id) {
            return Err(ControlError::UnknownType { id });
        }
        let value = value.unwrap_or_default();
        let version = value.first_chunk().map_or(-1, |bytes| i16::from_be_bytes(*bytes));
        let version_max = if id == LEADER_CHANGE { 1 } else { 0 };
        if !(0..=version_max).contains(&version) {
            return Err(ControlError::BadVersion { id, version });
        }
        let parsed = match id {
            LEADER_CHANGE => decode(value, version).map(Self::LeaderChange),
            SNAPSHOT_HEADER => decode(value, version).map(Self::SnapshotHeader),
            SNAPSHOT_FOOTER => decode(value, version).map(Self::SnapshotFooter),
            KRAFT_VERSION => decode(value, version).map(Self::KRaftVersion),
            _ => decode(value, version).map(Self::Voters),
        };
        parsed.map_err(|fault| ControlError::BadValue { id, fault })
    }
}

fn encode<M: Message>(message: &M) -> Bytes {
    // Version 0 carries all that is ever put into these messages, and they are short.
    message.to_bytes(0).expect("control records can be encoded")
}

fn decode<M: Message>(value: &[u8], version: i16) -> Result<M, DecodeError> {
    M::from_bytes(Bytes::copy_from_slice(value), version)
}
