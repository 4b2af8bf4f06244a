//! Lets a warning about peers through once in a while, so that a hostile peer cannot fill the log.

use std::{cell::Cell, time::Instant};

use crate::limits::WARNING_INTERVAL;

/// One kind of warning of one thread.
#[derive(Default)]
pub(crate) struct LogGate {
    last: Cell<Option<Instant>>,
    suppressed: Cell<u64>,
}

impl LogGate {
    /// Whether to log now, and if so how many warnings were held back since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        if self.last.get().is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            self.suppressed.set(self.suppressed.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.suppressed.replace(0))
    }
}
