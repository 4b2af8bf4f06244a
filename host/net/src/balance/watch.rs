//! When connections go to another thread, and where new ones begin: from how busy the threads were, which it is told.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{
    JOINED_BELOW, LOOK_INTERVAL, NEWCOMER_SHARE, RELIEVED_ABOVE, RESTING_BELOW, STAY_MIN,
};

/// What the runtime of a thread has counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// For how long it has been busy since it started, up to where it rested last.
    pub(crate) busy: Duration,
    pub(crate) rests: bool,
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
pub(crate) struct Watch {
    thread: usize,
    /// When it looked last: the start of this window.
    looked: Instant,
    /// For how long each thread had been busy then, ever.
    busy: Vec<Duration>,
    /// For which share of the window before this one each thread was busy, and what has been dealt to it since.
    shares: Vec<f64>,
    /// The number of this window.
    window: u64,
    /// How many connections have done something in it.
    active: usize,
    course: Course,
    /// What the window before this one would have made of it.
    earlier: Course,
}

/// Where connections go, and how many of them still.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Course {
    to: usize,
    connections: usize,
}

/// All that take a turn.
const ALL: usize = usize::MAX;

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
    pub(crate) fn begin(is_new: bool, now: Instant) -> Self {
        let least = if is_new { Duration::ZERO } else { STAY_MIN };
        Self { until: now + least, window: 0 }
    }
}

impl Watch {
    /// That of `thread`, from `now` on.
    pub(crate) fn begin(thread: usize, works: impl Iterator<Item = Work>, now: Instant) -> Self {
        let busy: Vec<_> = works.map(|work| work.busy).collect();
        Self {
            thread,
            looked: now,
            shares: vec![0.0; busy.len()],
            busy,
            window: 1,
            active: 0,
            course: Course::default(),
            earlier: Course::default(),
        }
    }

    /// Ends a window that has been long enough.
    pub(crate) fn look(&mut self, now: Instant, works: impl Iterator<Item = Work>) {
        let length = now.duration_since(self.looked);
        if length < LOOK_INTERVAL {
            return;
        }
        for ((before, share), work) in self.busy.iter_mut().zip(&mut self.shares).zip(works) {
            *share = work.share(*before, length);
            *before = work.busy;
        }
        let course = course(self.thread, &self.shares, self.active);
        // Who joins can wait, for it has little to do: once may be chance.
        let earlier = std::mem::replace(&mut self.earlier, course);
        let is_sure = course.connections < ALL || earlier == course;
        self.course = if is_sure { course } else { Course::default() };
        self.looked = now;
        self.window += 1;
        self.active = 0;
    }

    /// The thread for a new connection: the first that has time, or the idlest.
    pub(crate) fn deal(&mut self) -> usize {
        let has_time = |share: &f64| share + NEWCOMER_SHARE < JOINED_BELOW;
        let first = self.shares.iter().position(has_time);
        let thread = first.unwrap_or_else(|| idlest(&self.shares));
        self.shares[thread] += NEWCOMER_SHARE;
        thread
    }

    /// A connection has done something, at `now`. Whether it should go to another thread.
    pub(crate) fn is_due(&mut self, stay: &mut Stay, now: Instant) -> bool {
        if stay.window != self.window {
            stay.window = self.window;
            self.active += 1;
        }
        self.course.connections > 0 && now >= stay.until
    }

    /// Where a connection that is due goes.
    pub(crate) fn way(&self) -> Option<usize> {
        (self.course.connections > 0).then_some(self.course.to)
    }

    /// A connection that was due has gone.
    pub(crate) fn gone(&mut self) {
        self.course.connections = self.course.connections.saturating_sub(1);
        self.active = self.active.saturating_sub(1);
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

/// The first of those that are busy for the smallest share of the time.
fn idlest(shares: &[f64]) -> usize {
    (0..shares.len()).min_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or_default()
}

#[cfg(test)]
mod tests;
