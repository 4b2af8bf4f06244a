//! The fetch load: a partition is filled once and then read from its start to its end, again and
//! again, by connections with one request in flight each, as consumers have.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dohle_base::Offset;
use dohle_records::{Codec, Entry, entries};
use rustix::net::{SendFlags, send};
use serde_json::{Value, json};

use crate::{
    cli,
    frames::{FetchFrame, FetchLimits, Fetched, Partition},
    inbox::{Arrived, Inbox},
    latency::Latencies,
    meter::{Measured, Meter},
    poller::Poller,
    produce, records,
};

const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs the load and reports it.
///
/// # Errors
/// A broker that refuses a request, closes a connection, falls silent, or answers without records
/// where there are some.
pub(crate) fn run(args: &cli::Fetch) -> Result<Value> {
    let target = &args.target;
    let mut control = target.connect()?;
    let partition = Partition { topic: target.topic.clone(), index: 0 };
    if args.batches > 0 {
        control.new_topic(&target.new_topic(1))?;
        let batch = records::batch(args.batch_size, Codec::None);
        produce::fill(target.bootstrap, &partition, &batch, args.batches)?;
    }

    let mut load = Load::connect(args, &partition)?;
    let measured = load.run(Meter::start(&args.phases, target.broker_pid))?;
    if args.batches > 0 && !target.keep {
        control.delete_topic(&target.topic)?;
    }
    let mut report = measured.report();
    report["wire_bytes"] = json!(measured.bytes);
    report["latency_micros"] = load.latencies.report();
    Ok(report)
}

/// The offset behind the last batch in `records`.
///
/// # Errors
/// Records that do not begin with a whole batch.
pub(crate) fn offset_behind(records: &[u8]) -> Result<Offset> {
    let mut behind = None;
    for entry in entries(records) {
        match entry {
            Ok(Entry::Batch(batch)) => behind = Some(batch.next_offset()),
            Ok(Entry::Legacy(_)) => bail!("a message of an old format"),
            // The limit of bytes may cut the last one.
            Err(_) => break,
        }
    }
    behind.context("no whole batch in an answer")
}

/// Where to go on after an answer: behind it, or at the start again if that is the end.
fn next_offset(fetched: &Fetched, asked: Offset) -> Result<Offset> {
    let behind = offset_behind(&fetched.records).with_context(|| format!("at offset {asked}"))?;
    let at_end = behind >= fetched.high_watermark;
    Ok(if at_end { fetched.log_start_offset } else { behind })
}

struct Link {
    socket: TcpStream,
    inbox: Inbox,
    frame: FetchFrame,
    next_offset: Offset,
    sent: Instant,
}

impl Link {
    fn ask(&mut self) -> Result<()> {
        self.sent = Instant::now();
        let frame = self.frame.at(self.next_offset);
        let count = send(&self.socket, frame, SendFlags::NOSIGNAL).context("send")?;
        // Nothing else is on its way, so a small frame always fits into the socket.
        if count != frame.len() {
            bail!("half a request was sent");
        }
        Ok(())
    }
}

struct Load {
    poller: Poller,
    links: Vec<Link>,
    latencies: Latencies,
}

impl Load {
    fn connect(args: &cli::Fetch, partition: &Partition) -> Result<Self> {
        let poller = Poller::new()?;
        let limits = FetchLimits { bytes_max: i32::try_from(args.size)?, wait_ms_max: 500 };
        let frame = FetchFrame::new(partition, limits)?;
        let link = |index: usize| {
            let socket = TcpStream::connect(args.target.bootstrap).context("connect")?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            poller.add_edges(&socket, index as u64)?;
            let (inbox, frame, sent) = (Inbox::new(), frame.clone(), Instant::now());
            Ok(Link { socket, inbox, frame, next_offset: Offset::ZERO, sent })
        };
        let links = (0..args.connections).map(link).collect::<Result<_>>()?;
        Ok(Self { poller, links, latencies: Latencies::new() })
    }

    fn run(&mut self, mut meter: Meter) -> Result<Measured> {
        for link in &mut self.links {
            link.ask()?;
        }
        loop {
            self.turn(&mut meter)?;
            if let Some(measured) = meter.turn(Instant::now())? {
                return Ok(measured);
            }
        }
    }

    fn turn(&mut self, meter: &mut Meter) -> Result<()> {
        let mut ready = self.poller.wait(Some(SILENCE_MAX))?.peekable();
        ready.peek().context("the broker fell silent")?;
        for event in ready {
            let link = &mut self.links[event.token as usize];
            loop {
                let arrived = link.inbox.read(&link.socket)?;
                let mut answered = false;
                link.inbox.each(|answer| {
                    let fetched = Fetched::decode(answer)?;
                    meter.count(1, fetched.records.len() as u64);
                    answered = true;
                    link.next_offset = next_offset(&fetched, link.next_offset)?;
                    Ok(())
                })?;
                if answered {
                    if meter.measuring() {
                        self.latencies.record(link.sent.elapsed());
                    }
                    link.ask()?;
                }
                if arrived == Arrived::All {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
