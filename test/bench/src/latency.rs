//! Latencies in a histogram of high dynamic range, and the few numbers that are reported of it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Three digits, from 1 µs to a minute; what takes longer counts as a minute.
#[derive(Debug)]
pub(crate) struct Latencies {
    micros: Histogram<u64>,
}

const MICROS_MAX: u64 = 60_000_000;

impl Latencies {
    pub(crate) fn new() -> Self {
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, 3);
        Self { micros: micros.expect("bounds that a histogram can have") }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.record_many(latency, 1);
    }

    /// The same latency for `count` messages.
    pub(crate) fn record_many(&mut self, latency: Duration, count: u64) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MICROS_MAX);
        self.micros.saturating_record_n(micros.clamp(1, MICROS_MAX), count);
    }

    /// In µs; `null` if nothing was recorded.
    pub(crate) fn report(&self) -> Value {
        if self.micros.is_empty() {
            return Value::Null;
        }
        json!({
            "count": self.micros.len(),
            "p50": self.micros.value_at_quantile(0.5),
            "p99": self.micros.value_at_quantile(0.99),
            "p999": self.micros.value_at_quantile(0.999),
            "max": self.micros.max(),
        })
    }
}
