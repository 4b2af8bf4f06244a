//! What the broker counts and what it can tell of itself, as a page for Prometheus.
//!
//! A file for each subject: the rows of its metrics, where they are counted if nothing else counts
//! them, and how they are read when somebody asks. A metric is added to the file of its subject: its
//! row, and the line that reads it.
//!
//! A network thread counts in a [`Tally`] of its own, so a request costs additions that no other
//! core waits for. Everything else is read where it lies.

mod cluster;
mod logs;
mod network;
mod requests;

use std::sync::{Arc, Mutex, PoisonError};

use dohle_metrics::{Histogram, Metric, Page};
use dohle_net::ThreadCounters;

use crate::Broker;
pub(crate) use requests::Tally;

/// What is counted for nobody but metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    /// One for each network thread.
    tallies: Mutex<Vec<Arc<Tally>>>,
    /// How long syncs of logs took.
    pub(crate) flushes: Histogram,
}

impl Metrics {
    /// The tally of one more network thread, by its number.
    pub(crate) fn tally(&self, thread: usize) -> Arc<Tally> {
        let tally = Arc::new(Tally::new(thread));
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tally));
        tally
    }

    fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Broker {
    /// All metrics as of now, with those of the network.
    pub fn metrics_page(&self, network: &[Arc<ThreadCounters>]) -> String {
        let mut page = Page::default();
        let tallies = self.metrics.tallies();
        requests::write(&mut page, &tallies);
        network::write(&mut page, network, &tallies);
        logs::write(&mut page, self);
        cluster::write(&mut page, self);
        page.into_text()
    }
}

/// All metrics, by subject.
pub fn table() -> [(&'static str, &'static [Metric]); 4] {
    [
        ("Requests and records", requests::ROWS),
        ("Connections", network::ROWS),
        ("Partitions and their logs", logs::ROWS),
        ("The cluster and this node", cluster::ROWS),
    ]
}

#[cfg(test)]
mod tests;
