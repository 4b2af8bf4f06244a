//! Finds out that a connection has been idle for too long, at one timer event in the whole time.
//!
//! The timer is not moved at each byte; when it fires and bytes have moved since, it is set again to
//! the time that is then due.

use std::{future::Future, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// The idle clock of one connection.
pub(crate) struct Idle {
    max: Duration,
    /// When bytes moved last, but for those of this turn.
    moved: Instant,
    /// Bytes moved in this turn: one look at the clock is enough for all of them.
    moves: bool,
    /// Bytes moved in the turn that has ended.
    has_moved: bool,
    /// None if connections may be idle for ever.
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer knows whom to wake.
    armed: bool,
}

impl Idle {
    /// Starts now.
    pub(crate) fn new(max: Option<Duration>) -> Self {
        let moved = Instant::now();
        let timer = max.map(|max| Box::pin(sleep_until(moved + max)));
        Self {
            max: max.unwrap_or_default(),
            moved,
            moves: false,
            has_moved: false,
            timer,
            armed: false,
        }
    }

    /// Bytes have moved in this turn.
    pub(crate) fn moved(&mut self) {
        self.moves = true;
    }

    /// When bytes moved, if they did in the turn that has ended.
    pub(crate) fn take_moved(&mut self) -> Option<Instant> {
        std::mem::take(&mut self.has_moved).then_some(self.moved)
    }

    /// At the end of a turn: whether the time is over; otherwise the task is woken when it may be. While `owes` an answer
    /// a connection is not idle.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, owes: bool) -> bool {
        if std::mem::take(&mut self.moves) {
            self.moved = Instant::now();
            self.has_moved = true;
        }
        let Some(timer) = &mut self.timer else { return false };
        if self.armed && !timer.is_elapsed() {
            return false;
        }
        self.armed = true;
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if owes {
                self.moved = now;
            }
            let due = self.moved + self.max;
            if due <= now {
                return true;
            }
            timer.as_mut().reset(due);
        }
        false
    }
}
