//! A fetch that waits for records, and the produce that brings them, over and over: what a long poll costs.
//!
//! Nothing is left to time, so that what a broker does can be counted. The fetch leaves together with a
//! request that is answered at once: when that answer is there, the fetch was read and waits. Then the record
//! is sent on another connection; and the next fetch leaves when both have their answers.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use dohle_base::Offset;
use serde_json::Value;

use crate::{
    cli,
    control::{Control, Created},
    fetch::offset_behind,
    frames::{self, Ack, FetchFrame, FetchLimits, Fetched, Partition},
    latency::Latencies,
    meter::Meter,
    records,
};

/// Longer than anybody needs for one record.
const LIMITS: FetchLimits = FetchLimits { bytes_max: 1 << 20, wait_ms_max: 30_000 };

/// Runs the load and reports it; a request is a fetch and its produce.
///
/// # Errors
/// A broker that refuses a request, or answers a fetch with anything but the record that it waited for.
pub(crate) fn run(args: &cli::Wake) -> Result<Value> {
    let target = &args.target;
    let mut producer = target.connect()?;
    let created = producer.ready_topic(&target.new_topic(1))?;
    let mut load = Load::connect(args, producer)?;
    let mut meter = Meter::start(&args.phases, target.broker_pid);
    let measured = loop {
        // A phase of no requests ends before its first.
        if let Some(measured) = meter.turn(Instant::now())? {
            break measured;
        }
        load.turn(&mut meter)?;
    };
    if created == Created::Now && !target.keep {
        load.producer.delete_topic(&target.topic)?;
    }
    let mut report = measured.report();
    report["latency_micros"] = load.latencies.report();
    Ok(report)
}

struct Load {
    producer: Control,
    consumer: Control,
    produce: bytes::Bytes,
    ack: Ack,
    /// What is answered at once.
    now: bytes::Bytes,
    fetch: FetchFrame,
    next_offset: Offset,
    /// From when the produce leaves until the fetch is answered.
    latencies: Latencies,
}

impl Load {
    fn connect(args: &cli::Wake, mut producer: Control) -> Result<Self> {
        let partition = Partition { topic: args.target.topic.clone(), index: 0 };
        let batch = records::batch(args.size, dohle_records::Codec::None);
        Ok(Self {
            next_offset: Offset(producer.produce_one(&partition)?.0 + 1),
            producer,
            consumer: args.target.connect()?,
            produce: frames::produce(&partition, -1, batch)?,
            ack: Ack::of(&partition)?,
            now: Control::api_versions_frame()?,
            fetch: FetchFrame::new(&partition, LIMITS)?,
            latencies: Latencies::new(),
        })
    }

    fn turn(&mut self, meter: &mut Meter) -> Result<()> {
        let asked = self.next_offset;
        self.consumer.send(&[&self.now[..], self.fetch.at(asked)].concat())?;
        Control::check_api_versions(self.consumer.receive()?)?;
        let sent = Instant::now();
        let acked = self.ack.base_offset(&self.producer.exchange(&self.produce)?)?;
        let fetched = Fetched::decode(self.consumer.receive()?)?;
        if meter.measuring() {
            self.latencies.record(sent.elapsed());
        }
        let behind = offset_behind(&fetched.records).context("the fetch did not wait")?;
        if acked != asked || behind <= asked {
            bail!("waited for offset {asked}: {acked} was acknowledged, and up to {behind} came");
        }
        self.next_offset = behind;
        meter.count(1, fetched.records.len() as u64);
        Ok(())
    }
}
