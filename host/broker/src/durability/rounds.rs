//! A round: all that is pending becomes durable with one sync, and is committed.
//!
//! ```text
//!              ┌── turn of a network thread is over ──┐
//!   pending ───┤                                      ├──▶ one round at a time ──▶ committed
//!              └── writer's thread ───────────────────┘
//! ```
//!
//! To hand a round to another thread and to be told of its end costs two wake-ups, together half as much
//! as the sync of a quick disk. So a network thread runs it itself, once it has served all connections
//! that had something to say (`turn`): they share the round, and most of the thread's connections
//! wait for it anyway. Whoever else has come meanwhile waits for one sync, therefore only where
//! that is short: while rounds take less than [`QUICK`] on average and nobody flushes. Otherwise, and
//! for whatever can take long, it is the writer's. So is a round of many, for while that is under way the
//! thread has enough to do.
//!
//! Nothing is forgotten: what is pending has a round that is under way, whose runner looks again at its
//! end, or a turn that is not over, or a writer that is awake.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use dohle_log::{
    IoError,
    wal::{Frame, Wal},
};
use dohle_net::wake_together;
use tracing::warn;

use super::{
    Pending, Work, WriteAhead,
    room::Room,
    writer::{commit_segments, sync_unframed},
};
use crate::disk::NodeFile;

/// How long other connections of a thread may be held up by a round. Source: as long as by the turn of
/// a connection that has much to read, and ten wake-ups of another thread.
const QUICK: Duration = Duration::from_micros(500);

/// A longer round counts as one of this length: a single one is soon forgotten.
const SLOWEST: Duration = Duration::from_millis(4);

/// Of how many partitions a network thread makes durable itself what came. Source: to serve so many
/// requests takes as long as the sync of a quick disk; measured with 4, 16 and 64 clients, 2, 8 and 24 are
/// equally good, and all of them better than no limit.
const FEW: usize = 8;

/// How much memory is kept for the frames of the next rounds.
const FRAME_KEPT_MAX: usize = 1 << 20;

/// Whose round it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// A network thread: it must not wait for more than a sync of the file.
    Network,
    Writer,
}

/// What a round needs, for one at a time.
#[derive(Debug)]
pub(super) struct Rounds {
    wal: Wal<NodeFile>,
    room: Room,
    /// What the round is about. Its memory goes back and forth with what is pending.
    taken: Work,
    /// What was synced instead of a frame.
    notes: Frame,
}

/// How long rounds take lately, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU32);

impl Pace {
    pub(super) fn took(&self, time: Duration) {
        let average = self.0.load(Ordering::Relaxed);
        let time = time.min(SLOWEST).as_micros() as u32;
        // Only who runs a round writes it.
        self.0.store(average - average / 8 + time / 8, Ordering::Relaxed);
    }

    pub(super) fn is_quick(&self) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) < QUICK.as_micros()
    }
}

impl WriteAhead {
    /// The turn of a network thread that has appended is over, and it has time for a round or not.
    pub(super) fn turn_is_over(&self, has_time: bool) {
        let mut pending = self.pending();
        pending.turns -= 1;
        if pending.is_running || pending.is_over || !pending.has_work() {
            return;
        }
        if has_time && self.is_for_network(&pending) {
            self.run_round(pending, Runner::Network);
        } else {
            self.wake_writer(pending);
        }
    }

    /// Whether the next round is that of a network thread that will look for it.
    pub(super) fn awaits_turn(&self, pending: &Pending) -> bool {
        pending.turns > 0 && self.is_for_network(pending)
    }

    fn is_for_network(&self, pending: &Pending) -> bool {
        let is_flushing = matches!(self.flushing.try_lock(), Err(TryLockError::WouldBlock));
        let is_small = pending.work.touched.len() <= FEW && pending.work.unframed.is_empty();
        is_small && self.pace.is_quick() && !is_flushing && !pending.stop
    }

    /// Runs a round, for which nobody else may be at it.
    pub(super) fn run_round(&self, mut pending: MutexGuard<'_, Pending>, runner: Runner) {
        pending.is_running = true;
        drop(pending);
        // Of a network thread only the task would end, and nobody would hear of it.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.round(runner))) {
            self.alarm.fatal().panicked("a round of the write-ahead log", &*panic);
            self.end_rounds();
            resume_unwind(panic);
        }
    }

    /// What it was at is half-done: there is no other round, and no writer that waits for one.
    fn end_rounds(&self) {
        let mut pending = self.pending();
        pending.is_running = false;
        pending.is_over = true;
        self.wake_writer(pending);
    }

    fn round(&self, runner: Runner) {
        let mut rounds = self.rounds();
        let rounds = rounds.as_mut().expect("the writer has started, and not ended");
        std::mem::swap(&mut self.pending().work, &mut rounds.taken);
        if let Err(error) = rounds.run(self, runner) {
            return rounds.fail(self, &error);
        }
        let mut pending = self.pending();
        pending.synced = rounds.wal.end();
        pending.is_running = false;
        if pending.has_work() && !self.awaits_turn(&pending) {
            self.wake_writer(pending);
        }
    }

    pub(super) fn rounds(&self) -> MutexGuard<'_, Option<Rounds>> {
        // A panic under the lock ends all rounds.
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rounds {
    pub(super) fn new(wal: Wal<NodeFile>, room: Room) -> Self {
        Self { wal, room, taken: Work::default(), notes: Frame::default() }
    }

    /// Ends what prepares the file.
    pub(super) fn end(self) {
        self.room.stop();
    }

    /// Makes durable what was taken, and commits it. Leaves no work behind, but its memory.
    fn run(&mut self, way: &WriteAhead, runner: Runner) -> Result<(), IoError> {
        let began = Instant::now();
        let released = match self.taken.released.take() {
            // After a failure they are all that is left.
            Some(position) if !way.has_failed() => self.release(position)?,
            _ => false,
        };
        if std::mem::take(&mut self.taken.is_behind_hole) {
            self.sync_unframed(way)?;
        }
        let is_framed = self.taken.touched.is_empty() || self.append(way)?;
        if !self.taken.touched.is_empty() && is_framed || released {
            self.wal.sync()?;
            way.pace.took(began.elapsed());
        }
        if is_framed {
            let touched = self.taken.touched.drain(..);
            wake_together(|| touched.for_each(|(partition, end)| partition.frames_synced(end)));
        } else {
            self.leave_unframed();
        }
        self.taken.frame.clear(FRAME_KEPT_MAX);
        self.room.left(self.wal.room());
        match runner {
            Runner::Writer => self.sync_unframed(way),
            Runner::Network => {
                let work = &mut way.pending().work;
                // What is in the frame came before its partition was known to have a hole, or has none.
                work.is_behind_hole = !self.taken.unframed.is_empty();
                work.unframed.append(&mut self.taken.unframed);
                Ok(())
            }
        }
    }

    /// Syncs the segments of what no frame takes, and commits it.
    fn sync_unframed(&mut self, way: &WriteAhead) -> Result<(), IoError> {
        if self.taken.unframed.is_empty() {
            return Ok(());
        }
        let _alone = way.alone();
        let mut committed = Vec::new();
        for partition in self.taken.unframed.drain(..) {
            if let Some(synced) = sync_unframed(way, &partition)? {
                self.notes.push_synced(partition.key(), synced);
                committed.push((partition, synced.end));
            }
        }
        self.note()?;
        committed.iter().for_each(|(partition, end)| commit_segments(partition, *end));
        Ok(())
    }

    /// Notes in the file what was synced, before anybody is told: no recovery point says so before the next
    /// flush, and what is wrong there after a crash would be taken for what was never synced, and cut off.
    /// Where there is no room for a page it is not noted.
    fn note(&mut self) -> Result<(), IoError> {
        match self.wal.append(&mut self.notes) {
            Err(error) if error.is_full() => {}
            Ok(false) => {}
            Ok(true) => self.wal.sync()?,
            Err(error) => return Err(error),
        }
        self.notes.clear(FRAME_KEPT_MAX);
        Ok(())
    }

    /// Lets frames go; `false` if the volume has no room to write that down. The next flush tries again.
    fn release(&mut self, position: u64) -> Result<bool, IoError> {
        match self.wal.release(position) {
            Err(error) if error.is_full() => {
                warn!("write-ahead log: {error}; its frames stay");
                Ok(false)
            }
            released => released.map(|()| true),
        }
    }

    /// Writes the frame; `false` if there is no room for it, on the volume or in the file.
    fn append(&mut self, way: &WriteAhead) -> Result<bool, IoError> {
        let frame: &mut Frame = &mut self.taken.frame;
        let is_written = match self.wal.append(frame) {
            Err(error) if error.is_full() => {
                warn!("write-ahead log: {error}; segments are synced instead");
                false
            }
            written => written?,
        };
        if !is_written {
            way.has_no_room();
        }
        Ok(is_written)
    }

    /// What was to be in the frame is not: segments are to be synced. What came until a partition knows it
    /// is in the next frame.
    fn leave_unframed(&mut self) {
        for (partition, end) in self.taken.touched.drain(..) {
            let _ = partition.with_leader(|_| partition.leave_unframed(end));
            self.taken.unframed.push(partition);
        }
    }

    /// Nothing of the directory is acknowledged any more; whoever waits is told. But not at a partition that
    /// has moved since it came: all that it had is on the other disk.
    pub(super) fn fail(&mut self, way: &WriteAhead, error: &IoError) {
        way.fail(error);
        let mut pending = way.pending();
        pending.is_running = false;
        pending.is_over = true;
        let Work { touched, unframed: mut partitions, .. } = std::mem::take(&mut pending.work);
        partitions.extend(pending.dirty.iter().cloned());
        way.wake_writer(pending);
        let touched = touched.into_iter().chain(self.taken.touched.drain(..));
        partitions.extend(touched.map(|(partition, _)| partition));
        partitions.append(&mut self.taken.unframed);
        for partition in &partitions {
            partition.take_offline_from(way);
        }
    }
}
