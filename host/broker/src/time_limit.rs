//! How long requests wait, at the price of one timer for each thread.
//!
//! A timer that is due before all others of its thread has the runtime wake the thread, by system calls,
//! only to go to sleep again for the new time; and if each request has a timer, each is due first. Here
//! one timer stands for all: it is set for the first limit, stays set when that request is answered
//! in time, as almost all are, and is only then set for the next.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::{
    task::spawn_local,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
    static LIMITS_SEEN: Cell<u64> = const { Cell::new(0) };
}

/// Of limits at the same time the earlier comes first.
type Key = (Instant, u64);

/// The limits of a thread.
#[derive(Default)]
struct Clock {
    limits: BTreeMap<Key, Waker>,
    /// When the timer fires; none if it does not.
    due: Option<Instant>,
    /// Sets the timer; none on threads that have no clock.
    task: Option<Waker>,
}

/// This thread has one timer for all limits from now on. Called in its runtime.
pub(crate) fn start_clock() {
    spawn_local(async {
        let _end = Ends;
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| poll_clock(cx, timer.as_mut())).await;
    });
}

/// The end of a thread's clock, with its runtime.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| clock.task = None);
    }
}

/// Waits for `future`, but not beyond `limit`; `None` if it has not ended by then.
pub(crate) async fn within<F: Future>(limit: Instant, future: F) -> Option<F::Output> {
    if CLOCK.with_borrow(|clock| clock.task.is_none()) {
        return timeout_at(limit, future).await.ok();
    }
    let mut future = pin!(future);
    let mut entry = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        match entry.get_or_insert_with(|| Entry::new(limit)).is_over(cx) {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    })
    .await
}

/// A limit of a request that waits, gone when it does not any more.
struct Entry {
    key: Key,
    /// Whom the clock will wake.
    waker: Option<Waker>,
}

impl Entry {
    fn new(limit: Instant) -> Self {
        let key = (limit, LIMITS_SEEN.replace(LIMITS_SEEN.get() + 1));
        Self { key, waker: None }
    }

    /// Whether the time is over; otherwise the clock knows whom to wake.
    fn is_over(&mut self, cx: &Context<'_>) -> bool {
        if Instant::now() >= self.key.0 {
            return true;
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            CLOCK.with_borrow_mut(|clock| clock.insert(self.key, cx.waker().clone()));
        }
        false
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        CLOCK.with_borrow_mut(|clock| clock.limits.remove(&self.key));
    }
}

impl Clock {
    fn insert(&mut self, key: Key, waker: Waker) {
        self.limits.insert(key, waker);
        if let Some(task) = self.task.as_ref().filter(|_| self.due.is_none_or(|due| key.0 < due)) {
            task.wake_by_ref();
        }
    }

    /// Takes off those whose time is over, and says when the timer is to fire.
    fn turn(&mut self, now: Instant) -> (BTreeMap<Key, Waker>, Option<Instant>) {
        let later = self.limits.split_off(&(now, u64::MAX));
        let over = std::mem::replace(&mut self.limits, later);
        let first = self.limits.first_key_value().map(|((limit, _), _)| *limit);
        // One that is set for earlier than it has to be stays so.
        let is_set = |due: &Instant| *due > now && first.is_none_or(|first| *due <= first);
        self.due = self.due.filter(is_set).or(first);
        (over, self.due)
    }
}

fn poll_clock(cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
    loop {
        let (over, due) = CLOCK.with_borrow_mut(|clock| {
            if clock.task.is_none() {
                clock.task = Some(cx.waker().clone());
            }
            clock.turn(Instant::now())
        });
        over.into_values().for_each(Waker::wake);
        let Some(due) = due else { return Poll::Pending };
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
    }
}

#[cfg(test)]
mod tests;
