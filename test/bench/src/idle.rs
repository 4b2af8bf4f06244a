//! What a broker costs while nobody asks for anything: CPU and memory over some seconds, with any
//! number of connections that are open and silent.

use std::{thread::sleep, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    cli,
    control::Control,
    usage::{CpuTimes, Memory},
};

/// Opens the connections, waits, and reports.
///
/// # Errors
/// A connection that is refused, or no broker process to look at.
pub(crate) fn run(args: &cli::Idle) -> Result<Value> {
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
    Ok(json!({
        "seconds": start.elapsed().as_secs_f64(),
        "connections": connections.len(),
        "broker_cpu_seconds": cpu.broker,
        "broker_cpu_seconds_opening": opened.since(before).broker,
        "resident_kib": memory.resident,
        "anonymous_kib": memory.anonymous,
        "anonymous_kib_before": memory_before.anonymous,
        "peak_kib": memory.peak,
    }))
}
