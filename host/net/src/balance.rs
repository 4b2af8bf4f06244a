//! Which network thread a connection lives on: together as long as one thread can do the work, apart
//! when it cannot.
//!
//! To wake another thread costs more than a small request does. Where a producer lives on one and the consumer that
//! waits for its records on another, each record pays for that. So new connections go to the first thread that
//! has time, threads that have little to do hand theirs over to one before them, and one that has too much hands
//! some over to the idlest. What counts is the share of the time that a thread was busy, waits for a disk
//! included, as its runtime measures it.
//!
//! ```text
//!  1.0 ┬
//!      │ of the busiest thread some go to the idlest, as many as make both alike
//!  RELIEVED_ABOVE
//!      │ all stay
//!  JOINED_BELOW
//!      │ of the last thread that has any to do all go to one before it, if both together stay below this
//!  0.0 ┴
//! ```
//!
//! Nobody knows yet what a new connection will do. It counts as a small load until the next look, so that of many
//! that come at once each thread gets a few.
//!
//! All threads see about the same, so one acts at a time: if all that may join did, the one that they join had too much.
//!
//! Nobody watches: a thread looks at itself and at the others when one of its connections has done
//! something, so without traffic no thread wakes up.

mod watch;

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    runtime::RuntimeMetrics,
    sync::mpsc::{self, OwnedPermit},
    time::Instant,
};

pub(crate) use self::watch::Stay;
use self::watch::{Watch, Work};
use crate::{Moves, thread::Incoming};

/// The network threads of a server, as they know each other.
pub(crate) struct Neighbours<S> {
    threads: Vec<Neighbour<S>>,
}

struct Neighbour<S> {
    /// Takes over connections.
    inbox: mpsc::Sender<Incoming<S>>,
    /// Knows how long it was busy; none before it has started.
    runtime: OnceLock<RuntimeMetrics>,
}

/// What one thread needs to know of all of them, and who takes its connections.
pub(crate) struct Balance<S> {
    thread: usize,
    moves: Moves,
    neighbours: Arc<Neighbours<S>>,
    watch: RefCell<Watch>,
}

impl<S> Neighbours<S> {
    pub(crate) fn new(inboxes: Vec<mpsc::Sender<Incoming<S>>>) -> Self {
        let neighbour = |inbox| Neighbour { inbox, runtime: OnceLock::new() };
        Self { threads: inboxes.into_iter().map(neighbour).collect() }
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    pub(crate) fn inbox(&self, thread: usize) -> &mpsc::Sender<Incoming<S>> {
        &self.threads[thread].inbox
    }

    /// For how long each thread has been busy since it started, up to where it rested last, and whether it rests.
    fn work(&self) -> impl Iterator<Item = Work> {
        self.threads.iter().map(|thread| match thread.runtime.get() {
            Some(runtime) => Work {
                busy: runtime.worker_total_busy_duration(0),
                rests: runtime.worker_park_unpark_count(0) % 2 == 1,
            },
            None => Work { busy: Duration::ZERO, rests: true },
        })
    }
}

impl<S> Balance<S> {
    /// That of the current thread, inside its runtime.
    pub(crate) fn here(thread: usize, moves: Moves, neighbours: Arc<Neighbours<S>>) -> Self {
        let metrics = tokio::runtime::Handle::current().metrics();
        // It is made once for each thread.
        let _ = neighbours.threads[thread].runtime.set(metrics);
        let is_alone = neighbours.count() == 1;
        let watch = Watch::begin(thread, neighbours.work(), Instant::now());
        Self {
            thread,
            moves: if is_alone { Moves::Never } else { moves },
            neighbours,
            watch: RefCell::new(watch),
        }
    }

    /// The thread's number.
    pub(crate) fn thread(&self) -> usize {
        self.thread
    }

    /// The thread for a connection that is accepted now, the `number`th from 0.
    pub(crate) fn deal(&self, number: u64) -> usize {
        match self.moves {
            Moves::Never | Moves::Always => (number % self.neighbours.count() as u64) as usize,
            Moves::ByLoad => {
                let mut watch = self.watch.borrow_mut();
                watch.look(Instant::now(), self.neighbours.work());
                watch.deal()
            }
        }
    }

    /// A connection has done something, at `now`. Whether it should go to another thread.
    pub(crate) fn is_due(&self, stay: &mut Stay, now: Instant) -> bool {
        match self.moves {
            Moves::Never => false,
            Moves::Always => true,
            Moves::ByLoad => {
                let mut watch = self.watch.borrow_mut();
                watch.look(now, self.neighbours.work());
                watch.is_due(stay, now)
            }
        }
    }

    /// A place for a connection that is due.
    pub(crate) fn place(&self) -> Option<OwnedPermit<Incoming<S>>> {
        if self.moves == Moves::Always {
            return self.place_on((self.thread + 1) % self.neighbours.count());
        }
        let mut watch = self.watch.borrow_mut();
        let place = self.place_on(watch.way()?)?;
        watch.gone();
        Some(place)
    }

    /// None if that thread is behind, or stops.
    fn place_on(&self, thread: usize) -> Option<OwnedPermit<Incoming<S>>> {
        self.neighbours.inbox(thread).clone().try_reserve_owned().ok()
    }
}
