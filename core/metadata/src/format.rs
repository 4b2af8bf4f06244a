//! What a node's directories hold before its first start: what `storage format` writes.
//!
//! ```text
//! every log directory     meta.properties                     node, cluster, a fresh directory id
//! the metadata directory  __cluster_metadata-0/               of a controller only
//!                           0…0-0…0.checkpoint                voters, levels, credentials
//! ```
//!
//! Values in, file names and bytes out. Which directories are formatted already, and whether that is
//! an error, is for whoever sees them. Source: interop A.12, KIP-1170.

mod levels;

use bytes::Bytes;
use dohle_base::{BrokerId, Rng, Str, Timestamp, Uuid};
use dohle_protocol::records::metadata::{
    feature_level_record::FeatureLevelRecord,
    user_scram_credential_record::UserScramCredentialRecord,
};
use dohle_raft::{CheckpointBuilder, Endpoint, METADATA_LOG_DIR, SnapshotId, Voter, VoterSet};

use crate::{KRAFT_VERSION, METADATA_VERSION, MetaProperties, MetadataRecord, record_version};

pub use levels::{FormatError, Levels, LevelsRequest};

/// Who votes when the cluster is started.
#[derive(Clone, Debug, PartialEq)]
pub enum Quorum {
    /// The node is no controller.
    None,
    /// `controller.quorum.voters` says it.
    Static,
    /// This node alone, listening here: `--standalone`.
    Standalone(Vec<Endpoint>),
    /// These, this node among them or not: `--initial-controllers`.
    Initial(VoterSet),
    /// Nobody yet: the node joins later. `--no-initial-controllers`.
    Later,
}

/// What to format.
#[derive(Clone, Debug)]
pub struct Request {
    /// The cluster.
    pub cluster_id: Str,
    /// The node.
    pub node_id: BrokerId,
    /// Who votes.
    pub quorum: Quorum,
    /// The levels to finalise.
    pub levels: Levels,
    /// Credentials that exist from the beginning.
    pub scram: Vec<UserScramCredentialRecord>,
    /// For the headers of checkpoints.
    pub now: Timestamp,
}

/// A file to be written, whole, below the directory that is formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path, relative to the directory.
    pub path: String,
    /// Its content.
    pub content: Bytes,
}

impl Quorum {
    /// Whether the voters are kept in the log, which needs kraft.version 1.
    pub fn is_dynamic(&self) -> bool {
        matches!(self, Self::Standalone(_) | Self::Initial(_) | Self::Later)
    }
}

/// The files of a directory, in the order in which they are to be written: `meta.properties` comes
/// last, for it makes the directory count as formatted.
///
/// # Errors
/// `ScramNotSupported`.
pub fn directory(
    request: &Request,
    is_metadata_directory: bool,
    rng: &mut Rng,
) -> Result<Vec<File>, FormatError> {
    let directory_id = match &request.quorum {
        Quorum::Initial(voters) if is_metadata_directory => {
            voters.voter(request.node_id).map(|voter| voter.directory_id)
        }
        _ => None,
    };
    let directory_id = directory_id.unwrap_or_else(|| Uuid::random(rng));
    let mut files = Vec::new();
    if is_metadata_directory && request.quorum != Quorum::None {
        let path = format!("{METADATA_LOG_DIR}/{}", SnapshotId::BOOTSTRAP.file_name());
        files.push(File { path, content: bootstrap_checkpoint(request, directory_id)? });
    }
    let properties = MetaProperties {
        cluster_id: Some(request.cluster_id.clone()),
        node_id: Some(request.node_id),
        directory_id: Some(directory_id),
    };
    files.push(File { path: MetaProperties::FILE.into(), content: properties.to_file() });
    Ok(files)
}

/// The records with which the log will begin: metadata.version, then the other levels by name but
/// for those at 0, then credentials.
///
/// # Errors
/// `ScramNotSupported`.
pub fn bootstrap_records(request: &Request) -> Result<Vec<MetadataRecord>, FormatError> {
    let release = request.levels.metadata_version();
    if !request.scram.is_empty() && !release.has_scram() {
        return Err(FormatError::ScramNotSupported { release });
    }
    let level = |(name, feature_level): (&str, i16)| {
        MetadataRecord::from(FeatureLevelRecord { name: name.into(), feature_level })
    };
    let others = request
        .levels
        .iter()
        .filter(|(name, level)| *level > 0 && *name != METADATA_VERSION && *name != KRAFT_VERSION);
    let mut records = vec![level((METADATA_VERSION, release.0))];
    records.extend(others.map(level));
    records.extend(request.scram.iter().cloned().map(MetadataRecord::from));
    Ok(records)
}

fn bootstrap_checkpoint(request: &Request, directory_id: Uuid) -> Result<Bytes, FormatError> {
    let release = request.levels.metadata_version();
    let voters = match &request.quorum {
        Quorum::Standalone(endpoints) => {
            let voter = Voter::of_this_software(directory_id, endpoints.clone());
            Some([(request.node_id, voter)].into_iter().collect())
        }
        Quorum::Initial(voters) => Some(voters.clone()),
        Quorum::None | Quorum::Static | Quorum::Later => None,
    };
    let kraft_version = request.levels.level(KRAFT_VERSION);
    let mut builder =
        CheckpointBuilder::new(SnapshotId::BOOTSTRAP, request.now, kraft_version, voters.as_ref());
    for record in bootstrap_records(request)? {
        let value = record.to_bytes(record_version(&record, release));
        builder.push(value.map_err(|_| FormatError::TooLong)?);
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests;
