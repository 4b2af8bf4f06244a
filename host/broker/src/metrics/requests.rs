//! What was asked and answered, and the records that came and went.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use dohle_metrics::{Page, metrics};
use dohle_protocol::ApiKey;

metrics! {
    /// Requests that were understood, by API.
    REQUESTS: counter "kafka_network_requestmetrics_requests_total", Requests, by ["request"];

    /// Error codes in answers, by API; an answer may carry many.
    ERRORS: counter "kafka_network_requestmetrics_errors_total", Count, by ["request"];

    /// Bytes of batches that producers appended.
    BYTES_IN: counter "kafka_server_brokertopicmetrics_bytesin_total", Bytes;

    /// Records that producers appended.
    RECORDS_IN: counter "kafka_server_brokertopicmetrics_messagesin_total", Records;

    /// Bytes of batches in answers to fetches.
    BYTES_OUT: counter "kafka_server_brokertopicmetrics_bytesout_total", Bytes;
}

/// More than the greatest key of an API.
const KEYS: usize = 128;

/// What one network thread has answered. Only that thread writes, anyone may read.
#[derive(Debug)]
pub(crate) struct Tally {
    requests: [AtomicU64; KEYS],
    errors: [AtomicU64; KEYS],
    bytes_in: AtomicU64,
    records_in: AtomicU64,
    bytes_out: AtomicU64,
    cold_reads: AtomicU64,
    /// The number of that thread.
    pub(super) thread: usize,
}

impl Tally {
    /// That of a network thread by its number.
    pub(crate) fn new(thread: usize) -> Self {
        let zeroes = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            thread,
            requests: zeroes(),
            errors: zeroes(),
            bytes_in: AtomicU64::default(),
            records_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            cold_reads: AtomicU64::default(),
        }
    }

    /// A request was understood.
    pub(crate) fn asked(&self, key: ApiKey) {
        add(of(&self.requests, key), 1);
    }

    /// An answer carries so many error codes, and so many bytes of batches.
    pub(crate) fn answered(&self, key: ApiKey, errors: usize, bytes_out: u64) {
        if errors > 0 {
            add(of(&self.errors, key), errors as u64);
        }
        if bytes_out > 0 {
            add(&self.bytes_out, bytes_out);
        }
    }

    /// A producer's batch was appended.
    pub(crate) fn appended(&self, bytes: usize, records: i64) {
        add(&self.bytes_in, bytes as u64);
        add(&self.records_in, records.unsigned_abs());
    }

    /// A range of records is not in memory, and is copied for an answer.
    pub(crate) fn copies_cold(&self) {
        add(&self.cold_reads, 1);
    }

    /// How many those were.
    pub(super) fn cold_reads(&self) -> u64 {
        self.cold_reads.load(Relaxed)
    }
}

fn of(counters: &[AtomicU64; KEYS], key: ApiKey) -> &AtomicU64 {
    // An API of Kafka's that has a greater key would need a longer array; the tests look.
    &counters[key.key().unsigned_abs() as usize % KEYS]
}

/// Adds without a locked instruction; right because each counter has one writer.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

pub(super) fn write(page: &mut Page, tallies: &[Arc<Tally>]) {
    let sum = |of: &dyn Fn(&Tally) -> u64| tallies.iter().map(|tally| of(tally)).sum::<u64>();
    let served = || crate::api::REGISTRY.iter().map(|api| api.key);
    for key in served() {
        let asked = sum(&|tally| of(&tally.requests, key).load(Relaxed));
        page.value(&REQUESTS, &[key.name()], asked as f64);
    }
    for key in served() {
        let errors = sum(&|tally| of(&tally.errors, key).load(Relaxed));
        page.value(&ERRORS, &[key.name()], errors as f64);
    }
    page.value(&BYTES_IN, &[], sum(&|tally| tally.bytes_in.load(Relaxed)) as f64);
    page.value(&RECORDS_IN, &[], sum(&|tally| tally.records_in.load(Relaxed)) as f64);
    page.value(&BYTES_OUT, &[], sum(&|tally| tally.bytes_out.load(Relaxed)) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_a_counter_of_its_own() {
        for key in ApiKey::ALL {
            assert!((0..KEYS).contains(&(key.key() as usize)), "{}", key.name());
        }
    }
}
