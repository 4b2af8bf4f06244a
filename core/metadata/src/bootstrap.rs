//! The records with which an empty metadata log begins.
//!
//! They come from the 0-0 checkpoint that formatting left; from `bootstrap.checkpoint`, where Kafka
//! up to 4.3 put them; or, if neither says anything, from the latest level.

use bytes::Bytes;
use dohle_protocol::DecodeError;
use dohle_protocol::records::metadata::feature_level_record::FeatureLevelRecord;
use dohle_raft::Checkpoint;

use crate::{METADATA_VERSION, MetadataRecord, MetadataVersion};

/// What an empty log begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// The records; one of them finalises metadata.version.
    pub records: Vec<MetadataRecord>,
}

/// Why records in a checkpoint cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index}: {fault}")]
pub struct BadRecord {
    /// Which record, from 0.
    pub index: usize,
    /// What is wrong.
    pub fault: DecodeError,
}

impl Default for Bootstrap {
    /// The latest level and nothing else.
    fn default() -> Self {
        Self::at(MetadataVersion::LATEST)
    }
}

impl Bootstrap {
    /// A level and nothing else.
    pub fn at(version: MetadataVersion) -> Self {
        let level = FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level: version.0 };
        Self { records: vec![level.into()] }
    }

    /// The records of the 0-0 checkpoint, or else those of `bootstrap.checkpoint`.
    ///
    /// # Errors
    /// A record cannot be decoded.
    pub fn from_checkpoints(
        zero: Option<&Checkpoint>,
        old: Option<&Checkpoint>,
    ) -> Result<Self, BadRecord> {
        for checkpoint in [zero, old].into_iter().flatten() {
            let records = decode_all(&checkpoint.records)?;
            if records.iter().any(is_metadata_version) {
                return Ok(Self { records });
            }
        }
        Ok(Self::default())
    }

    /// The level that the records finalise.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.level(METADATA_VERSION).map_or(MetadataVersion::LATEST, MetadataVersion)
    }

    /// The level of a feature that the records finalise.
    pub fn level(&self, name: &str) -> Option<i16> {
        self.records.iter().find_map(|record| match record {
            MetadataRecord::FeatureLevel(level) if level.name == name => Some(level.feature_level),
            _ => None,
        })
    }
}

fn is_metadata_version(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::FeatureLevel(level) if level.name == METADATA_VERSION)
}

/// Decodes framed records, in order.
pub(crate) fn decode_all(records: &[Bytes]) -> Result<Vec<MetadataRecord>, BadRecord> {
    let decode = |(index, value): (usize, &Bytes)| {
        let decoded = MetadataRecord::decode(value.clone());
        decoded.map(|(record, _)| record).map_err(|fault| BadRecord { index, fault })
    };
    records.iter().enumerate().map(decode).collect()
}
