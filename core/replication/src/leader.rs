//! A partition as its leader sees it: the log, how far it is committed, and who waits for more.
//!
//! ```text
//!   log start ──▶ … committed … ──▶ last stable offset ──▶ high watermark ──▶ log end
//!                 (read committed)   (an open transaction)  (read uncommitted)  (followers)
//! ```
//!
//! The high watermark is what every in-sync replica has, and has on its disk where the topic is durable.
//! There is one replica so far, the leader: what it has synced is committed; followers will hold it back.
//!
//! Not here: which broker leads (core/controller), locks, and what the file ranges are sent by.

use std::{io::IoSlice, sync::Arc};

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    AbortedTransaction, AppendError, Appended, Log, LogError, Origin, ReadError, ReadRange,
    Results, Slice, Sought, disk::Disk,
};

use crate::{
    commit::Uncommitted,
    wait::{Wait, Waiting},
};

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All that is committed by replication.
    #[default]
    ReadUncommitted,
    /// Everything: for who replays the log that he writes himself.
    LogEnd,
    /// Of that, what no open transaction can take back.
    ReadCommitted,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The first record wanted.
    pub from: Offset,
    /// At most this many bytes.
    pub size_max: usize,
    /// Whether to give the first batch even if it is larger.
    pub at_least_one: bool,
    /// What may be seen.
    pub isolation: Isolation,
}

/// Where the offsets of a partition stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The first offset there is.
    pub log_start: Offset,
    /// The end of what read-committed consumers may see.
    pub last_stable: Offset,
    /// The end of what is committed.
    pub high_watermark: Offset,
    /// The end of the log.
    pub log_end: Offset,
}

/// When this replica counts what was appended as its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CommitRule {
    /// When it is written: it survives the end of the process.
    #[default]
    Written,
    /// When whoever syncs has said so with [`Leader::synced`]: it survives a power cut.
    Synced,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Found<F> {
    /// The records, where they lie; none if there is nothing to see yet.
    pub slice: Option<Slice<F>>,
    /// Whether there are none because the first batch is larger than the limit.
    pub had_no_room: bool,
    /// Transactions that a read-committed consumer must leave out, by first offset.
    pub aborted: Vec<AbortedTransaction>,
    /// Where the offsets stood.
    pub standing: Standing,
}

/// The partition, led here.
pub struct Leader<D: Disk> {
    log: Log<D>,
    epoch: LeaderEpoch,
    high_watermark: Offset,
    rule: CommitRule,
    uncommitted: Uncommitted,
    waiting: Waiting,
}

impl<D: Disk> Leader<D> {
    /// Leads the partition in `epoch` from its log's end on. Up to `synced` the log is known to be
    /// durable.
    ///
    /// # Errors
    /// The log cannot be used.
    pub fn new(
        mut log: Log<D>,
        epoch: LeaderEpoch,
        rule: CommitRule,
        synced: Offset,
    ) -> Result<Self, LogError> {
        if epoch > log.latest_epoch() {
            log.begin_leader_epoch(epoch)?;
        }
        let high_watermark = match rule {
            CommitRule::Written => log.log_end_offset(),
            CommitRule::Synced => synced.min(log.log_end_offset()),
        };
        let (uncommitted, waiting) = (Uncommitted::default(), Waiting::default());
        Ok(Self { log, epoch, high_watermark, rule, uncommitted, waiting })
    }

    /// Leads in a later epoch.
    ///
    /// # Errors
    /// The disk could not take the epoch; the old one goes on.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        if epoch > self.epoch {
            self.log.begin_leader_epoch(epoch)?;
            self.epoch = epoch;
            self.interrupt();
        }
        Ok(())
    }

    /// When an append is committed.
    pub fn commit_rule(&self) -> CommitRule {
        self.rule
    }

    /// Changes when an append is committed. What was not synced under the old rule is still not.
    pub fn set_commit_rule(&mut self, rule: CommitRule) {
        self.rule = rule;
        if rule == CommitRule::Written {
            self.commit(self.log.log_end_offset());
        }
    }

    /// Everyone who waits here must look again.
    pub fn interrupt(&mut self) {
        self.waiting.interrupt();
        self.uncommitted.interrupt();
    }

    /// The epoch in which this replica leads.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The log, to look at.
    pub fn log(&self) -> &Log<D> {
        &self.log
    }

    /// The log, for upkeep and look-ups that open files. Whoever changes where it ends must not.
    pub fn log_mut(&mut self) -> &mut Log<D> {
        &mut self.log
    }

    /// Those who wait for more.
    pub fn waiting(&mut self) -> &mut Waiting {
        &mut self.waiting
    }

    /// Appends batches, and shows `written` the log's end and the bytes. Wakes whom they satisfy, if
    /// they are committed by that.
    ///
    /// # Errors
    /// As [`Log::append_as_leader`].
    pub fn append(
        &mut self,
        batches: &[u8],
        origin: Origin,
        now: Timestamp,
        written: impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Result<Appended, AppendError> {
        let appended = self.log.append_as_leader_and(batches, self.epoch, origin, now, written)?;
        self.appended(appended.size);
        Ok(appended)
    }

    /// Appends what several requests brought, see [`Log::append_each`].
    pub fn append_each<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a [u8]>,
        now: Timestamp,
        written: impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Results {
        let results = self.log.append_each(batches, self.epoch, now, written);
        self.appended(results.iter().flatten().map(|appended| appended.size).sum());
        results
    }

    /// So many bytes are new in the log.
    fn appended(&mut self, size: usize) {
        if size == 0 {
            return;
        }
        let (end, size) = (self.log.log_end_offset(), i64::try_from(size).unwrap_or(i64::MAX));
        match self.rule {
            CommitRule::Written => {
                self.high_watermark = end;
                self.waiting.arrived(size);
            }
            CommitRule::Synced => self.uncommitted.push(end, size),
        }
    }

    /// Everything below `end` is on the disk: with one replica, it is committed.
    pub fn synced(&mut self, end: Offset) {
        self.commit(end.min(self.log.log_end_offset()));
    }

    fn commit(&mut self, end: Offset) {
        if end > self.high_watermark {
            self.high_watermark = end;
            let size = self.uncommitted.commit(end);
            self.waiting.arrived(size);
        }
    }

    /// Whether everything below `end` is committed.
    pub fn is_committed(&self, end: Offset) -> bool {
        end <= self.high_watermark
    }

    /// The end of what is committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Lets `wait` hear when everything below `end` is committed.
    pub fn await_commit(&mut self, end: Offset, wait: &Arc<Wait>) {
        self.uncommitted.park(end, wait);
    }

    /// Where the offsets stand.
    pub fn standing(&mut self) -> Standing {
        Standing {
            log_start: self.log.log_start_offset(),
            last_stable: self.log.last_stable_offset(self.high_watermark),
            high_watermark: self.high_watermark,
            log_end: self.log.log_end_offset(),
        }
    }

    /// Finds records.
    ///
    /// # Errors
    /// As [`Log::read`]; an offset behind the high watermark is out of range too.
    pub fn read(&mut self, read: Read) -> Result<Found<D::File>, ReadError> {
        let standing = self.standing();
        let up_to = match read.isolation {
            Isolation::ReadUncommitted => standing.high_watermark,
            Isolation::LogEnd => standing.log_end,
            Isolation::ReadCommitted => standing.last_stable,
        };
        let range = ReadRange {
            from: read.from,
            up_to,
            size_max: read.size_max,
            at_least_one: read.at_least_one,
        };
        let sought = self.log.seek(range)?;
        let had_no_room = matches!(sought, Sought::NoRoom);
        let slice = sought.slice();
        let aborted = match (read.isolation, &slice) {
            (Isolation::ReadCommitted, Some(slice)) if self.log.has_aborted_from(read.from) => {
                // Of those that lie behind the slice the consumer is told when it gets there.
                let bound = self.log.bound_of(slice)?;
                let mut aborted = self.log.aborted_transactions(read.from, bound)?;
                aborted.sort_by_key(|transaction| transaction.first_offset);
                aborted
            }
            _ => Vec::new(),
        };
        Ok(Found { slice, had_no_room, aborted, standing })
    }

    /// Drops what lies before `offset`, which must not lie behind the high watermark.
    ///
    /// # Errors
    /// `OutOfRange`, or the disk failed.
    pub fn delete_records(&mut self, offset: Offset) -> Result<Offset, ReadError> {
        let (start, end) = (self.log.log_start_offset(), self.high_watermark);
        if offset > end || offset < Offset::ZERO {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        if offset > start {
            self.log.advance_log_start(offset)?;
            self.interrupt();
        }
        Ok(self.log.log_start_offset())
    }

    /// Goes on with a copy of the log that has caught up, and gives back the one that it had. All of
    /// the copy is on the disk, so everything is committed.
    pub fn replace_log(&mut self, log: Log<D>) -> Log<D> {
        assert_eq!(log.log_end_offset(), self.log.log_end_offset(), "the copy has caught up");
        let old = std::mem::replace(&mut self.log, log);
        self.commit(self.log.log_end_offset());
        old
    }

    /// Gives the log back, when this replica leads no longer. Whoever waits looks again.
    pub fn into_log(mut self) -> Log<D> {
        self.interrupt();
        self.log
    }
}

impl<D: Disk> std::fmt::Debug for Leader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leader")
            .field("dir", &self.log.dir())
            .field("epoch", &self.epoch)
            .field("high_watermark", &self.high_watermark)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
