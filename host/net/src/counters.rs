//! What each network thread has done so far, for metrics to read from elsewhere.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one network thread. Only that thread writes them, so an addition is a plain load
/// and store; anyone may read. Aligned to two cache lines, which is what processors fetch at once,
/// so that no two threads write to the same line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ThreadCounters {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    connections_came: AtomicU64,
    connections_left: AtomicU64,
    connections_expired: AtomicU64,
    frames_refused: AtomicU64,
    cold_reads: AtomicU64,
}

/// The counters of one thread at one moment. They are read one after the other, so a request may
/// already be counted whose bytes are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes received, length prefixes included.
    pub bytes_in: u64,
    /// Bytes sent, length prefixes included.
    pub bytes_out: u64,
    /// Frames given to the handler.
    pub requests: u64,
    /// Connections that were accepted and dealt to the thread.
    pub connections_opened: u64,
    /// Connections closed, for whatever reason.
    pub connections_closed: u64,
    /// Connections taken over from other threads.
    pub connections_came: u64,
    /// Connections handed over to other threads.
    pub connections_left: u64,
    /// Connections closed because they were idle.
    pub connections_expired: u64,
    /// Frames whose length was negative or above the maximum.
    pub frames_refused: u64,
    /// Ranges of files that were not in memory when they were to be sent.
    pub cold_reads: u64,
}

impl Counters {
    /// Connections open at that moment.
    pub fn connections(&self) -> u64 {
        let gone = self.connections_closed + self.connections_left;
        (self.connections_opened + self.connections_came).saturating_sub(gone)
    }
}

impl ThreadCounters {
    /// Reads all counters.
    pub fn read(&self) -> Counters {
        // Those that are gone before those that came, so that the difference is never negative by the
        // order of reading.
        let connections_closed = self.connections_closed.load(Relaxed);
        let connections_left = self.connections_left.load(Relaxed);
        Counters {
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            requests: self.requests.load(Relaxed),
            connections_opened: self.connections_opened.load(Relaxed),
            connections_closed,
            connections_came: self.connections_came.load(Relaxed),
            connections_left,
            connections_expired: self.connections_expired.load(Relaxed),
            frames_refused: self.frames_refused.load(Relaxed),
            cold_reads: self.cold_reads.load(Relaxed),
        }
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.bytes_in, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.bytes_out, bytes as u64);
    }

    pub(crate) fn handled(&self, requests: u64) {
        add(&self.requests, requests);
    }

    pub(crate) fn opened(&self) {
        add(&self.connections_opened, 1);
    }

    pub(crate) fn closed(&self) {
        add(&self.connections_closed, 1);
    }

    pub(crate) fn came(&self) {
        add(&self.connections_came, 1);
    }

    pub(crate) fn left(&self) {
        add(&self.connections_left, 1);
    }

    pub(crate) fn expired(&self) {
        add(&self.connections_expired, 1);
    }

    pub(crate) fn read_cold(&self, ranges: u64) {
        if ranges > 0 {
            add(&self.cold_reads, ranges);
        }
    }

    pub(crate) fn refused_frame(&self) {
        add(&self.frames_refused, 1);
    }
}

/// Adds without a locked instruction; right because each counter has one writer.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}
