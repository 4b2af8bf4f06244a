//! Does every partition take records? One small batch to each, over a few connections, and again to
//! those that refuse it, until each has acknowledged.
//!
//! As [`crate::first_ack`], it may be started before the broker, and its times are of the system's
//! monotonic clock, so that whoever started the broker can take the difference. Until something is
//! acknowledged only one partition is tried: a broker that starts is not to be kept from it.

use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    cli,
    control::{Control, Created, NewTopic},
    first_ack::monotonic_nanos,
    frames::{self, Ack, Partition},
    records,
    usage::{CpuTimes, Memory},
};

/// Between two tries of the first partition.
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(1);

/// Between two passes over partitions that refused: longer, for there may be thousands.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Sends to all, and reports when they had acknowledged.
///
/// # Errors
/// A partition that does not acknowledge in time, with its last reason.
pub(crate) fn run(args: &cli::Sweep) -> Result<Value> {
    if args.connections == 0 || args.in_flight == 0 || args.topics == 0 || args.partitions < 1 {
        bail!("there is nothing to be done by none");
    }
    let deadline = Instant::now() + args.give_up_seconds;
    let names = names(args);
    let asked = prepare(&names, args.partitions)?;
    let reading = || {
        let pid = args.target.broker_pid;
        Ok::<_, anyhow::Error>((CpuTimes::now(pid)?, pid.map(Memory::of).transpose()?))
    };
    let mut control = wait_for(args, deadline)?;
    let (cpu_before, memory_before) = reading()?;
    let began = Instant::now();
    if args.create {
        create(&mut control, args, &names)?;
    }
    let created = began.elapsed();
    first(&mut control, args, &asked, deadline)?;
    let first_acked_at_nanos = monotonic_nanos()?;
    let refused = sweep(args, &asked, deadline)?;
    let (acked, acked_at_nanos) = (began.elapsed(), monotonic_nanos()?);
    let (cpu, memory) = reading()?;
    Ok(json!({
        "partitions": asked.len(),
        "created_seconds": created.as_secs_f64(),
        "acked_seconds": acked.as_secs_f64(),
        "first_acked_at_nanos": first_acked_at_nanos,
        "acked_at_nanos": acked_at_nanos,
        "refused": refused,
        "broker_cpu_seconds": cpu.since(cpu_before).broker,
        "resident_kib_before": memory_before.map(|memory| memory.resident),
        "resident_kib": memory.map(|memory| memory.resident),
        "anonymous_kib_before": memory_before.map(|memory| memory.anonymous),
        "anonymous_kib": memory.map(|memory| memory.anonymous),
    }))
}

/// What is sent to a partition, and how it answers.
struct Asked {
    frame: Vec<u8>,
    ack: Ack,
}

fn names(args: &cli::Sweep) -> Vec<String> {
    let topic = &args.target.topic;
    match args.topics {
        1 => vec![topic.clone()],
        count => (0..count).map(|number| format!("{topic}{number}")).collect(),
    }
}

fn prepare(names: &[String], partitions: i32) -> Result<Vec<Asked>> {
    let batch = records::small_batch();
    let each = names.iter().flat_map(|name| (0..partitions).map(move |index| (name, index)));
    let asked = each.map(|(name, index)| {
        let partition = Partition { topic: name.clone(), index };
        let frame = frames::produce(&partition, -1, batch.clone())?.to_vec();
        Ok(Asked { frame, ack: Ack::of(&partition)? })
    });
    asked.collect()
}

/// Connects, as soon as there is somebody.
fn wait_for(args: &cli::Sweep, deadline: Instant) -> Result<Control> {
    loop {
        match args.target.connect() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(FIRST_RETRY_AFTER),
            connected => return connected,
        }
    }
}

fn create(control: &mut Control, args: &cli::Sweep, names: &[String]) -> Result<()> {
    for name in names {
        let new = NewTopic { name, ..args.target.new_topic(args.partitions) };
        if control.create_topic(&new)? == Created::Before {
            bail!("topic {name} is there already");
        }
    }
    Ok(())
}

/// Waits until the first partition acknowledges.
fn first(
    control: &mut Control,
    args: &cli::Sweep,
    asked: &[Asked],
    deadline: Instant,
) -> Result<()> {
    while let Err(error) = control.exchange(&asked[0].frame).and_then(|answer| {
        asked[0].ack.base_offset(&answer)?;
        Ok(())
    }) {
        if Instant::now() > deadline {
            return Err(error).context("the first partition takes no records");
        }
        sleep(FIRST_RETRY_AFTER);
        if error.is::<std::io::Error>() {
            // A broker that starts may close what it accepted.
            *control = wait_for(args, deadline)?;
        }
    }
    Ok(())
}

/// Sends to all until all have acknowledged; gives how often one refused.
fn sweep(args: &cli::Sweep, asked: &[Asked], deadline: Instant) -> Result<u64> {
    let share = asked.len().div_ceil(args.connections);
    thread::scope(|scope| {
        let shares =
            asked.chunks(share).map(|share| scope.spawn(move || one(args, share, deadline)));
        let shares: Vec<_> = shares.collect();
        let refused = shares.into_iter().map(|share| share.join().expect("a share does not panic"));
        refused.sum()
    })
}

/// The share of one connection.
fn one(args: &cli::Sweep, share: &[Asked], deadline: Instant) -> Result<u64> {
    let mut control = Control::connect(args.target.bootstrap)?;
    let mut missing: Vec<&Asked> = share.iter().collect();
    let mut refusals = 0;
    loop {
        let mut refused = Vec::new();
        let mut reason = None;
        for window in missing.chunks(args.in_flight) {
            let frames: Vec<u8> = window.iter().flat_map(|asked| asked.frame.clone()).collect();
            control.send(&frames)?;
            for asked in window {
                if let Err(error) = asked.ack.base_offset(&control.receive()?) {
                    refused.push(*asked);
                    reason = Some(error);
                }
            }
        }
        let Some(reason) = reason else { return Ok(refusals) };
        if Instant::now() > deadline {
            return Err(reason.context(format!("{} partitions take no records", refused.len())));
        }
        refusals += refused.len() as u64;
        missing = refused;
        sleep(RETRY_AFTER);
    }
}
