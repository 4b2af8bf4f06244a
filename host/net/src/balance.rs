//! Which network thread a connection lives on: together as long as one thread can do the work, apart
//! when it cannot.
//!
//! To wake another thread costs more than a small request does. Where a producer lives on one and the consumer that
//! waits for its records on another, each record pays for that. So new connections go to the first thread that
//! has time, threads that have little to do hand theirs over to one before them, and one that has too much hands
//! some over to the idlest. What counts is the share of the time that a thread was busy, waits for a disk included, as its runtime
//! measures it.
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
    limits::{
        JOINED_BELOW, LOOK_INTERVAL, NEWCOMER_SHARE, RELIEVED_ABOVE, RESTING_BELOW, STAY_MIN,
    },
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

/// How long a connection stays where it is.
#[derive(Clone, Copy)]
pub(crate) struct Stay {
    /// It may go from then on.
    until: Instant,
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
    /// For which share of the window before this one each thread was busy, and what has been dealt to it since.
    shares: RefCell<Vec<f64>>,
    /// The number of this window.
    window: Cell<u64>,
    /// How many connections have done something in it.
    active: Cell<usize>,
    course: Cell<Course>,
    /// What the window before this one would have made of it.
    earlier: Cell<Course>,
}

/// Where connections go, and how many of them still.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Course {
    to: usize,
    connections: usize,
}

/// All that take a turn.
const ALL: usize = usize::MAX;

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

/// What the runtime of a thread has counted.
#[derive(Clone, Copy, Debug)]
struct Work {
    busy: Duration,
    rests: bool,
}

impl Work {
    /// The share of the time since `before`, so long ago, that the thread was busy.
    fn share(self, before: Duration, length: Duration) -> f64 {
        if self.busy == before && !self.rests {
            // It is at something that it began before: a sync, perhaps.
            return 1.0;
        }
        (self.busy.saturating_sub(before).as_secs_f64() / length.as_secs_f64()).min(1.0)
    }
}

impl Stay {
    /// Of a connection that has just been accepted, or has come from another thread.
    pub(crate) fn begin(is_new: bool) -> Self {
        let least = if is_new { Duration::ZERO } else { STAY_MIN };
        Self { until: Instant::now() + least, window: 0 }
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
            busy: RefCell::new(neighbours.work().map(|work| work.busy).collect()),
            shares: RefCell::new(vec![0.0; neighbours.count()]),
            neighbours,
            window: Cell::new(1),
            active: Cell::new(0),
            course: Cell::default(),
            earlier: Cell::default(),
        }
    }

    /// The thread's number.
    pub(crate) fn thread(&self) -> usize {
        self.thread
    }

    /// The thread for a connection that is accepted at `now`.
    ///
    /// Those that stay where they are dealt to are dealt to the thread that has been given the least.
    pub(crate) fn deal(&self, now: Instant) -> usize {
        if self.moves == Moves::ByLoad {
            self.look(now);
        }
        let mut shares = self.shares.borrow_mut();
        let thread = match self.moves {
            Moves::ByLoad => first_with_time(&shares),
            Moves::Never | Moves::Always => idlest(&shares),
        };
        shares[thread] += NEWCOMER_SHARE;
        thread
    }

    /// A connection has done something, at `now`. Whether it should go to another thread.
    pub(crate) fn is_due(&self, stay: &mut Stay, now: Instant) -> bool {
        match self.moves {
            Moves::Never => false,
            Moves::Always => true,
            Moves::ByLoad => {
                self.look(now);
                if stay.window != self.window.get() {
                    stay.window = self.window.get();
                    self.active.set(self.active.get() + 1);
                }
                self.course.get().connections > 0 && now >= stay.until
            }
        }
    }

    /// A place for a connection that is due.
    pub(crate) fn place(&self) -> Option<OwnedPermit<Incoming<S>>> {
        if self.moves == Moves::Always {
            return self.place_on((self.thread + 1) % self.neighbours.count());
        }
        let Course { to, connections } = self.course.get();
        let connections = connections.checked_sub(1)?;
        let place = self.place_on(to)?;
        self.course.set(Course { to, connections });
        self.active.set(self.active.get().saturating_sub(1));
        Some(place)
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
        let (mut busy, mut shares) = (self.busy.borrow_mut(), self.shares.borrow_mut());
        for ((before, share), work) in busy.iter_mut().zip(&mut *shares).zip(self.neighbours.work())
        {
            *share = work.share(*before, length);
            *before = work.busy;
        }
        let course = course(self.thread, &shares, self.active.get());
        // Who joins can wait, for it has little to do: once may be chance.
        let is_sure = course.connections < ALL || self.earlier.replace(course) == course;
        self.course.set(if is_sure { course } else { Course::default() });
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
        let busiest = shares.iter().position(|share| shares.iter().all(|other| share >= other));
        if busiest != Some(thread) {
            return Course::default();
        }
        let to = idlest(shares);
        let surplus = (own - shares[to]) / 2.0 / own;
        // Less than a whole one stays: it would be as much too much elsewhere.
        return Course { to, connections: (active as f64 * surplus) as usize };
    }
    if shares.iter().any(|share| *share > RELIEVED_ABOVE) {
        // The room that there is goes to that one.
        return Course::default();
    }
    let is_last = shares[thread + 1..].iter().all(|share| *share < RESTING_BELOW);
    match shares[..thread].iter().position(|share| share + own < JOINED_BELOW) {
        Some(to) if is_last => Course { to, connections: ALL },
        _ => Course::default(),
    }
}

/// The first thread that may be given something to do, if the threads are busy for these shares of the time; the
/// idlest if none may.
fn first_with_time(shares: &[f64]) -> usize {
    let with_time = shares.iter().position(|share| share + NEWCOMER_SHARE < JOINED_BELOW);
    with_time.unwrap_or_else(|| idlest(shares))
}

/// The first of those that are busy for the smallest share of the time.
fn idlest(shares: &[f64]) -> usize {
    (0..shares.len()).min_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or_default()
}

#[cfg(test)]
mod tests;
