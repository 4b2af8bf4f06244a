//! What makes appended records durable: the write-ahead log of each log directory, and the flushes
//! that let its frames go.
//!
//! ```text
//!  append (network threads, under the partition's lock)
//!     │ segment: written, not synced
//!     └─▶ pending frame ──writer: append, one sync──▶ high watermarks move, requests are answered
//!              │
//!              └─ dirty partitions ──upkeep: flush──▶ recovery points ──▶ frames released
//! ```
//!
//! A round takes all that came while the last one was at its sync, so the more there is the cheaper
//! each is; nothing waits for a timer. Network threads run rounds, or a thread for each directory, the
//! writer, does it for them (`rounds`). What a frame cannot take, for it is
//! large or there is no room, is made durable by syncing its segments, and noted in the file. Another thread keeps some of the
//! file prepared, so that a sync has nothing to write but the frame.
//!
//! Topics with `dohle.durability=os` pass by: their appends are committed when written, and only marked
//! dirty here.
//! Not here: the bytes of the file (core/log), and who waits for what (core/replication).

mod flush;
mod kept;
mod room;
mod rounds;
#[cfg(test)]
mod stepwise;
mod turn;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    fmt::Display,
    io::IoSlice,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use dohle_base::{Offset, PartitionId, TopicId};
use dohle_log::{
    IoError,
    wal::{Frame, Handover, Wal},
};
use dohle_os::Volume;
use dohle_replication::CommitRule;
use tracing::{error, info, warn};

use self::{
    kept::Kept,
    rounds::{Pace, Rounds},
};
use crate::{
    disk::{NodeFile, NodeVolume},
    log_dirs::Alarm,
    partition::Partition,
    upkeep::Upkeep,
};
pub(crate) use flush::{close_all, flush, make_durable, sync_all};
pub(crate) use turn::begin_turns;
pub(crate) use writer::{WriterThread, sync_segments};

/// How many bytes may be unflushed in a directory before its recovery points are moved. Source: so
/// much is read in about a tenth of a second by a start after a crash.
const UNFLUSHED_MAX: u64 = 128 << 20;

/// The way of appends to the disk, for one log directory.
#[derive(Debug)]
pub(crate) struct WriteAhead {
    me: Weak<Self>,
    pending: Mutex<Pending>,
    /// Wakes the writer.
    arrived: Condvar,
    /// For who runs a round; none before the writer has started and after it has stopped.
    rounds: Mutex<Option<Rounds>>,
    pace: Pace,
    upkeep: Upkeep,
    alarm: Alarm,
    /// To sync all that is there.
    volume: NodeVolume,
    /// Held by who flushes: two flushes of a partition at once would get into each other's files.
    flushing: Mutex<()>,
    /// The disk has failed: nothing is acknowledged any more.
    has_failed: AtomicBool,
    /// Whether nothing is to be appended yet.
    refuses_appends: AtomicBool,
    /// There was no room for the last flush.
    is_stuck: AtomicBool,
    /// The partitions that need frames which no flush makes superfluous.
    kept: Kept,
    /// Whose the logs are for the next process.
    handover: Handover<NodeFile>,
}

/// What waits for the next round and for the next flush.
#[derive(Debug, Default)]
struct Pending {
    work: Work,
    /// Partitions with something that is not flushed.
    dirty: Vec<Arc<Partition>>,
    unflushed: u64,
    /// How much of what flushes left undone is in the dirty ones besides.
    given_up: u64,
    /// The position behind the last synced frame.
    synced: u64,
    is_writer_asleep: bool,
    /// Somebody runs a round.
    is_running: bool,
    /// How many network threads will look for work at the end of their turns.
    turns: u32,
    /// The writer is to end once all is durable.
    stop: bool,
    /// There will be no more rounds.
    is_over: bool,
}

/// What a flush is about.
struct Unflushed {
    dirty: Vec<Arc<Partition>>,
    /// How much was appended to them.
    bytes: u64,
    /// Up to where frames are not needed once it is done.
    position: u64,
}

/// What a round is about.
#[derive(Debug, Default)]
struct Work {
    frame: Frame,
    /// Whose batches are in the frame, and where their logs ended.
    touched: Vec<(Arc<Partition>, Offset)>,
    /// Partitions whose segments are to be synced instead. What the frame has of them comes before what it
    /// has not.
    unframed: Vec<Arc<Partition>>,
    /// Unless this is so: then they are to be synced before the frame is written.
    is_behind_hole: bool,
    /// Up to which position frames are no longer needed.
    released: Option<u64>,
}

impl Pending {
    fn has_work(&self) -> bool {
        self.work.has_appends() || self.work.released.is_some() || self.stop
    }
}

impl WriteAhead {
    /// A way to a writer that is yet to be started, and will write to `wal`.
    pub(crate) fn new(
        upkeep: Upkeep,
        alarm: Alarm,
        volume: NodeVolume,
        wal: &Wal<NodeFile>,
        handover: Handover<NodeFile>,
    ) -> Arc<Self> {
        let pending = Pending { synced: wal.end(), ..Pending::default() };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            pending: Mutex::new(pending),
            arrived: Condvar::new(),
            rounds: Mutex::new(None),
            pace: Pace::default(),
            flushing: Mutex::new(()),
            upkeep,
            alarm,
            volume,
            has_failed: AtomicBool::new(false),
            refuses_appends: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            kept: Kept::new(wal.cache_trust()),
            handover,
        })
    }

    /// The room on the directory's volume.
    pub(crate) fn room(&self) -> Result<Volume, IoError> {
        self.volume.room()
    }

    /// The way to the thread that flushes the directory.
    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// Batches of a partition lie in its segment, its log ends at `end`. Called under the partition's
    /// lock, so that what is written later comes later here.
    pub(crate) fn written(
        &self,
        partition: &Arc<Partition>,
        rule: CommitRule,
        end: Offset,
        batches: &[IoSlice<'_>],
    ) {
        let mut pending = self.pending();
        let size = batches.iter().map(|slice| slice.len() as u64).sum::<u64>();
        if partition.mark_dirty() {
            pending.dirty.push(Arc::clone(partition));
        }
        let before = pending.unflushed;
        pending.unflushed += size;
        if before == 0 {
            self.upkeep.changed();
        } else if before < UNFLUSHED_MAX && pending.unflushed >= UNFLUSHED_MAX {
            self.upkeep.urgent();
        }
        if rule == CommitRule::Synced {
            pending.work.appended(partition, end, batches);
            if !turn::appended(self, || pending.turns += 1) {
                self.wake_writer(pending);
            }
        }
    }

    /// Something in a partition may not be durable although it did not pass here: a start after a
    /// crash found it, or the topic was not durable before. The next flush comes at once.
    pub(crate) fn unflushed(&self, partition: &Arc<Partition>) {
        let mut pending = self.pending();
        if partition.mark_dirty() {
            pending.dirty.push(Arc::clone(partition));
        }
        drop(pending);
        self.upkeep.urgent();
    }

    /// Lets no frame go: some are needed by a partition that cannot take them in.
    pub(crate) fn keep_frames(&self, partition: (TopicId, PartitionId), name: &dyn Display) {
        self.kept.add(partition, name);
    }

    /// A partition needs no frame any more: it is gone, lies elsewhere, or its segments are synced. If it
    /// was the last one, they go with the next flush, which comes at once.
    pub(crate) fn let_frames_go(&self, partition: (TopicId, PartitionId)) {
        match self.kept.remove(partition) {
            Ok(true) => self.upkeep.urgent(),
            Ok(false) => {}
            Err(error) => warn!("the next start reads all of the disk again: {error}"),
        }
    }

    /// Whether frames are kept for a partition that cannot take them in.
    pub(crate) fn keeps_frames(&self) -> bool {
        !self.kept.is_empty()
    }

    /// A frame found no room. A flush makes some, but not while frames are kept: then it would only be
    /// asked for again by the next round.
    fn has_no_room(&self) {
        if !self.keeps_frames() {
            self.upkeep.urgent();
        } else if let Some(partitions) = self.kept.untold() {
            warn!(
                "the write-ahead log has no room: its frames are kept for {partitions}; until those are \
                 served or deleted each append syncs its segments"
            );
        }
    }

    /// Nothing is acknowledged any more; the partitions will be taken out of service.
    pub(crate) fn fail(&self, error: &IoError) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            error!("the log directory has failed, its partitions are offline: {error}");
            // Before the alarm, which may end the process: the next one would find in the cache what
            // is not on the disk.
            if let Err(error) = self.kept.withdraw_trust() {
                error!("start the machine anew before this directory is used again: {error}");
            }
            self.alarm.ring();
        }
    }

    /// All logs are open, and hold what the frames have: the next process may believe what is cached of
    /// them. But not of a log that could not take its frames in, until it needs them no more.
    pub(crate) fn trust_cache(&self) -> Result<(), IoError> {
        self.kept.logs_are_open()
    }

    /// Only this process writes to the logs from now on. Does nothing if it is known already.
    pub(crate) fn take_over(&self) -> Result<(), IoError> {
        self.handover.take()
    }

    /// All logs are closed and need no frame: another process may write to them.
    pub(crate) fn leave(&self) -> Result<(), IoError> {
        let end = self.pending().synced;
        self.handover.leave(end)
    }

    /// A partition lies in another directory now: what is to be done for it is done there. Under the
    /// partition's lock, and while nobody flushes.
    pub(crate) fn forget(&self, partition: &Arc<Partition>) {
        let mut pending = self.pending();
        pending.dirty.retain(|other| !Arc::ptr_eq(other, partition));
        pending.work.unframed.retain(|other| !Arc::ptr_eq(other, partition));
        partition.clear_dirty();
        drop(pending);
        self.let_frames_go(partition.key());
    }

    /// Whether what is appended now could be taken for another process's, and damage in it for its loss.
    pub(crate) fn refuses_appends(&self) -> bool {
        self.refuses_appends.load(Ordering::Acquire)
    }

    /// That is so from now on, or not any more.
    pub(crate) fn refuse_appends(&self, refuses: bool) {
        if self.refuses_appends.swap(refuses, Ordering::AcqRel) != refuses {
            match refuses {
                true => {
                    warn!("nothing is appended before there is room to note whose the logs are")
                }
                false => info!("the logs take appends again"),
            }
        }
    }

    /// Whether the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Waits until nobody else flushes.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if nobody flushes at this moment.
    pub(crate) fn try_alone(&self) -> Option<MutexGuard<'_, ()>> {
        match self.flushing.try_lock() {
            Ok(alone) => Some(alone),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn begin_flush(&self) -> Unflushed {
        let mut pending = self.pending();
        let bytes = std::mem::take(&mut pending.given_up) + std::mem::take(&mut pending.unflushed);
        Unflushed { dirty: std::mem::take(&mut pending.dirty), bytes, position: pending.synced }
    }

    /// A flush could not be carried out: the next one, in a while, is to make up for it.
    fn give_up_flush(&self, partitions: Vec<Arc<Partition>>, bytes: u64) {
        let mut pending = self.pending();
        pending.given_up += bytes;
        pending.dirty.extend(partitions.into_iter().filter(|partition| partition.mark_dirty()));
        drop(pending);
        self.upkeep.try_again();
    }

    /// Lets frames before `position` go.
    fn release(&self, position: u64) {
        if self.keeps_frames() {
            return;
        }
        let mut pending = self.pending();
        pending.work.released = pending.work.released.max(Some(position));
        self.wake_writer(pending);
    }

    /// Wakes the writer, unless a round is under way: who runs it looks again.
    fn wake_writer(&self, mut pending: MutexGuard<'_, Pending>) {
        if !pending.is_running && std::mem::take(&mut pending.is_writer_asleep) {
            drop(pending);
            self.arrived.notify_one();
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // A panic under the lock left it as it was before or after a whole step.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// Whether it makes anything durable that was appended.
    fn has_appends(&self) -> bool {
        !self.touched.is_empty() || !self.unframed.is_empty()
    }

    fn appended(&mut self, partition: &Arc<Partition>, end: Offset, batches: &[IoSlice<'_>]) {
        let key = (partition.topic_id(), partition.index());
        if !partition.is_unframed() && self.frame.push(key, batches) {
            self.touch(partition, end);
        } else {
            partition.leave_unframed(end);
            if !self.unframed.last().is_some_and(|last| Arc::ptr_eq(last, partition)) {
                self.unframed.push(Arc::clone(partition));
            }
        }
    }

    fn touch(&mut self, partition: &Arc<Partition>, end: Offset) {
        match self.touched.last_mut() {
            Some((last, last_end)) if Arc::ptr_eq(last, partition) => *last_end = end,
            _ => self.touched.push((Arc::clone(partition), end)),
        }
    }
}
