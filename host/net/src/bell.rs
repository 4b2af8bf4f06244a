//! Wakes the connections of a network thread from other threads.
//!
//! Waking a thread that waits for its sockets costs a system call. What one event wakes, such as a
//! sync that commits the writes of many connections, is woken together: each thread's bell is
//! rung once, behind the last of its connections.
//!
//! ```text
//!   wake_together ─┬─ wake ─▶ woken: task, task, …
//!                  └─ ring, once for each thread ─▶ its runtime ─▶ bell's task ─▶ the tasks
//! ```

use std::{
    cell::RefCell,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
};

thread_local! {
    /// The bells that are to be rung, while this thread wakes together.
    static TO_RING: RefCell<Option<Vec<Arc<Bell>>>> = const { RefCell::new(None) };
}

/// Lets `act` wake connections of this server, and wakes each other thread among theirs once, at the
/// end. Calls may be nested; the outermost rings.
pub fn wake_together<R>(act: impl FnOnce() -> R) -> R {
    let is_outermost = TO_RING.with_borrow_mut(|bells| {
        let is_outermost = bells.is_none();
        bells.get_or_insert_default();
        is_outermost
    });
    // Also rung if `act` panics.
    let _ring = is_outermost.then(|| RingAll);
    act()
}

struct RingAll;

impl Drop for RingAll {
    fn drop(&mut self) {
        let bells = TO_RING.with_borrow_mut(Option::take);
        bells.into_iter().flatten().for_each(|bell| bell.ring());
    }
}

/// The bell of one network thread.
#[derive(Debug)]
pub(crate) struct Bell {
    owner: ThreadId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Connections' tasks that other threads have woken.
    woken: Vec<Waker>,
    /// The task that wakes them; none before it has started.
    task: Option<Waker>,
}

impl Bell {
    /// That of the current thread.
    pub(crate) fn here() -> Arc<Self> {
        Arc::new(Self { owner: thread::current().id(), state: Mutex::default() })
    }

    /// Wakes those for which the bell was rung. For a task of the thread that never ends.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.task = Some(cx.waker().clone());
        let woken = mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Wakes `task`, which is one of this thread's.
    fn wake(self: &Arc<Self>, task: &Waker) {
        if thread::current().id() == self.owner {
            return task.wake_by_ref();
        }
        let mut state = self.state();
        let is_first = state.woken.is_empty();
        state.woken.push(task.clone());
        drop(state);
        if is_first {
            let is_later = TO_RING.with_borrow_mut(|bells| {
                bells.as_mut().map(|bells| bells.push(Arc::clone(self))).is_some()
            });
            if !is_later {
                self.ring();
            }
        }
    }

    fn ring(&self) {
        let task = self.state().task.clone();
        task.inspect(Waker::wake_by_ref);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves both as they are.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What replies wake the connection with that waits for them, from whatever thread. It is the task
/// `task` of the bell's thread.
pub(crate) fn connection_waker(bell: &Arc<Bell>, task: &Waker) -> Waker {
    Arc::new(ConnectionWaker { bell: Arc::clone(bell), task: task.clone() }).into()
}

struct ConnectionWaker {
    bell: Arc<Bell>,
    task: Waker,
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.bell.wake(&self.task);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.wake(&self.task);
    }
}

#[cfg(test)]
mod tests;
