//! The thread that reads partitions of `__consumer_offsets`, one after the other, so that the groups of all
//! others go on meanwhile.
//!
//! Not here: what becomes of requests until a partition is loaded (the coordinator thread).

use std::{
    io,
    sync::{Arc, mpsc as jobs},
    thread::JoinHandle,
};

use dohle_group::GroupMachine;
use dohle_machine::Runtime;
use tokio::sync::mpsc;

use super::load::{LoadError, load};
use crate::{fatal::Fatal, partition::Partition};

/// Tells one loading of a partition from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoadId(pub(super) u64);

/// A partition to read.
pub(super) struct Job {
    pub(super) id: LoadId,
    pub(super) partition: Arc<Partition>,
}

/// What was read of it.
pub(super) struct Outcome {
    pub(super) id: LoadId,
    pub(super) partition: Arc<Partition>,
    pub(super) machine: Result<Runtime<GroupMachine>, LoadError>,
}

/// The coordinator thread's ends. The loader ends soon after they are dropped, whatever it is at.
pub(super) struct Loader {
    pub(super) jobs: jobs::Sender<Job>,
    pub(super) outcomes: mpsc::UnboundedReceiver<Outcome>,
}

impl Loader {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub(super) fn start(fatal: &Fatal) -> io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = jobs::channel();
        let (done, outcomes) = mpsc::unbounded_channel();
        let thread = fatal.start_thread("group-loader", move || run(&queue, &done))?;
        Ok((Self { jobs, outcomes }, thread))
    }
}

fn run(queue: &jobs::Receiver<Job>, done: &mpsc::UnboundedSender<Outcome>) {
    for Job { id, partition } in queue {
        let machine = load(&partition, || !done.is_closed());
        if done.send(Outcome { id, partition, machine }).is_err() {
            return;
        }
    }
}
