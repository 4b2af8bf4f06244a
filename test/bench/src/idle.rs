//! What a broker costs while nobody asks for anything: CPU and memory over some seconds, with any
//! number of connections that are open and silent.

use std::{io, thread::sleep, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    cli,
    control::Control,
    usage::{CpuTimes, Memory, allow_open_files},
};

/// The connections, and what they cost so far.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) report: Value,
    connections: Vec<Control>,
}

impl Held {
    /// Keeps them open until the standard input ends: another load can run beside them.
    ///
    /// # Errors
    /// An input that cannot be read.
    pub(crate) fn until_input_ends(self) -> Result<()> {
        io::copy(&mut io::stdin().lock(), &mut io::sink())?;
        drop(self.connections);
        Ok(())
    }
}

/// Opens the connections, waits, and reports.
///
/// # Errors
/// A connection that is refused, or no broker process to look at.
pub(crate) fn run(args: &cli::Idle) -> Result<Held> {
    allow_open_files()?;
    let pid = args.target.broker_pid.context("--broker-pid: whose cost?")?;
    drop(args.target.connect()?);
    let before = CpuTimes::now(Some(pid))?;
    let memory_before = Memory::of(pid)?;
    let mut connections = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        let mut control = Control::connect(args.target.bootstrap)?;
        control.api_versions()?;
        connections.push(control);
    }
    let opened = CpuTimes::now(Some(pid))?;

    let start = Instant::now();
    sleep(args.seconds);
    let cpu = CpuTimes::now(Some(pid))?.since(opened);
    let memory = Memory::of(pid)?;
    let report = json!({
        "seconds": start.elapsed().as_secs_f64(),
        "connections": connections.len(),
        "broker_cpu_seconds": cpu.broker,
        "broker_cpu_seconds_opening": opened.since(before).broker,
        "resident_kib": memory.resident,
        "anonymous_kib": memory.anonymous,
        "anonymous_kib_before": memory_before.anonymous,
        "peak_kib": memory.peak,
    });
    Ok(Held { report, connections })
}
