//! Requests that wait, and how an append or a commit wakes exactly those that it satisfies.
//!
//! A waiting fetch is one [`Wait`], shared by all partitions that it reads. Each of them counts down
//! what arrives; whoever brings the count to zero wakes the task. A partition holds only a weak
//! reference, so a fetch that gave up costs nothing but a slot until the next append or sweep.
//!
//! Not here: time-outs (the driver races the wait against its timer) and reading.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// How many waits a partition has at least before it looks which of them are forgotten.
const SWEEP_AT_MIN: usize = 64;

/// One request that waits: a fetch for bytes, a produce for the partitions that it wrote to.
#[derive(Debug)]
pub struct Wait {
    /// How much is still missing; satisfied at zero and below.
    missing: AtomicI64,
    waker: Mutex<Option<Waker>>,
}

impl Wait {
    /// A wait for so many bytes or partitions.
    pub fn new(missing: i64) -> Arc<Self> {
        Arc::new(Self { missing: AtomicI64::new(missing), waker: Mutex::new(None) })
    }

    /// Whether enough has arrived.
    pub fn is_satisfied(&self) -> bool {
        self.missing.load(Ordering::Acquire) <= 0
    }

    /// So much less is missing.
    pub fn arrived(&self, size: i64) {
        let before = self.missing.fetch_sub(size, Ordering::AcqRel);
        if before > 0 && before <= size {
            self.wake();
        }
    }

    /// Something changed that must be looked at, whatever has arrived.
    pub fn interrupt(&self) {
        self.missing.store(0, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Ready when the wait is satisfied.
#[derive(Debug)]
pub struct Satisfied(pub Arc<Wait>);

impl Future for Satisfied {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.0.waker.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(context.waker().clone());
        // Looked at after the waker is in place: an arrival in between is not missed.
        if self.0.is_satisfied() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The fetches that wait at one partition.
#[derive(Debug)]
pub struct Waiting {
    waits: Vec<Weak<Wait>>,
    /// With so many it looks which are forgotten: twice as many as were not the last time, so that a
    /// fetch pays for two looks at most, however many others wait.
    sweep_at: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { waits: Vec::new(), sweep_at: SWEEP_AT_MIN }
    }
}

impl Waiting {
    /// Lets `wait` hear of what arrives from now on.
    pub fn park(&mut self, wait: &Arc<Wait>) {
        if self.waits.len() >= self.sweep_at {
            self.waits.retain(|wait| wait.strong_count() > 0);
            self.swept();
        }
        self.waits.push(Arc::downgrade(wait));
    }

    /// `size` more bytes can be read.
    pub fn arrived(&mut self, size: i64) {
        self.waits.retain(|wait| {
            let Some(wait) = wait.upgrade() else { return false };
            wait.arrived(size);
            !wait.is_satisfied()
        });
        self.swept();
    }

    fn swept(&mut self) {
        self.sweep_at = SWEEP_AT_MIN.max(2 * self.waits.len());
    }

    /// The partition changed hands, was truncated or deleted.
    pub fn interrupt(&mut self) {
        for wait in self.waits.drain(..).filter_map(|wait| wait.upgrade()) {
            wait.interrupt();
        }
        self.swept();
    }
}

#[cfg(test)]
mod tests;
