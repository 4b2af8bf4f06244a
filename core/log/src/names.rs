//! The names of partition directories and of the files in them.
//!
//! ```text
//! <topic>-<partition>                          a partition that is served
//! <topic>-<partition>.<32 hex digits>-delete   scheduled for removal
//! <topic>-<partition>.<32 hex digits>-future   being moved between directories
//! <topic>-<partition>.<32 hex digits>-stray    not ours any more
//!     <20 digits>.log|.index|.timeindex|.txnindex|.snapshot
//!     … .deleted | .cleaned | .swap
//! ```
//!
//! The digits are an offset: that of a segment's first record, or for a snapshot the offset that
//! the state is before.

#[cfg(test)]
mod tests;

use dohle_base::{Offset, PartitionId, Str, Uuid};

/// The longest file name that file systems take.
const FILE_NAME_SIZE_MAX: usize = 255;
/// The longest topic name. Source: Kafka, so that `<topic>-<partition>` fits a file name.
const TOPIC_NAME_SIZE_MAX: usize = 249;
/// Digits of an offset in a file name.
const OFFSET_DIGITS: usize = 20;

/// A partition directory, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionDir {
    /// The topic; cut short in `Deleted` and `Stray` directories of topics with long names.
    pub topic: Str,
    /// The partition.
    pub partition: PartitionId,
    /// What the directory is for.
    pub role: DirRole,
}

/// What a partition directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirRole {
    /// It is the partition.
    Current,
    /// It waits to be removed.
    Deleted,
    /// It is a copy that will take the place of the one in another log directory.
    Future,
    /// The partition does not belong here; kept for the operator.
    Stray,
}

/// Why a name is not that of a partition directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirNameError {
    /// There is no `-` that a partition number could follow.
    #[error("not of the form topic-partition")]
    NoPartition,
    /// What follows the last `-` is not a partition number.
    #[error("the partition is not a number from 0 on")]
    BadPartition,
    /// What comes before is not a topic name.
    #[error("not a topic name")]
    BadTopic,
}

impl DirRole {
    const SUFFIXED: [(Self, &str); 3] =
        [(Self::Deleted, "-delete"), (Self::Future, "-future"), (Self::Stray, "-stray")];
}

impl PartitionDir {
    /// The directory of a partition that is served.
    pub fn current(topic: &str, partition: PartitionId) -> Self {
        Self { topic: topic.into(), partition, role: DirRole::Current }
    }

    /// Reads a directory's name.
    ///
    /// # Errors
    /// The name is none that a partition's directory has.
    pub fn parse(name: &str) -> Result<Self, DirNameError> {
        let suffix = DirRole::SUFFIXED.iter().find(|(_, suffix)| name.ends_with(suffix));
        let (role, name) = match (suffix, name.rsplit_once('.')) {
            (Some((role, _)), Some((name, _))) => (*role, name),
            // A topic may be called `x-delete`; then the last part is no number.
            _ => (DirRole::Current, name),
        };
        let (topic, partition) = name.rsplit_once('-').ok_or(DirNameError::NoPartition)?;
        let digits = partition.bytes().all(|byte| byte.is_ascii_digit());
        let number = partition.parse().ok().filter(|_| digits).ok_or(DirNameError::BadPartition)?;
        if !is_topic_name(topic) {
            return Err(DirNameError::BadTopic);
        }
        Ok(Self { topic: topic.into(), partition: PartitionId(number), role })
    }

    /// The name of the directory. `unique` tells directories with a role other than `Current`
    /// apart.
    pub fn name(&self, unique: Uuid) -> String {
        let partition = self.partition;
        let Some((_, suffix)) = DirRole::SUFFIXED.iter().find(|(role, _)| *role == self.role)
        else {
            return format!("{}-{partition}", self.topic);
        };
        let tail = format!("-{partition}.{:032x}{suffix}", unique.0);
        let room = match self.role {
            // Kafka cuts none, and moves no partition whose topic has no room in a name.
            DirRole::Future => self.topic.len(),
            _ => FILE_NAME_SIZE_MAX - tail.len(),
        };
        let topic = self.topic.get(..room.min(self.topic.len())).unwrap_or(&self.topic);
        format!("{topic}{tail}")
    }

    /// Whether its topic may have a longer name, of which there was no room for the end.
    pub fn may_be_cut(&self) -> bool {
        self.role != DirRole::Current && self.name(Uuid::ZERO).len() == FILE_NAME_SIZE_MAX
    }

    /// Whether its topic may be the one of this name.
    pub fn may_be_of(&self, topic: &str) -> bool {
        let own: &str = &self.topic;
        own == topic || self.may_be_cut() && topic.starts_with(own)
    }
}

/// Whether a topic may have this name: 1 to 249 of `a-z A-Z 0-9 . _ -`, but neither `.` nor `..`.
pub fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_NAME_SIZE_MAX).contains(&name.len())
        && name.bytes().all(legal)
        && name != "."
        && name != ".."
}

/// A file of a segment, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentFile {
    pub(crate) base: Offset,
    pub(crate) kind: FileKind,
    pub(crate) stage: FileStage,
}

/// What is in a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    /// Batches.
    Log,
    /// Offsets to positions.
    OffsetIndex,
    /// Timestamps to offsets.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producers' state.
    Snapshot,
}

/// Where a segment's file stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileStage {
    /// In use.
    Current,
    /// No longer part of the log.
    Deleted,
    /// Written by a cleaning that has not ended.
    Cleaned,
    /// Complete, and to take the place of other segments.
    Swap,
}

impl FileKind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Log, "log"),
        (Self::OffsetIndex, "index"),
        (Self::TimeIndex, "timeindex"),
        (Self::TxnIndex, "txnindex"),
        (Self::Snapshot, "snapshot"),
    ];

    /// The files that are nothing without a `.log`.
    pub(crate) const INDEXES: [Self; 3] = [Self::OffsetIndex, Self::TimeIndex, Self::TxnIndex];
}

impl SegmentFile {
    pub(crate) fn current(base: Offset, kind: FileKind) -> Self {
        Self { base, kind, stage: FileStage::Current }
    }

    /// Reads a file's name; `None` if it is no segment's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (digits, rest) = name.split_at_checked(OFFSET_DIGITS)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let base = Offset(digits.parse().ok()?);
        let (kind, stage) = match rest.strip_prefix('.')?.split_once('.') {
            None => (rest.get(1..)?, FileStage::Current),
            Some((kind, "deleted")) => (kind, FileStage::Deleted),
            Some((kind, "cleaned")) => (kind, FileStage::Cleaned),
            Some((kind, "swap")) => (kind, FileStage::Swap),
            Some(_) => return None,
        };
        let kind = FileKind::ALL.iter().find(|(_, name)| *name == kind)?.0;
        Some(Self { base, kind, stage })
    }

    pub(crate) fn name(self) -> String {
        let kind = FileKind::ALL.iter().find(|(kind, _)| *kind == self.kind).map_or("", |k| k.1);
        let stage = match self.stage {
            FileStage::Current => "",
            FileStage::Deleted => ".deleted",
            FileStage::Cleaned => ".cleaned",
            FileStage::Swap => ".swap",
        };
        format!("{:020}.{kind}{stage}", self.base.0)
    }
}
