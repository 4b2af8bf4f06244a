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
//! large or there is no room, is made durable by syncing its segments. Another thread keeps some of the
//! file prepared, so that a sync has nothing to write but the frame.
//!
//! Topics with `dohle.durability=os` pass by: their appends are committed when written, and only marked
//! dirty here.
//! Not here: the bytes of the file (core/log), and who waits for what (core/replication).

mod flush;
mod room;
mod rounds;
mod turn;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    io::IoSlice,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use dohle_base::Offset;
use dohle_log::{IoError, wal::Frame};
use dohle_os::VolumeSync;
use dohle_replication::CommitRule;
use tracing::error;

use self::rounds::{Pace, Rounds};
use crate::{log_dirs::Alarm, partition::Partition, upkeep::Upkeep};
pub(crate) use flush::{close_all, flush, sync_all};
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
    volume: VolumeSync,
    /// Held by who flushes: two flushes of a partition at once would get into each other's files.
    flushing: Mutex<()>,
    /// The disk has failed: nothing is acknowledged any more.
    has_failed: AtomicBool,
    /// Frames are needed that no flush makes superfluous: their partition could not be opened.
    keeps_frames: AtomicBool,
}

/// What waits for the next round and for the next flush.
#[derive(Debug, Default)]
struct Pending {
    work: Work,
    /// Partitions with something that is not flushed.
    dirty: Vec<Arc<Partition>>,
    unflushed: u64,
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
    /// Partitions whose segments are to be synced instead.
    unframed: Vec<Arc<Partition>>,
    /// Up to which position frames are no longer needed.
    released: Option<u64>,
}

impl Pending {
    fn has_work(&self) -> bool {
        self.work.has_appends() || self.work.released.is_some() || self.stop
    }
}

impl WriteAhead {
    /// A way to a writer that is yet to be started, whose file ends at `synced`.
    pub(crate) fn new(upkeep: Upkeep, alarm: Alarm, volume: VolumeSync, synced: u64) -> Arc<Self> {
        let pending = Pending { synced, ..Pending::default() };
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
            keeps_frames: AtomicBool::new(false),
        })
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

    /// Lets no frame go any more: one is needed by a partition that cannot take it in.
    pub(crate) fn keep_frames(&self) {
        self.keeps_frames.store(true, Ordering::Release);
    }

    /// Whether frames are kept for a partition that could not be opened.
    pub(crate) fn keeps_frames(&self) -> bool {
        self.keeps_frames.load(Ordering::Acquire)
    }

    /// Nothing is acknowledged any more; the partitions will be taken out of service.
    pub(crate) fn fail(&self, error: &IoError) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            error!("the log directory has failed, its partitions are offline: {error}");
            self.alarm.ring();
        }
    }

    /// A partition lies in another directory now: what is to be done for it is done there. Under the
    /// partition's lock, and while nobody flushes.
    pub(crate) fn forget(&self, partition: &Arc<Partition>) {
        let mut pending = self.pending();
        pending.dirty.retain(|other| !Arc::ptr_eq(other, partition));
        pending.work.unframed.retain(|other| !Arc::ptr_eq(other, partition));
        partition.clear_dirty();
    }

    /// Whether the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Waits until nobody else flushes.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.flushing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_flush(&self) -> Unflushed {
        let mut pending = self.pending();
        Unflushed {
            dirty: std::mem::take(&mut pending.dirty),
            bytes: std::mem::take(&mut pending.unflushed),
            position: pending.synced,
        }
    }

    /// A flush could not be carried out: the next one is to make up for it.
    fn give_up_flush(&self, partitions: Vec<Arc<Partition>>) {
        let mut pending = self.pending();
        pending.dirty.extend(partitions.into_iter().filter(|partition| partition.mark_dirty()));
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
        if self.frame.push((partition.topic_id(), partition.index()), batches) {
            self.touch(partition, end);
        } else {
            self.unframed.push(Arc::clone(partition));
        }
    }

    fn touch(&mut self, partition: &Arc<Partition>, end: Offset) {
        match self.touched.last_mut() {
            Some((last, last_end)) if Arc::ptr_eq(last, partition) => *last_end = end,
            _ => self.touched.push((Arc::clone(partition), end)),
        }
    }
}
