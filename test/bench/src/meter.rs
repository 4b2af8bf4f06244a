//! Two phases of a load: one that warms up, one that counts.
//!
//! The counters of the broker, the client and the machine are read at the end of the first and at
//! the end of the second, so that connecting, making topics and compiling hot code are in neither.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    cli,
    usage::{CpuTimes, Memory},
};

/// Whichever comes first.
#[derive(Clone, Copy, Debug)]
struct Limit {
    time: Duration,
    requests: u64,
}

/// Counts requests and says when to go on to the next phase.
#[derive(Debug)]
pub(crate) struct Meter {
    warm_up: Limit,
    measured: Limit,
    broker_pid: Option<u32>,
    started: Instant,
    /// The readings at the start of the phase that counts; none before it.
    opening: Option<CpuTimes>,
    /// Both phases have ended: what comes now is the rest, and counts nowhere.
    over: bool,
    /// Of the present phase.
    requests: u64,
    bytes: u64,
}

/// What the phase that counted came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    /// Of records, before compression.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    pub(crate) cpu: CpuTimes,
    pub(crate) memory: Memory,
}

impl Meter {
    pub(crate) fn start(phases: &cli::Phases, broker_pid: Option<u32>) -> Self {
        let limit = |time, requests| Limit { time, requests };
        Self {
            warm_up: limit(phases.warm_up_seconds, phases.warm_up_requests),
            measured: limit(phases.seconds, phases.requests),
            broker_pid,
            started: Instant::now(),
            opening: None,
            over: false,
            requests: 0,
            bytes: 0,
        }
    }

    /// Whether what is counted now will be reported.
    pub(crate) fn measuring(&self) -> bool {
        self.opening.is_some() && !self.over
    }

    /// Notes answers.
    pub(crate) fn count(&mut self, requests: u64, bytes: u64) {
        self.requests += requests;
        self.bytes += bytes;
    }

    /// Goes on to the next phase if this one is over; gives the result when the last one is.
    pub(crate) fn turn(&mut self, now: Instant) -> Result<Option<Measured>> {
        let limit = if self.measuring() { self.measured } else { self.warm_up };
        let time = now.saturating_duration_since(self.started);
        if time < limit.time && self.requests < limit.requests {
            return Ok(None);
        }
        let reading = CpuTimes::now(self.broker_pid)?;
        let result = match self.opening.replace(reading) {
            None => None,
            Some(opening) => Some(Measured {
                requests: self.requests,
                bytes: self.bytes,
                time,
                cpu: reading.since(opening),
                memory: self.broker_pid.map(Memory::of).transpose()?.unwrap_or_default(),
            }),
        };
        self.over = result.is_some();
        (self.requests, self.bytes, self.started) = (0, 0, Instant::now());
        Ok(result)
    }
}

impl Measured {
    /// What every load reports, to which it adds its own.
    pub(crate) fn report(&self) -> Value {
        json!({
            "requests": self.requests,
            "raw_bytes": self.bytes,
            "seconds": self.time.as_secs_f64(),
            "broker_cpu_seconds": self.cpu.broker,
            "client_cpu_seconds": self.cpu.client,
            "foreign_cpu_seconds": self.cpu.foreign(),
            "steal_seconds": self.cpu.steal,
            "resident_kib": self.memory.resident,
            "anonymous_kib": self.memory.anonymous,
            "peak_kib": self.memory.peak,
        })
    }
}

#[cfg(test)]
mod tests;
