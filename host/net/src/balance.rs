//! Which network thread a connection lives on: together as long as one thread can do the work, apart
//! when it cannot.
//!
//! To wake another thread costs more than a small request does. Where a producer lives on one and the consumer that
//! waits for its records on another, each record pays for that. So threads that have little to do
//! hand their connections over to one before them, and one that has too much hands some over to the
//! idlest. What counts is the share of the time that a thread was busy, waits for a disk included, as its runtime
//! measures it.
//!
//! ```text
//!  1.0 ┬
//!      │ some go to the idlest thread, if that is less than half as busy
//!  RELIEVED_ABOVE
//!      │ all stay
//!  JOINED_BELOW
//!      │ all go to a thread before it, if both together are not busier than this
//!  0.0 ┴
//! ```
//!
//! Nobody watches: a thread looks at itself and at the others when one of its connections has done
//! something, so without traffic no thread wakes up.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    runtime::RuntimeMetrics,
    sync::mpsc::{self, OwnedPermit},
    time::Instant,
};

use crate::{
    Moves,
    limits::{JOINED_BELOW, LOOK_INTERVAL, RELIEVED_ABOVE, STAY_MIN},
    thread::Incoming,
};

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

/// How long a connection has been where it is.
#[derive(Clone, Copy)]
pub(crate) struct Stay {
    since: Instant,
    /// The last window of the thread in which it did something.
    window: u64,
}

/// What one thread knows of how busy all of them are.
pub(crate) struct Balance<S> {
    thread: usize,
    moves: Moves,
    neighbours: Arc<Neighbours<S>>,
    /// When it looked last: the start of this window.
    looked: Cell<Instant>,
    /// For how long each thread had been busy then, ever.
    busy: RefCell<Vec<Duration>>,
    /// The number of this window.
    window: Cell<u64>,
    /// How many connections have done something in it.
    active: Cell<usize>,
    course: Cell<Course>,
}

/// Where connections go, and how many of them still.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Course {
    to: usize,
    connections: usize,
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

    /// For how long each thread has been busy since it started.
    fn busy(&self) -> impl Iterator<Item = Duration> {
        self.threads.iter().map(|thread| {
            thread.runtime.get().map_or(Duration::ZERO, |it| it.worker_total_busy_duration(0))
        })
    }
}

impl Stay {
    /// Of a connection that has just come.
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), window: 0 }
    }
}

impl<S> Balance<S> {
    /// That of the current thread, inside its runtime.
    pub(crate) fn here(thread: usize, moves: Moves, neighbours: Arc<Neighbours<S>>) -> Self {
        let metrics = tokio::runtime::Handle::current().metrics();
        // It is made once for each thread.
        let _ = neighbours.threads[thread].runtime.set(metrics);
        let is_alone = neighbours.count() == 1;
        Self {
            thread,
            moves: if is_alone { Moves::Never } else { moves },
            looked: Cell::new(Instant::now()),
            busy: RefCell::new(neighbours.busy().collect()),
            neighbours,
            window: Cell::new(1),
            active: Cell::new(0),
            course: Cell::default(),
        }
    }

    /// The thread's number.
    pub(crate) fn thread(&self) -> usize {
        self.thread
    }

    /// A connection has done something, at `now`. The place on another thread that it should go to.
    pub(crate) fn place(&self, stay: &mut Stay, now: Instant) -> Option<OwnedPermit<Incoming<S>>> {
        match self.moves {
            Moves::Never => None,
            Moves::Always => self.place_on((self.thread + 1) % self.neighbours.count()),
            Moves::ByLoad => {
                self.look(now);
                if stay.window != self.window.get() {
                    stay.window = self.window.get();
                    self.active.set(self.active.get() + 1);
                }
                let Course { to, connections } = self.course.get();
                if connections == 0 || now.duration_since(stay.since) < STAY_MIN {
                    return None;
                }
                self.course.set(Course { to, connections: connections - 1 });
                self.place_on(to)
            }
        }
    }

    /// None if that thread is behind, or stops.
    fn place_on(&self, thread: usize) -> Option<OwnedPermit<Incoming<S>>> {
        self.neighbours.inbox(thread).clone().try_reserve_owned().ok()
    }

    /// Ends a window that has been long enough.
    fn look(&self, now: Instant) {
        let length = now.duration_since(self.looked.get());
        if length < LOOK_INTERVAL {
            return;
        }
        let mut busy = self.busy.borrow_mut();
        let mut shares = Vec::with_capacity(busy.len());
        for (before, now) in busy.iter_mut().zip(self.neighbours.busy()) {
            shares.push(now.saturating_sub(*before).as_secs_f64() / length.as_secs_f64());
            *before = now;
        }
        self.course.set(course(self.thread, &shares, self.active.get()));
        self.looked.set(now);
        self.window.set(self.window.get() + 1);
        self.active.set(0);
    }
}

/// Where the connections of `thread` should go, of which so many are `active`, if the threads were
/// busy for these shares of the time.
fn course(thread: usize, shares: &[f64], active: usize) -> Course {
    let own = shares[thread];
    if own > RELIEVED_ABOVE {
        let by_share = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1);
        let idlest = shares.iter().enumerate().min_by(by_share);
        return match idlest {
            // A single one would only be as much of a load elsewhere.
            Some((to, share)) if *share < own / 2.0 && active > 1 => {
                let surplus = (own - share) / 2.0 / own;
                Course { to, connections: ((active as f64 * surplus) as usize).max(1) }
            }
            _ => Course::default(),
        };
    }
    match shares[..thread].iter().position(|share| share + own < JOINED_BELOW) {
        Some(to) => Course { to, connections: usize::MAX },
        None => Course::default(),
    }
}

#[cfg(test)]
mod tests;
