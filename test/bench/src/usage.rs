//! What a process and the machine have used, from /proc.
//!
//! CPU time comes in ticks of 10 ms: measured phases should take a broker a second of CPU and more.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// USER_HZ, which Linux gives to programs whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds since the start of what they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTimes {
    /// Of the broker, all threads, user and system; none if it is not known which it is.
    pub(crate) broker: Option<f64>,
    /// Of this process.
    pub(crate) client: f64,
    /// Of the whole machine, work only.
    pub(crate) machine: f64,
    /// Taken by other guests of the host.
    pub(crate) steal: f64,
}

impl CpuTimes {
    pub(crate) fn now(broker_pid: Option<u32>) -> Result<Self> {
        let broker = broker_pid.map(|pid| process_seconds(&pid.to_string())).transpose()?;
        let (machine, steal) = machine_seconds(&read("/proc/stat")?)?;
        Ok(Self { broker, client: process_seconds("self")?, machine, steal })
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            broker: self.broker.zip(earlier.broker).map(|(now, then)| now - then),
            client: self.client - earlier.client,
            machine: self.machine - earlier.machine,
            steal: self.steal - earlier.steal,
        }
    }

    /// Used by neither broker nor client: what else went on, which disturbs.
    pub(crate) fn foreign(self) -> f64 {
        (self.machine - self.broker.unwrap_or_default() - self.client).max(0.0)
    }
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident, files included.
    pub(crate) resident: u64,
    /// Resident and its own: heap and stacks.
    pub(crate) anonymous: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = read(&format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).with_context(|| format!("no {name}"))
        };
        Ok(Self {
            resident: field("VmRSS:")?,
            anonymous: field("RssAnon:")?,
            peak: field("VmHWM:")?,
        })
    }
}

/// Lets this process have as many open files as it may.
///
/// # Errors
/// A system that does not allow what it says it allows.
pub(crate) fn allow_open_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("open files")
}

fn process_seconds(pid: &str) -> Result<f64> {
    stat_seconds(&read(&format!("/proc/{pid}/stat"))?)
}

/// Fields 14 and 15, counted from 1. Field 2, the name, is in parentheses and may hold anything.
fn stat_seconds(stat: &str) -> Result<f64> {
    let (_, behind_name) = stat.rsplit_once(')').context("a stat line without a name")?;
    let mut ticks = behind_name.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next(), ticks.next());
    let (user, system) = user.zip(system).context("a short stat line")?;
    Ok((user? + system?) as f64 / TICKS_PER_SECOND)
}

/// Of the first line: user, nice, system, idle, iowait, irq, softirq, steal.
fn machine_seconds(stat: &str) -> Result<(f64, f64)> {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let line = line.context("no CPU line in /proc/stat")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|tick| tick.parse().ok()).collect();
    let Some(&[user, nice, system, _idle, _iowait, irq, softirq, steal]) = ticks.first_chunk()
    else {
        anyhow::bail!("a short CPU line in /proc/stat")
    };
    let busy = user + nice + system + irq + softirq;
    Ok((busy as f64 / TICKS_PER_SECOND, steal as f64 / TICKS_PER_SECOND))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests;
