//! The thread that writes a directory's write-ahead log.

use std::{
    io,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
};

use dohle_base::Offset;
use dohle_log::{
    IoError, LogError,
    wal::{Frame, Preparer, Wal},
};
use dohle_os::OsFile;
use tracing::warn;

use super::{Pending, WriteAhead, room::Room};
use crate::partition::Partition;

/// How much memory is kept for the frames of the next rounds.
const FRAME_KEPT_MAX: usize = 1 << 20;

/// The writer of one directory.
#[derive(Debug)]
pub(crate) struct WriterThread {
    way: Arc<WriteAhead>,
    thread: JoinHandle<Wal<OsFile>>,
}

impl WriterThread {
    /// Starts it, and what prepares its file.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(
        way: Arc<WriteAhead>,
        wal: Wal<OsFile>,
        preparer: Preparer<OsFile>,
    ) -> io::Result<Self> {
        let room = Room::start(Arc::clone(&way), preparer)?;
        let writer = Writer { way: Arc::clone(&way), wal, room, taken: Pending::default() };
        let thread = std::thread::Builder::new().name("wal".to_owned());
        Ok(Self { way, thread: thread.spawn(move || writer.run())? })
    }

    /// Ends it once all that reached it is durable. Gives the file back, if the thread has not
    /// panicked.
    pub(crate) fn stop(self) -> Option<Wal<OsFile>> {
        let mut pending = self.way.pending();
        pending.stop = true;
        self.way.wake_writer(pending);
        self.thread.join().ok().filter(|_| !self.way.has_failed())
    }
}

struct Writer {
    way: Arc<WriteAhead>,
    wal: Wal<OsFile>,
    room: Room,
    /// What this round is about. Its memory goes back and forth with what is pending.
    taken: Pending,
}

impl Writer {
    fn run(mut self) -> Wal<OsFile> {
        while self.take() {
            if let Err(error) = self.round() {
                self.fail(&error);
                break;
            }
            self.room.left(self.wal.room());
        }
        self.room.stop();
        self.wal
    }

    /// Waits for work and takes it; `false` if there will be none.
    fn take(&mut self) -> bool {
        let way = Arc::clone(&self.way);
        let mut pending = way.pending();
        while !pending.has_work() {
            pending.is_writer_asleep = true;
            pending = way.arrived.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.is_writer_asleep = false;
        std::mem::swap(&mut pending.frame, &mut self.taken.frame);
        std::mem::swap(&mut pending.touched, &mut self.taken.touched);
        std::mem::swap(&mut pending.unframed, &mut self.taken.unframed);
        self.taken.released = pending.released.take();
        let is_last = self.taken.touched.is_empty() && self.taken.unframed.is_empty();
        !(pending.stop && is_last)
    }

    /// Makes durable what was taken, and commits it.
    fn round(&mut self) -> Result<(), IoError> {
        if let Some(position) = self.taken.released {
            self.wal.release(position)?;
        }
        let is_framed = self.taken.touched.is_empty() || self.append()?;
        if !self.taken.touched.is_empty() && is_framed || self.taken.released.is_some() {
            self.wal.sync()?;
            self.way.pending().synced = self.wal.end();
        }
        for (partition, end) in self.taken.touched.drain(..) {
            match is_framed {
                true => partition.synced(end),
                false => sync_segments(&self.way, &partition)?,
            }
        }
        for partition in self.taken.unframed.drain(..) {
            sync_segments(&self.way, &partition)?;
        }
        self.taken.frame.clear(FRAME_KEPT_MAX);
        Ok(())
    }

    /// Writes the frame; `false` if there is no room for it, on the volume or in the file.
    fn append(&mut self) -> Result<bool, IoError> {
        let frame: &mut Frame = &mut self.taken.frame;
        let is_written = match self.wal.append(frame) {
            Err(error) if error.is_full() => {
                warn!("write-ahead log: {error}; segments are synced instead");
                false
            }
            written => written?,
        };
        if !is_written {
            self.way.upkeep.urgent();
        }
        Ok(is_written)
    }

    /// Nothing of the directory is acknowledged any more; whoever waits is told.
    fn fail(&mut self, error: &IoError) {
        self.way.fail(error);
        let mut pending = self.way.pending();
        let touched = std::mem::take(&mut pending.touched);
        let mut partitions = std::mem::take(&mut pending.unframed);
        partitions.extend(pending.dirty.iter().cloned());
        drop(pending);
        let touched = touched.into_iter().chain(self.taken.touched.drain(..));
        partitions.extend(touched.map(|(partition, _)| partition));
        partitions.append(&mut self.taken.unframed);
        partitions.iter().for_each(|partition| partition.take_offline());
    }
}

/// Syncs a partition's own files instead of a frame.
pub(crate) fn sync_segments(way: &WriteAhead, partition: &Arc<Partition>) -> Result<(), IoError> {
    let _alone = way.alone();
    if !partition.goes(way) {
        // It has moved, with all that it had.
        return Ok(());
    }
    let plan = partition.with_leader(|leader| {
        let plan = leader.log_mut().begin_flush();
        (leader.log().log_end_offset(), plan)
    });
    let end: Offset = match plan {
        Ok((_, Ok(Some(plan)))) => {
            let done = match plan.run() {
                Err(error) if error.is_full() => {
                    warn!(%partition, "not synced, and not acknowledged before it is: {error}");
                    let _ = partition.with_leader(|leader| leader.log_mut().give_up_flush());
                    return Ok(());
                }
                done => done?,
            };
            let _ = partition.with_leader(|leader| leader.log_mut().finish_flush(done));
            done.end()
        }
        Ok((end, Ok(None))) => end,
        // Taken offline, or closed by a failed write: nobody waits for it any more.
        Ok((_, Err(LogError::Io(error)))) => return Err(error),
        Ok((_, Err(_))) | Err(_) => return Ok(()),
    };
    partition.synced(end);
    Ok(())
}
