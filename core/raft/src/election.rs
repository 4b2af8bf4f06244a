//! What a node must never forget about elections, and the file `quorum-state` that keeps it.
//!
//! One line of JSON. Version 0 (kraft.version 0) lists the static voters; version 1 (kraft.version 1)
//! has the directory of the candidate instead. −1 stands for none. Both are read, whatever is in
//! force.

use std::fmt::Write as _;

use bytes::Bytes;
use dohle_base::{BrokerId, LeaderEpoch, Uuid};
use serde_json::Value;

use crate::{ReplicaKey, VoterSet};

const FROM_0: &str = "an integer from 0";
const FROM_NONE: &str = "an integer from −1, which is none";

/// The highest epoch that was heard of, and in it the leader and the own vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionState {
    /// The epoch, from 0. It never decreases.
    pub epoch: LeaderEpoch,
    /// The leader of the epoch, once known. It never changes within the epoch.
    pub leader: Option<BrokerId>,
    /// Whom this node voted for in the epoch. It never changes within the epoch.
    pub voted: Option<ReplicaKey>,
}

/// Why a `quorum-state` file cannot be used. It is never guessed at: a forgotten vote may be cast
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionStateError {
    /// It is not JSON, or not an object.
    #[error("line {line} column {column}: expected a JSON object")]
    NotJson {
        /// The line at which it cannot be one any more, from 1.
        line: usize,
        /// The byte in that line, from 1; 0 is its end.
        column: usize,
    },
    /// A field is absent or has a value that it cannot have.
    #[error("field {field}: expected {expected}")]
    BadField {
        /// The field's name.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A version that newer software writes.
    #[error("version {version} is unknown, expected 0 or 1")]
    UnknownVersion {
        /// The version.
        version: i64,
    },
}

impl Default for ElectionState {
    /// A node that never took part: epoch 0, as if the file were absent.
    fn default() -> Self {
        Self { epoch: LeaderEpoch(0), leader: None, voted: None }
    }
}

impl ElectionState {
    /// Reads the file.
    ///
    /// # Errors
    /// `NotJson`, `BadField`, `UnknownVersion`.
    pub fn parse(file: &[u8]) -> Result<Self, ElectionStateError> {
        let value: Value = serde_json::from_slice(file).map_err(|error| {
            ElectionStateError::NotJson { line: error.line(), column: error.column() }
        })?;
        if !value.is_object() {
            return Err(ElectionStateError::NotJson { line: 1, column: 1 });
        }
        let version = integer(&value, "data_version", FROM_0)?;
        if !(0..=1).contains(&version) {
            return Err(ElectionStateError::UnknownVersion { version });
        }
        let field = "leaderEpoch";
        let epoch = i32::try_from(integer(&value, field, FROM_0)?).ok().filter(|epoch| *epoch >= 0);
        let epoch = epoch.ok_or(ElectionStateError::BadField { field, expected: FROM_0 })?;
        let directory_id = if version == 1 { directory(&value)? } else { Uuid::ZERO };
        let voted = id(&value, "votedId")?.map(|id| ReplicaKey::new(BrokerId(id), directory_id));
        let leader = id(&value, "leaderId")?.map(BrokerId);
        Ok(Self { epoch: LeaderEpoch(epoch), leader, voted })
    }

    /// The file, in the version that belongs to `kraft_version`.
    pub fn to_file(&self, kraft_version: i16, voters: &VoterSet) -> Bytes {
        let leader = self.leader.unwrap_or(BrokerId::NONE);
        let voted = self.voted.map_or(BrokerId::NONE, |voted| voted.id);
        let epoch = self.epoch;
        let text = if kraft_version >= 1 {
            let directory = self.voted.map_or(Uuid::ZERO, |voted| voted.directory_or_zero());
            format!(
                r#"{{"leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"votedDirectoryId":"{directory}","data_version":1}}"#
            )
        } else {
            let mut ids = String::new();
            for (at, (id, _)) in voters.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                // Writing into a string cannot fail.
                let _ = write!(ids, r#"{comma}{{"voterId":{id}}}"#);
            }
            format!(
                r#"{{"clusterId":"","leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"appliedOffset":0,"currentVoters":[{ids}],"data_version":0}}"#
            )
        };
        Bytes::from(text)
    }
}

fn integer(
    value: &Value,
    field: &'static str,
    expected: &'static str,
) -> Result<i64, ElectionStateError> {
    let found = value.get(field).and_then(Value::as_i64);
    found.ok_or(ElectionStateError::BadField { field, expected })
}

/// A number from 0, or none if it is −1.
fn id(value: &Value, field: &'static str) -> Result<Option<i32>, ElectionStateError> {
    match i32::try_from(integer(value, field, FROM_NONE)?) {
        Ok(-1) => Ok(None),
        Ok(id) if id >= 0 => Ok(Some(id)),
        _ => Err(ElectionStateError::BadField { field, expected: FROM_NONE }),
    }
}

fn directory(value: &Value) -> Result<Uuid, ElectionStateError> {
    let (field, expected) = ("votedDirectoryId", "a uuid");
    let text = value.get(field).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).ok_or(ElectionStateError::BadField { field, expected })
}

#[cfg(test)]
mod tests;
