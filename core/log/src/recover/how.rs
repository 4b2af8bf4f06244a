//! What is known of a log before it is opened, and what opening it found.

use std::{ops::Range, path::PathBuf};

use dohle_base::{LeaderEpoch, Offset, TopicId};

use crate::{
    checkpoint::SideFileError,
    error::{Corruption, DamageReason},
    producer_state::snapshot::SnapshotError,
};

/// Up to where the batches of a log were synced, as somebody knew who led it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// All below this offset was.
    pub end: Offset,
    /// The log's newest leader epoch then. Where there is a newer one now, another process has written to
    /// the directory since, and what it made of the log is true.
    pub epoch: LeaderEpoch,
}

/// What the one who opens a log knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLog {
    /// Whether it was closed before: its directory's clean-stop file says so.
    pub clean: bool,
    /// Up to where it is known to be durable, by the checkpoint; 0 if there is none.
    pub recovery_point: Offset,
    /// Up to where its batches were synced for sure, by the write-ahead log, whatever lies beside them;
    /// `None` if it tells nothing.
    pub synced: Option<Synced>,
    /// Where it starts, by the checkpoint; 0 if there is none.
    pub log_start: Offset,
    /// Up to where it had come, if less may be left of it: by the write-ahead log; the greatest offset if
    /// nothing tells how much is gone. A start behind all that is known was never one.
    pub reached: Offset,
    /// Up to where it has been cleaned, by the checkpoint; 0 if it never was.
    pub cleaned_to: Offset,
    /// What to do about damage that is not a torn tail.
    pub on_damage: OnDamage,
    /// The newest epoch in which it may have been led; `None` if nobody knows. A later one is none.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The topic that the directory must belong to; its `partition.metadata` is written in time.
    pub topic_id: Option<TopicId>,
    /// Whether a sync may have failed since the machine started: then what the system caches of the log
    /// is not what the disk has of it, and the disk is read.
    pub distrust_cache: bool,
}

impl Default for OpenLog {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            clean: false,
            recovery_point: Offset::ZERO,
            synced: None,
            log_start: Offset::ZERO,
            reached: Offset::ZERO,
            cleaned_to: Offset::ZERO,
            on_damage: OnDamage::Refuse,
            leader_epoch: None,
            topic_id: None,
            distrust_cache: false,
        }
    }
}

/// What to do about damage that has valid data behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Do not open the log: what is behind the damage may have been acknowledged.
    #[default]
    Refuse,
    /// Cut it off at the damage, as Kafka does, unless it lies before the recovery point. For what
    /// the page cache may have lost in any order, and is there elsewhere or was not promised.
    Cut,
}

/// What opening a log found and did, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments that were read as a whole.
    pub segments_scanned: usize,
    /// Bytes of them.
    pub bytes_scanned: u64,
    /// Where the log was cut, if it was.
    pub cut: Option<Cut>,
    /// What offsets are missing between two segments behind the recovery point, in ascending order:
    /// the cleaner leaves such gaps, and so does a power cut. See [`crate::Log::cut_at_loss`].
    pub gaps: Vec<Range<Offset>>,
    /// The newest leader epoch that the file of epochs told before the batches were read; `None` if it
    /// was not believed.
    pub told_epoch: Option<LeaderEpoch>,
    /// Why the file of epochs was not believed, and made anew from the batches, if so.
    pub wrong_epochs: Option<SideFileError>,
    /// A start that was not believed, if so: the checkpoint should say where the log starts soon.
    pub wrong_start: Option<WrongStart>,
    /// Files beside the batches that were of no use, and are gone or made anew.
    pub mended: Vec<Mended>,
}

/// A file beside the batches that was of no use, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mended {
    /// A snapshot of producers is removed: an older one and the batches behind it tell of them.
    #[error("{} at {}: {reason}; removed", path.display(), reason.position())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: SnapshotError,
    },
    /// It was the oldest one, and batches have been deleted: of producers only those are known that have
    /// a batch from this offset on.
    #[error(
        "{}: no snapshot of producers can be read; those without a batch from offset {from} on are forgotten",
        dir.display()
    )]
    Forgotten {
        /// The partition's directory.
        dir: PathBuf,
        /// Where the log starts.
        from: Offset,
    },
    /// An index of offsets is not there, and is made anew with that of times.
    #[error("{} is not there; made anew from the batches", path.display())]
    NoIndex {
        /// The file.
        path: PathBuf,
    },
    /// The last entry of an index leads to no such batch. The index is made anew with that of times.
    #[error(
        "{} at {position}: no batch with offset {offset} is at {told} of its segment; made anew from the batches",
        path.display()
    )]
    WrongIndex {
        /// The file.
        path: PathBuf,
        /// Where the entry lies.
        position: u64,
        /// The offset that it tells.
        offset: Offset,
        /// The position that it tells.
        told: u32,
    },
    /// An index of aborted transactions is made anew.
    #[error("{}; made anew from the batches", reason)]
    Aborts {
        /// The file, and what is wrong with it.
        reason: Box<Corruption>,
    },
    /// An index without a segment is removed.
    #[error("{} has no segment of that name; removed", path.display())]
    Orphan {
        /// The file.
        path: PathBuf,
    },
}

/// A start of a log that another file contradicts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}, line {line}: a start at offset {told} where offset {believed} is to be expected, by {}",
    path.display(), told_by.display()
)]
pub struct WrongStart {
    /// The checkpoint.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub told: Offset,
    /// Where the log starts.
    pub believed: Offset,
    /// The file that says so.
    pub told_by: PathBuf,
}

/// Where a log was cut when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// The first byte that was cut.
    pub position: u64,
    /// Bytes that were cut, in this and in later files.
    pub size: u64,
    /// Why.
    pub reason: DamageReason,
}
