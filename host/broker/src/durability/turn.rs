//! The end of a network thread's turn: when every connection that had something to say has been heard.
//!
//! A task of each network thread. The first append wakes it, so it comes behind the connections that
//! the same look at the sockets has woken, and before the next look: no append waits for longer than the
//! thread takes to serve those.

use std::{
    cell::RefCell,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::task::spawn_local;

use super::WriteAhead;

thread_local! {
    static TURN: RefCell<Turn> = RefCell::default();
}

/// What this thread has to do when its turn is over.
#[derive(Default)]
struct Turn {
    /// The directories that it has appended in.
    ways: Vec<Arc<WriteAhead>>,
    /// None on threads that have no turns.
    task: Option<Waker>,
}

/// This thread has turns from now on, and runs rounds at their end. Called in its runtime.
pub(crate) fn begin_turns() {
    let turns = Turns;
    spawn_local(poll_fn(move |cx| turns.poll(cx)));
}

/// Something was appended: `first` is called if there is to be an end of this turn for it that there was
/// not; `false` if this thread has no turns.
pub(super) fn appended(way: &WriteAhead, first: impl FnOnce()) -> bool {
    TURN.with_borrow_mut(|turn| {
        let Some(task) = &turn.task else { return false };
        if turn.ways.iter().any(|other| std::ptr::eq(Arc::as_ptr(other), way)) {
            return true;
        }
        let Some(way) = way.me.upgrade() else { return false };
        first();
        turn.ways.push(way);
        task.wake_by_ref();
        true
    })
}

/// The turns of a thread, until its runtime ends.
struct Turns;

impl Turns {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let ways = TURN.with_borrow_mut(|turn| {
            if !turn.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                turn.task = Some(cx.waker().clone());
            }
            std::mem::take(&mut turn.ways)
        });
        // Of several directories the syncs go on at the same time.
        let has_time = ways.len() == 1;
        ways.iter().for_each(|way| way.turn_is_over(has_time));
        Poll::Pending
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let ways = TURN.with_borrow_mut(|turn| std::mem::take(turn).ways);
        ways.iter().for_each(|way| way.turn_is_over(false));
    }
}
