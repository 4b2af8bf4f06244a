//! Keeps the files of logs within what the process may have open.
//!
//! A log opens a file when it needs it and keeps it: with few partitions nothing is ever closed here.
//! With more than there are handles, logs that have some stand in a ring, and who opens one too many
//! goes round it and closes what others have not needed since the last round. Whose files are closed
//! opens them again when somebody asks.
//!
//! ```text
//!   with_leader ──has files open──▶ ring ──room is needed──▶ used since the last round? ──yes──▶ once more
//!                                    ▲                          │ no
//!                                    └──opens a file again──────┴─▶ closed
//! ```
//!
//! Closed are first those that rest and are flushed, then those that are flushed, then any: what was
//! written to a file that is closed unflushed becomes durable with its volume (`durability`), whose
//! handle stays open and hears of what could not be written back.
//!
//! Not here: sockets, for which the limit leaves room, and files that are open for one call only.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::partition::Partition;

/// How many logs are closed at once: the next ones who open files find room.
const CLOSED_AT_ONCE: usize = 32;

/// How many logs are looked at for each kind before one of a worse kind is closed. Source: so many
/// are looked at in the time in which a few files are opened.
const LOOKED_AT_MAX: usize = 512;

/// Handles for everything that is not counted: standard streams, listeners, directories, epoll.
const RESERVED: usize = 64;

/// So many more for each core. Source: counted, a network thread has four (epoll, eventfd, a listener);
/// and a thread for each core that goes through directories has one at a time.
const RESERVED_PER_CORE: usize = 8;

/// But not more than one in so many of those that connections leave: logs have to get on with few, too.
const RESERVED_SHARE: usize = 4;

/// Files that are open for less than this are none too many, however few the process may have: each
/// thread needs some at once.
const LIMIT_MIN: usize = 32;

/// Which logs may be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Not used since the last round, and flushed.
    Resting,
    Flushed,
    Any,
}

/// What became of a log whose files might be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It keeps its files.
    Kept,
    /// They were closed, so many, and it is in the ring no more.
    Closed { files: usize },
    /// It had none, and is in the ring no more.
    HadNone,
}

/// The logs with open files, and how many of those there may be.
#[derive(Debug)]
pub struct OpenFiles {
    limit: usize,
    count: fn() -> usize,
    ring: Mutex<VecDeque<Weak<Partition>>>,
    /// How many files `LOGS` logs have, by those that were closed last: one has up to five.
    files_of_logs: AtomicUsize,
}

/// So many logs, to tell parts of a file.
const LOGS: usize = 16;

impl OpenFiles {
    /// For a process that may have so many handles, and so many connections, on so many cores.
    pub fn within(handles: usize, connections_max: usize, cores: usize) -> Self {
        let left = handles.saturating_sub(connections_max);
        let wanted = cores.saturating_mul(RESERVED_PER_CORE).saturating_add(RESERVED);
        let reserved = wanted.min(RESERVED.max(left / RESERVED_SHARE));
        Self::new(left.saturating_sub(reserved).max(LIMIT_MIN), dohle_os::open_files)
    }

    /// For a process that has too many open at any time: each log is closed once nobody is at it.
    #[cfg(test)]
    pub(crate) fn none_to_spare() -> Self {
        Self::new(0, || 1)
    }

    fn new(limit: usize, count: fn() -> usize) -> Self {
        Self { limit, count, ring: Mutex::default(), files_of_logs: AtomicUsize::new(LOGS) }
    }

    /// Whether there are too many.
    pub(crate) fn are_too_many(&self) -> bool {
        (self.count)() > self.limit
    }

    /// Whether so many are held by answers on their way that logs cannot do with the rest.
    pub(crate) fn are_held_by_others(&self) -> bool {
        (self.count)() > self.limit / 4 * 3 && self.held_by_logs() < self.limit / 2
    }

    /// How many files logs have, roughly.
    fn held_by_logs(&self) -> usize {
        self.ring().len().saturating_mul(self.files_of_logs.load(Ordering::Relaxed)) / LOGS
    }

    fn note_closed(&self, logs: usize, files: usize) {
        if let Some(now) = (files * LOGS).checked_div(logs) {
            let before = self.files_of_logs.load(Ordering::Relaxed);
            self.files_of_logs.store((3 * before + now) / 4, Ordering::Relaxed);
        }
    }

    /// A log has files open that had none. Its partition is not locked.
    pub(crate) fn enter(&self, partition: Weak<Partition>) {
        let mut ring = self.ring();
        if ring.len() == ring.capacity() {
            // Before it grows: partitions that were deleted need no place.
            ring.retain(|partition| partition.strong_count() > 0);
            // Then as many may come as there are before it is looked through again.
            let count = ring.len();
            ring.reserve(count);
        }
        ring.push_back(partition);
    }

    /// Closes files of some logs. No partition is locked by who calls; those that others have locked are
    /// passed over.
    pub(crate) fn make_room(&self) {
        let mut ring = self.ring();
        let (logs, files) = Self::close_some(&mut ring);
        self.note_closed(logs, files);
    }

    /// Says of how many logs it closed how many files.
    fn close_some(ring: &mut VecDeque<Weak<Partition>>) -> (usize, usize) {
        let (mut logs, mut files) = (0, 0);
        for choice in [Choice::Resting, Choice::Flushed, Choice::Any] {
            for _ in 0..ring.len().min(LOOKED_AT_MAX) {
                if logs == CLOSED_AT_ONCE {
                    return (logs, files);
                }
                let Some(next) = ring.pop_front() else { return (logs, files) };
                let Some(partition) = next.upgrade() else { continue };
                match partition.close_files(choice) {
                    Fate::Kept => ring.push_back(next),
                    Fate::Closed { files: closed } => {
                        logs += 1;
                        files += closed;
                    }
                    Fate::HadNone => {}
                }
            }
        }
        (logs, files)
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Weak<Partition>>> {
        // A panic under the lock leaves a partition out, whose files then stay open.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
