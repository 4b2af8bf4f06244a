//! Files of a node beside its segments that Kafka's tool has no eye for, by their names: text, and
//! `dohle.wal`.
//!
//! A line for each thing that a file tells. What it cannot tell is an error with its line.

use std::path::Path;

use dohle_base::{BrokerId, text_lossy};
use dohle_config::Properties;
use dohle_log::{
    checkpoint::{LEADER_EPOCH_FILE, OffsetKind, SideFileError, read_epochs, read_offsets},
    clean_stop,
    disk::read_file,
    offline, partition_metadata, wal,
};
use dohle_metadata::MetaProperties;
use dohle_os::OsDisk;
use dohle_raft::{ElectionState, QUORUM_STATE_FILE};
use serde_json::Value;

use super::{
    SegmentView,
    fault::{Fault, Problem},
    file::{disk, name, open},
    findings::Findings,
    page::Page,
    segment::OptionalLong,
    write_ahead,
};

/// The largest file of a few lines that is read.
const SIZE_MAX: usize = 64 << 10;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SideFile {
    /// A number for each partition of a log directory.
    Offsets(OffsetKind),
    /// Where the leader epochs of a partition begin.
    LeaderEpochs,
    PartitionMetadata,
    MetaProperties,
    QuorumState,
    CleanStop,
    Offline,
    WriteAhead,
}

impl SideFile {
    /// By the whole name; none of those that are told by their suffix.
    pub(super) fn of(path: &Path) -> Option<Self> {
        const OFFSETS: [OffsetKind; 4] = [
            OffsetKind::RecoveryPoint,
            OffsetKind::LogStart,
            OffsetKind::HighWatermark,
            OffsetKind::CleanerPoint,
        ];
        let name = name(path);
        if let Some(kind) = OFFSETS.into_iter().find(|kind| kind.file_name() == name) {
            return Some(Self::Offsets(kind));
        }
        Some(match name {
            LEADER_EPOCH_FILE => Self::LeaderEpochs,
            partition_metadata::FILE_NAME => Self::PartitionMetadata,
            MetaProperties::FILE => Self::MetaProperties,
            QUORUM_STATE_FILE => Self::QuorumState,
            clean_stop::FILE_NAME => Self::CleanStop,
            offline::FILE_NAME => Self::Offline,
            wal::FILE_NAME => Self::WriteAhead,
            _ => return None,
        })
    }

    /// Shows a file.
    pub(super) fn show(
        self,
        path: &Path,
        view: &SegmentView,
        page: &mut Page<'_>,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        page.line(format_args!("Dumping {}", path.display()))?;
        match self {
            Self::Offsets(kind) => offsets(path, kind, page),
            Self::LeaderEpochs => leader_epochs(path, page),
            Self::PartitionMetadata => partition_metadata(path, page),
            Self::MetaProperties => meta_properties(path, page),
            Self::QuorumState => quorum_state(path, page),
            Self::CleanStop => clean_stop(path, page),
            Self::Offline => offline(path, page),
            Self::WriteAhead => write_ahead::show(path, view, page, findings),
        }
    }
}

fn offsets(path: &Path, kind: OffsetKind, page: &mut Page<'_>) -> Result<(), Fault> {
    let read = read_offsets(&OsDisk, directory(path)?, kind);
    for ((topic, partition), offset) in read.map_err(|error| side_file(path, error))? {
        page.line(format_args!("topic: {topic} partition: {partition} offset: {offset}"))?;
    }
    Ok(())
}

fn leader_epochs(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let read = read_epochs(&OsDisk, directory(path)?);
    for start in read.map_err(|error| side_file(path, error))? {
        page.line(format_args!("leaderEpoch: {} startOffset: {}", start.epoch, start.start))?;
    }
    Ok(())
}

fn partition_metadata(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let read = partition_metadata::read_owner(&OsDisk, directory(path)?);
    match read.map_err(|error| side_file(path, error))? {
        // After a power cut, before anything in the directory was durable.
        None => page.line("topicId: none")?,
        Some(owner) => {
            page.line(format_args!("topicId: {} isFlushed: {}", owner.topic, owner.is_durable))?
        }
    }
    Ok(())
}

fn meta_properties(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let bytes = content(path)?;
    let read = MetaProperties::parse(&bytes).map_err(|error| text(path, error))?;
    let properties = Properties::parse_latin1(&bytes).map_err(|error| text(path, error))?;
    let none = || "none".to_owned();
    page.line(format_args!(
        "clusterId: {} nodeId: {} directoryId: {} version: {}",
        read.cluster_id.as_ref().map_or_else(none, ToString::to_string),
        read.node_id.unwrap_or(BrokerId::NONE),
        read.directory_id.map_or_else(none, |id| id.to_string()),
        properties.get("version").unwrap_or("0"),
    ))?;
    Ok(())
}

fn quorum_state(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let bytes = content(path)?;
    let read = ElectionState::parse(&bytes).map_err(|error| text(path, error))?;
    page.put(format_args!(
        "leaderEpoch: {} leaderId: {} votedId: {}",
        read.epoch,
        read.leader.unwrap_or(BrokerId::NONE),
        read.voted.map_or(BrokerId::NONE, |voted| voted.id),
    ))?;
    if let Some(voted) = read.voted {
        page.put(format_args!(" votedDirectoryId: {}", voted.directory_or_zero()))?;
    }
    // What elections are not decided by is not in the state that was read.
    let json: Value = serde_json::from_slice(&bytes).map_err(|_| text(path, "not JSON"))?;
    for field in ["clusterId", "appliedOffset", "currentVoters", "data_version"] {
        if let Some(value) = json.get(field) {
            page.put(format_args!(" {field}: {value}"))?;
        }
    }
    Ok(page.line("")?)
}

fn clean_stop(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let bytes = content(path)?;
    // Kafka before 3.8 leaves it empty.
    let mut broker_epoch = None;
    if !bytes.is_empty() {
        let json: Value = serde_json::from_slice(&bytes).map_err(|_| text(path, "not JSON"))?;
        broker_epoch = json.get("brokerEpoch").and_then(Value::as_i64);
        broker_epoch.ok_or_else(|| text(path, "brokerEpoch is missing or no number"))?;
    }
    Ok(page.line(format_args!("brokerEpoch: {}", OptionalLong(broker_epoch)))?)
}

fn offline(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let bytes = content(path)?;
    let mut reason = text_lossy(&bytes);
    // There was no room for one.
    if reason.is_empty() {
        reason = "none".into();
    }
    for line in reason.lines() {
        page.line(format_args!("reason: {line}"))?;
    }
    Ok(())
}

/// All of a file that has few lines.
fn content(path: &Path) -> Result<Vec<u8>, Fault> {
    let bytes = read_file(&OsDisk, path, SIZE_MAX).map_err(|error| disk(path, error))?;
    match bytes {
        Some(bytes) => Ok(bytes),
        None => open(path).map(|_| Vec::new()),
    }
}

/// The directory of a file that is there: for a node one that is missing has no entries.
fn directory(path: &Path) -> Result<&Path, Fault> {
    open(path)?;
    Ok(path.parent().unwrap_or(Path::new("")))
}

fn side_file(path: &Path, error: SideFileError) -> Fault {
    match error {
        SideFileError::Io(error) => disk(path, error),
        SideFileError::Malformed { line, reason, .. } => {
            Fault::at(path, None, Problem::Line { line, reason })
        }
    }
}

fn text(path: &Path, reason: impl ToString) -> Fault {
    Fault::at(path, None, Problem::Text(reason.to_string()))
}
