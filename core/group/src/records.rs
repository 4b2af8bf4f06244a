//! The records of `__consumer_offsets`, from and to the bytes of key and value.
//!
//! ```text
//! key   = i16 type | key fields, never flexible
//! value = i16 version | value fields; absent for a tombstone
//! ```
//!
//! | type | here | written |
//! |---|---|---|
//! | 0 | an old offset commit, read as type 1 | never |
//! | 1 | [`GroupRecord::OffsetCommit`] | v4; v1 if the commit named its own expiry |
//! | 2 | [`GroupRecord::GroupMetadata`] | v3 |
//! | others | [`GroupRecord::Other`]: kept in the log, read only for who is in which group | never |
//!
//! An unknown type is skipped, as Kafka does; an unknown *version* of a known type fails the load,
//! because guessing there would lose offsets.

use bytes::Bytes;
use dohle_base::{ProducerId, Str, TopicId};
use dohle_protocol::{
    EncodeError, Message, Reader, Writer,
    records::group::{
        group_metadata_key::GroupMetadataKey, group_metadata_value::GroupMetadataValue,
        legacy_offset_commit_key::LegacyOffsetCommitKey,
        legacy_offset_commit_value::LegacyOffsetCommitValue, offset_commit_key::OffsetCommitKey,
        offset_commit_value::OffsetCommitValue,
    },
};

use crate::modern::GroupKind;

/// Type 0: offset commits of brokers before 0.9.
const LEGACY_OFFSET_COMMIT: i16 = 0;
/// Type 1.
const OFFSET_COMMIT: i16 = 1;
/// Type 2.
const GROUP_METADATA: i16 = 2;

/// The version that Kafka 4.4 writes for offsets, since 4.1.
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The only version with a place for an expiry time of the commit's own.
const OFFSET_COMMIT_EXPIRING_VERSION: i16 = 1;
/// The version that Kafka 4.4 writes for classic groups.
const GROUP_METADATA_VERSION: i16 = 3;

/// What the log of a coordinator partition holds.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    /// A committed offset, or that there is none any more.
    OffsetCommit {
        /// Group, topic and partition.
        key: OffsetCommitKey,
        /// None is a tombstone.
        value: Option<OffsetCommitValue>,
        /// The transaction that the batch belongs to; [`ProducerId::NONE`] outside of one.
        producer_id: ProducerId,
    },
    /// A classic group at the end of a rebalance, or that there is none any more.
    GroupMetadata {
        /// The group.
        group_id: Str,
        /// None is a tombstone.
        value: Option<GroupMetadataValue>,
    },
    /// A record that this coordinator does not write.
    Other {
        /// What it says about who belongs to which group, if that much is understood.
        meaning: Option<Trace>,
        /// The key with its type in front.
        key: Bytes,
        /// None is a tombstone.
        value: Option<Bytes>,
    },
    /// The end of a transaction: a control batch, hence without key and value of its own.
    EndMarker {
        /// Whose transaction.
        producer_id: ProducerId,
        /// Committed, or else aborted.
        committed: bool,
    },
}

/// What a record of the newer protocols tells a coordinator that only keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Which protocol the group uses.
    pub kind: GroupKind,
    /// The group.
    pub group_id: Str,
    /// The member, if the record is about one and not about the group.
    pub member_id: Option<Str>,
}

/// The bytes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; none for a tombstone.
    pub value: Option<Bytes>,
}

/// A record that cannot be read. The partition must not be loaded past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key is shorter than its type, or its fields do not parse.
    #[error("unreadable key of record type {kind:?}")]
    Key {
        /// The type, if there are bytes for one.
        kind: Option<i16>,
    },
    /// The value has a version that this release does not know.
    #[error("unknown version {version} of record type {kind}")]
    UnknownVersion {
        /// The type in the key.
        kind: i16,
        /// The version in the value.
        version: i16,
    },
    /// The value has no version, or its fields do not parse.
    #[error("unreadable value of record type {kind}")]
    Value {
        /// The type in the key.
        kind: i16,
    },
}

impl GroupRecord {
    /// Reads a record of the log. What lives in the machine afterwards does not share its bytes: they are
    /// a small part of what was read. `producer_id` is that of a transactional batch, else
    /// [`ProducerId::NONE`].
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn decode(
        key: Bytes,
        value: Option<Bytes>,
        producer_id: ProducerId,
    ) -> Result<Self, RecordError> {
        let Some((prefix, fields)) = prefixed(&key) else {
            return Err(RecordError::Key { kind: None });
        };
        match prefix {
            LEGACY_OFFSET_COMMIT => {
                let key: LegacyOffsetCommitKey = decode_key(prefix, fields)?;
                let value = value.map(|value| decode_value(prefix, &value)).transpose()?;
                let (key, value) = (modern_key(key), value.map(modern_value));
                Ok(Self::OffsetCommit { key, value, producer_id })
            }
            OFFSET_COMMIT => {
                let key = decode_key(prefix, fields)?;
                let value = value.map(|value| decode_value(prefix, &value)).transpose()?;
                Ok(Self::OffsetCommit { key, value, producer_id })
            }
            GROUP_METADATA => {
                let key: GroupMetadataKey = decode_key(prefix, fields)?;
                let value = value.map(|value| decode_value(prefix, &value)).transpose()?;
                Ok(Self::GroupMetadata { group_id: key.group, value: value.map(owned) })
            }
            other => Ok(Self::Other { meaning: trace(other, fields), key, value }),
        }
    }

    /// The bytes to append; none for an end marker, which is a control batch.
    ///
    /// # Errors
    /// A string is longer than the format can say.
    pub fn encode(&self) -> Result<Option<KeyValue>, EncodeError> {
        match self {
            Self::OffsetCommit { key, value, .. } => {
                let key = encoded(OFFSET_COMMIT, key, 0)?;
                let value = value.as_ref().map(|value| {
                    let version = offset_commit_version(value);
                    encoded(version, value, version)
                });
                Ok(Some(KeyValue { key, value: value.transpose()? }))
            }
            Self::GroupMetadata { group_id, value } => {
                let key = GroupMetadataKey { group: group_id.clone() };
                let key = encoded(GROUP_METADATA, &key, 0)?;
                let value = value
                    .as_ref()
                    .map(|value| encoded(GROUP_METADATA_VERSION, value, GROUP_METADATA_VERSION));
                Ok(Some(KeyValue { key, value: value.transpose()? }))
            }
            Self::Other { key, value, .. } => {
                Ok(Some(KeyValue { key: key.clone(), value: value.clone() }))
            }
            Self::EndMarker { .. } => Ok(None),
        }
    }
}

fn offset_commit_version(value: &OffsetCommitValue) -> i16 {
    if value.expire_timestamp == -1 {
        OFFSET_COMMIT_VERSION
    } else {
        OFFSET_COMMIT_EXPIRING_VERSION
    }
}

fn prefixed(bytes: &Bytes) -> Option<(i16, Bytes)> {
    let prefix = bytes.first_chunk::<2>()?;
    Some((i16::from_be_bytes(*prefix), bytes.slice(2..)))
}

fn decode_key<K: Message>(kind: i16, fields: Bytes) -> Result<K, RecordError> {
    K::decode(&mut Reader::new(fields), 0).map_err(|_| RecordError::Key { kind: Some(kind) })
}

fn decode_value<V: Message>(kind: i16, value: &Bytes) -> Result<V, RecordError> {
    let Some((version, fields)) = prefixed(value) else {
        return Err(RecordError::Value { kind });
    };
    if !(V::MIN_VERSION..=V::MAX_VERSION).contains(&version) {
        return Err(RecordError::UnknownVersion { kind, version });
    }
    V::decode(&mut Reader::new(fields), version).map_err(|_| RecordError::Value { kind })
}

fn owned(mut value: GroupMetadataValue) -> GroupMetadataValue {
    for member in &mut value.members {
        for bytes in [&mut member.subscription, &mut member.assignment] {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }
    value
}

fn encoded<M: Message>(prefix: i16, message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put(prefix);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

fn modern_key(key: LegacyOffsetCommitKey) -> OffsetCommitKey {
    OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition }
}

fn modern_value(value: LegacyOffsetCommitValue) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: value.offset,
        metadata: value.metadata,
        commit_timestamp: value.commit_timestamp,
        topic_id: TopicId::ZERO,
        ..OffsetCommitValue::default()
    }
}

/// Reads as much of a newer protocol's key as tells who is in which group: types 3, 11 and 17 stand
/// for a group, types 5, 10 and 19 for a member of one. All start with the group's id.
fn trace(kind: i16, fields: Bytes) -> Option<Trace> {
    let (kind, of_member) = match kind {
        3 => (GroupKind::Consumer, false),
        5 => (GroupKind::Consumer, true),
        10 => (GroupKind::Share, true),
        11 => (GroupKind::Share, false),
        17 => (GroupKind::Streams, false),
        19 => (GroupKind::Streams, true),
        _ => return None,
    };
    let (group_id, rest) = string(&fields)?;
    let member_id = if of_member { Some(string(rest)?.0) } else { None };
    Some(Trace { kind, group_id, member_id })
}

/// A string with a 16-bit length in front, and what follows it.
fn string(bytes: &[u8]) -> Option<(Str, &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<2>()?;
    let size = usize::try_from(i16::from_be_bytes(*size)).ok()?;
    let (text, rest) = rest.split_at_checked(size)?;
    Some((Str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests;
