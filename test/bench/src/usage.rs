//! What a process and the machine have used.
//!
//! A process's CPU time is its own clock, which counts all its threads, those that have ended too, in nanoseconds.
//! The machine's, from /proc, comes in ticks of 10 ms.

use std::{fs, io, mem::MaybeUninit, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

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
        let broker = broker_pid.map(process_time).transpose()?.map(|time| time.as_secs_f64());
        let (machine, steal) = machine_seconds(&read("/proc/stat")?)?;
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let client = own.tv_sec as f64 + own.tv_nsec as f64 / 1e9;
        Ok(Self { broker, client, machine, steal })
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

/// The CPU clock of a process.
///
/// # Errors
/// A process that is not there.
fn process_time(pid: u32) -> Result<Duration> {
    let pid_given = libc::pid_t::try_from(pid).with_context(|| format!("process {pid}"))?;
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both calls write one value of the type that each is given; all zeros is a `timespec`.
    #[expect(unsafe_code, reason = "rustix knows no clock of another process")]
    let (error, time) = unsafe {
        let error = match libc::clock_getcpuclockid(pid_given, &raw mut clock) {
            0 if libc::clock_gettime(clock, time.as_mut_ptr()) == 0 => None,
            0 => Some(io::Error::last_os_error()),
            error => Some(io::Error::from_raw_os_error(error)),
        };
        (error, time.assume_init())
    };
    if let Some(error) = error {
        return Err(error).with_context(|| format!("the CPU clock of process {pid}"));
    }
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
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
