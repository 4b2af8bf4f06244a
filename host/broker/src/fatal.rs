//! Why the node cannot go on: its metadata directory, or the last of its log directories, has failed, or
//! one of its threads has panicked.
//!
//! Whoever finds out tells; whoever runs the node hears it and ends the process, as Kafka does.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::Notify;
use tracing::error;

/// Tells and hears that the node cannot go on. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Fatal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    reason: OnceLock<String>,
    told: Notify,
    has_panicked: AtomicBool,
}

impl Fatal {
    /// The node cannot go on. Only the first reason counts.
    pub fn tell(&self, reason: impl Into<String>) {
        let reason = reason.into();
        error!("the node cannot go on: {reason}");
        if self.shared.reason.set(reason).is_ok() {
            self.shared.told.notify_one();
        }
    }

    /// Waits until the node cannot go on; says why.
    pub async fn heard(&self) -> &str {
        loop {
            if let Some(reason) = self.shared.reason.get() {
                return reason;
            }
            self.shared.told.notified().await;
        }
    }

    /// Starts a thread without which the node cannot go on: nobody else would do what it does. If it
    /// panics, that is told before it ends.
    ///
    /// # Errors
    /// The system has none to give.
    pub(crate) fn start_thread(
        &self,
        name: impl Into<String>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (fatal, name) = (self.clone(), name.into());
        let thread = thread::Builder::new().name(name.clone());
        thread.spawn(move || {
            // What it has left half-done nobody sees for long: the node ends.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                fatal.panicked(&format!("the thread {name}"), &*panic);
                resume_unwind(panic);
            }
        })
    }

    /// What the node cannot go on without has panicked, and nobody else does what it was at.
    pub(crate) fn panicked(&self, who: &str, panic: &(dyn Any + Send)) {
        self.shared.has_panicked.store(true, Ordering::Release);
        self.tell(format!("{who} has panicked: {}", message(panic)));
    }

    /// Whether something has of what the node cannot go on without. What it was at may be half-done: only a start that trusts
    /// nothing finds out.
    pub fn has_panicked(&self) -> bool {
        self.shared.has_panicked.load(Ordering::Acquire)
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref().copied()).unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard(fatal: &Fatal) -> Option<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let heard = async { tokio::time::timeout(Duration::ZERO, fatal.heard()).await };
        runtime.block_on(heard).ok().map(str::to_owned)
    }

    #[test]
    fn a_thread_that_panics_ends_the_node_and_is_named() {
        let fatal = Fatal::default();
        fatal.start_thread("moves", || ()).unwrap().join().unwrap();
        assert_eq!((heard(&fatal), fatal.has_panicked()), (None, false));
        let offset = 50;
        let thread = fatal.start_thread("moves", move || panic!("not {offset}")).unwrap();
        assert!(thread.join().is_err());
        let reason = "the thread moves has panicked: not 50".to_owned();
        assert_eq!((heard(&fatal), fatal.has_panicked()), (Some(reason), true));
    }

    #[test]
    fn only_the_first_reason_counts() {
        let fatal = Fatal::default();
        fatal.tell("first");
        assert!(fatal.start_thread("upkeep", || panic!("second")).unwrap().join().is_err());
        assert_eq!(heard(&fatal).as_deref(), Some("first"));
        assert!(fatal.has_panicked());
    }
}
