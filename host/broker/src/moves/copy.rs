//! The copy of a partition's log in another directory, and how it catches up.
//!
//! It follows the log as a replica on another broker would: by offsets, and after an interruption by
//! leader epochs, because what the log lost in a crash the copy may still have. What the cleaner took
//! since leaves no such trace: the copy of a log that is cleaned, or was, does not go on, it begins
//! anew. That it was a checkpoint may not tell, if it was not written in time: a gap does. After a power cut each
//! begins anew.

use std::{ops::Range, path::Path};

use dohle_base::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    AppendError, Disk, EpochEnd, IoError, Log, LogConfig, LogError, OnDamage, OpenLog, ReadError,
    ReadRange, checkpoint::SideFileError, disk::remove_tree, partition_metadata,
};
use dohle_replication::Leader;

use super::{Move, Progress};
use crate::{disk::NodeDisk, durability::make_durable, log_dirs::LogDir};

/// How many bytes are copied at once, and at most under the partition's lock.
pub(super) const CHUNK_SIZE: usize = 1 << 20;

/// The heads of so many bytes are read before is asked whether to go on. Source: batches of a record each, and
/// then some 100 000 reads.
const HEADS_SIZE: u32 = 16 << 20;

/// How often a flush of the old directory may put off the end of a move, before the end waits for it with all that
/// it needs in hand: where one flush follows the other it would never come.
const PUT_OFF_MAX: u32 = 3;

/// Why a move ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum MoveError {
    /// The partition is not served here any more.
    #[error("the partition is not served any more: {0}")]
    NotServed(ErrorCode),
    /// The partition cannot be read.
    #[error("it cannot be read: {0}")]
    Source(#[from] ReadError),
    /// What was read cannot be read again.
    #[error("it cannot be read: {0}")]
    SourceIo(IoError),
    /// The copy cannot be written.
    #[error("the copy cannot be written: {0}")]
    Target(#[from] LogError),
    /// The copy does not follow.
    #[error("the copy cannot be written: {0}")]
    Append(#[from] AppendError),
    /// The directory of the copy cannot be changed.
    #[error("the copy cannot be put in place: {0}")]
    TargetIo(IoError),
    /// The copy is not what it should be by now.
    #[error(
        "its copy holds the offsets from {} to {}, the partition those from {} to {}",
        copy.start, copy.end, partition.start, partition.end
    )]
    Differs {
        /// From where up to where the copy goes.
        copy: Range<Offset>,
        /// The same of the partition.
        partition: Range<Offset>,
    },
    /// It is not wanted any more, or not before the next start.
    #[error("the node stops, or it is not wanted any more")]
    Stopped,
    /// The directory of the copy is out of service.
    #[error("its new directory is out of service")]
    TargetFailed,
}

impl MoveError {
    /// Whether the copy is of no use any more. One whose partition is out of service is, after the next
    /// start.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::NotServed(_) | Self::Source(_) | Self::SourceIo(_) | Self::Stopped)
    }

    /// Whose disk it is that failed, if one has.
    pub(super) fn tell(&self, moving: &Move) {
        match self {
            Self::NotServed(_) | Self::Stopped => {}
            Self::Source(ReadError::Log(error)) => moving.partition.log_dir().judge_log(error),
            Self::Source(ReadError::OutOfRange { .. }) => {}
            Self::SourceIo(error) => moving.partition.log_dir().judge(error),
            Self::Target(error) | Self::Append(AppendError::Log(error)) => {
                moving.target.judge_log(error);
            }
            Self::Append(_) | Self::Differs { .. } | Self::TargetFailed => {}
            Self::TargetIo(error) => moving.target.judge(error),
        }
    }
}

/// The copy.
pub(super) struct Copy {
    pub(super) log: Log<NodeDisk>,
    /// How often its end was put off.
    put_off: u32,
}

impl Copy {
    /// Opens the copy, or makes it, and cuts off what the partition does not have. Nobody cleans the
    /// partition from now on.
    ///
    /// # Errors
    /// `Stopped` if it shall not go on: there is more to do then, and the copy is as it was.
    pub(super) fn begin(
        moving: &Move,
        now: Timestamp,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Self, MoveError> {
        if !goes_on() {
            return Err(MoveError::Stopped);
        }
        let ask = |leader: &mut Leader<NodeDisk>| {
            let log = leader.log();
            let is_cleaned = log.config().compacted || log.cleaned_to() > Offset::ZERO;
            (log.log_start_offset(), log.config().clone(), is_cleaned)
        };
        let (log_start, config, is_cleaned) =
            moving.partition.with_leader(ask).map_err(MoveError::NotServed)?;
        // After a power cut other records may lie, in the same leader epoch, where it had those that the copy has:
        // what it had may have been acknowledged when it was written, whatever it is now.
        let has_lost = moving.partition.log_dir().has_lost_cache();
        if is_cleaned || has_lost || moving.target.has_lost_cache() && !says_whose(moving)? {
            // A tombstone that is gone by now would let what was copied before it come back. And after a power
            // cut what lies there may be of a former topic, whose epochs look like this one's.
            make_empty(moving.target.disk(), &moving.path).map_err(MoveError::TargetIo)?;
        }
        let mut copy = Self::open(moving, log_start, config.clone(), now)?;
        copy.cut_to_common(moving, now)?;
        // Where the partition starts may not have been written down before a crash: then it has records
        // again that the copy never got.
        let begins_late = copy.log.log_start_offset() > log_start;
        let end = copy.log.log_end_offset();
        if begins_late || copy.log.size() > 0 && has_gap_before(moving, end, goes_on)? {
            drop(copy);
            make_empty(moving.target.disk(), &moving.path).map_err(MoveError::TargetIo)?;
            copy = Self::open(moving, log_start, config, now)?;
        }
        copy.tell(moving);
        Ok(copy)
    }

    fn open(
        moving: &Move,
        log_start: Offset,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Self, MoveError> {
        let how = OpenLog {
            log_start,
            // It starts where the partition does, which it may have to catch up with.
            reached: Offset(i64::MAX),
            on_damage: OnDamage::Cut,
            topic_id: Some(moving.partition.topic_id()),
            distrust_cache: moving.target.distrusts_cache(),
            ..OpenLog::default()
        };
        let log =
            Log::open(moving.target.disk().to_owned(), moving.path.clone(), config, how, now)?;
        Ok(Self { log, put_off: 0 })
    }

    /// The old directory is being flushed: the end of the move comes later.
    pub(super) fn put_off(&mut self) {
        self.put_off += 1;
    }

    /// Whether the end of the move is not to be put off again.
    pub(super) fn is_put_off_enough(&self) -> bool {
        self.put_off >= PUT_OFF_MAX
    }

    /// Cuts the copy where it and the partition part.
    fn cut_to_common(&mut self, moving: &Move, now: Timestamp) -> Result<(), MoveError> {
        while self.log.size() > 0 {
            let latest = self.log.latest_epoch();
            let ask = |leader: &mut Leader<NodeDisk>| {
                (leader.log().epoch_end_offset(latest), leader.log().log_start_offset())
            };
            let (told, start) = moving.partition.with_leader(ask).map_err(MoveError::NotServed)?;
            if told == EpochEnd::UNKNOWN || told.epoch == LeaderEpoch::NONE {
                self.log.truncate_fully_and_start_at(start, now)?;
                return Ok(());
            }
            let own = self.log.epoch_end_offset(told.epoch).end;
            self.log.truncate_to(told.end.min(own).max(Offset::ZERO), now)?;
            if told.epoch >= latest {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Copies the next batches that are committed; says how many bytes, 0 if there are none.
    pub(super) fn take_more(&mut self, moving: &Move, now: Timestamp) -> Result<u64, MoveError> {
        let from = self.log.log_end_offset();
        let read = |leader: &mut Leader<NodeDisk>| {
            let standing = leader.standing();
            if from < standing.log_start {
                return Ok((Err(standing.log_start), leader.epoch()));
            }
            let up_to = standing.high_watermark;
            let range = ReadRange { from, up_to, size_max: CHUNK_SIZE, at_least_one: true };
            Ok::<_, ReadError>((Ok(leader.log_mut().read(range)?), leader.epoch()))
        };
        let (found, epoch) = moving.partition.with_leader(read).map_err(MoveError::NotServed)??;
        let slice = match found {
            // Retention was faster.
            Err(start) => {
                self.log.truncate_fully_and_start_at(start, now)?;
                return Ok(1);
            }
            Ok(None) => return Ok(0),
            Ok(Some(slice)) => slice,
        };
        let bytes = slice.read().map_err(MoveError::SourceIo)?;
        self.append(&bytes, slice.base_offset, epoch, now)?;
        self.tell(moving);
        Ok(slice.size as u64)
    }

    /// Copies all that a leader has, under its lock; `false` if that is too much.
    pub(super) fn take_rest(
        &mut self,
        leader: &mut Leader<NodeDisk>,
        now: Timestamp,
    ) -> Result<bool, MoveError> {
        let (up_to, epoch) = (leader.log().log_end_offset(), leader.epoch());
        let mut left = CHUNK_SIZE;
        while self.log.log_end_offset() < up_to {
            let from = self.log.log_end_offset();
            let range = ReadRange { from, up_to, size_max: left, at_least_one: false };
            let Some(slice) = leader.log_mut().read(range)? else { return Ok(false) };
            let bytes = slice.read().map_err(MoveError::SourceIo)?;
            self.append(&bytes, slice.base_offset, epoch, now)?;
            left = left.saturating_sub(slice.size);
        }
        Ok(true)
    }

    fn append(
        &mut self,
        bytes: &[u8],
        base: Offset,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<(), MoveError> {
        if self.log.size() == 0 && base < self.log.log_end_offset() {
            // The log starts within a batch.
            self.log.truncate_fully_and_start_at(base, now)?;
        }
        self.log.append_as_follower(bytes, epoch, now)?;
        Ok(())
    }

    /// Whether it has just what the partition's log has, of which it is to take the place.
    ///
    /// # Errors
    /// `Differs`.
    pub(super) fn check_range(&self, log: &Log<NodeDisk>) -> Result<(), MoveError> {
        let range = |log: &Log<NodeDisk>| log.log_start_offset()..log.log_end_offset();
        let (copy, partition) = (range(&self.log), range(log));
        if copy == partition { Ok(()) } else { Err(MoveError::Differs { copy, partition }) }
    }

    /// # Errors
    /// The disk that it is on failed, or was full.
    pub(super) fn make_durable(&mut self, target: &LogDir) -> Result<(), MoveError> {
        Ok(make_durable(target.write_ahead(), &mut self.log)?)
    }

    fn tell(&self, moving: &Move) {
        moving.note(Progress { end: self.log.log_end_offset(), size: self.log.size() });
    }
}

/// Whether the directory of the copy says that it is this partition's.
fn says_whose(moving: &Move) -> Result<bool, MoveError> {
    match partition_metadata::read(moving.target.disk(), &moving.path) {
        Ok(found) => Ok(found == Some(moving.partition.topic_id())),
        Err(SideFileError::Malformed { .. }) => Ok(false),
        Err(SideFileError::Io(error)) => Err(MoveError::TargetIo(error)),
    }
}

/// Whether the partition lacks records before `end`: what the copy has of them may have been deleted.
/// Reads the heads of its batches, without its lock.
fn has_gap_before(
    moving: &Move,
    end: Offset,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, MoveError> {
    let mut expected = Offset::ZERO;
    loop {
        if !goes_on() {
            return Err(MoveError::Stopped);
        }
        let next = |leader: &mut Leader<NodeDisk>| {
            let from = leader.log().log_start_offset().max(expected);
            // Whole batches: what reads heads needs no bytes of the records.
            let size_max = usize::MAX;
            let range = ReadRange { from, up_to: end, size_max, at_least_one: true };
            let slice = if from < end { leader.log_mut().read(range)? } else { None };
            Ok::<_, ReadError>((from, slice))
        };
        let (from, slice) = moving.partition.with_leader(next).map_err(MoveError::NotServed)??;
        let Some(slice) = slice else { return Ok(from < end) };
        match slice.end_without_gap(from, HEADS_SIZE).map_err(ReadError::from)? {
            Some(reached) => expected = reached,
            None => return Ok(true),
        }
    }
}

/// Removes all that is in a directory.
fn make_empty(disk: &NodeDisk, dir: &Path) -> Result<(), IoError> {
    let entries = disk.list(dir)?;
    if entries.is_empty() {
        return Ok(());
    }
    for entry in entries {
        let path = dir.join(&entry.name);
        match entry.is_dir {
            true => remove_tree(disk, &path)?,
            false => disk.remove(&path)?,
        }
    }
    disk.sync_dir(dir)
}
