//! The produce load: each connection keeps a number of requests unanswered, all from one thread.
//!
//! A frame is encoded once and lies in memory as often as requests may be in flight, so that what
//! several answers allow to be sent goes out in one call. With `--keyed` the frames of all partitions
//! lie there once, one behind the other. With `--batches` a frame is for several partitions.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustix::net::{SendFlags, send};
use serde_json::{Value, json};

use crate::{
    cli,
    control::Created,
    frames::{self, Ack, Partition, Partitions},
    inbox::{Arrived, Inbox},
    latency::Latencies,
    meter::{Measured, Meter},
    poller::Poller,
    records,
};

/// How long nobody may answer before the load is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs the load and reports it.
///
/// # Errors
/// A broker that refuses a request, closes a connection or falls silent.
pub(crate) fn run(args: &cli::Produce) -> Result<Value> {
    let target = &args.target;
    let mut control = target.connect()?;
    let created = control.ready_topic(&target.new_topic(args.partitions))?;

    let data = if args.random { records::random_batch } else { records::batch };
    let batch = data(args.size, args.codec);
    let mut load = Load { bursts: args.bursts, ..Load::connect(args, &batch)? };
    let measured = load.run(Meter::start(&args.phases, target.broker_pid))?;
    if created == Created::Now && !target.keep {
        control.delete_topic(&target.topic)?;
    }
    let mut report = measured.report();
    report["wire_bytes"] = json!(measured.requests * (batch.len() * args.batches) as u64);
    report["latency_micros"] = load.latencies.report();
    Ok(report)
}

/// Puts `count` batches into one partition, as fast as may be.
pub(crate) fn fill(
    bootstrap: SocketAddr,
    partition: &Partition,
    batch: &Bytes,
    count: u64,
) -> Result<()> {
    let frame = frames::produce(partition, -1, batch.clone())?;
    let lane = Lane { burst: Burst::of(&frame, 5), ack: Ack::of(partition)? };
    let phases = cli::Phases {
        warm_up_seconds: Duration::ZERO,
        warm_up_requests: 0,
        seconds: Duration::MAX,
        requests: count,
    };
    Load::over(bootstrap, vec![lane], 1, 5, batch.len())?.run(Meter::start(&phases, None))?;
    Ok(())
}

/// Frames of the same size in a row: one several times, or one for each partition.
struct Burst {
    bytes: Vec<u8>,
    frame_size: usize,
    /// After so many bytes the frames come again.
    period: usize,
}

impl Burst {
    fn of(frame: &Bytes, count: usize) -> Self {
        Self { bytes: frame.repeat(count), frame_size: frame.len(), period: frame.len() }
    }

    /// One after the other.
    fn in_turn(frames: &[Bytes]) -> Self {
        let bytes = frames.concat();
        let (frame_size, period) = (bytes.len() / frames.len(), bytes.len());
        Self { bytes, frame_size, period }
    }

    /// Where the `number`th of `count` connections begins: they do not follow each other from partition to partition.
    fn start(&self, number: usize, count: usize) -> usize {
        let frames = self.period / self.frame_size;
        number * frames / count % frames * self.frame_size
    }
}

/// What is sent to one partition or to some together, or to all in turn, and how each of them answers.
struct Lane {
    burst: Burst,
    ack: Ack,
}

/// One connection.
struct Link {
    socket: TcpStream,
    inbox: Inbox,
    lane: usize,
    /// Where in the burst the next byte to send is.
    at: usize,
    /// Bytes of requests that are in flight but not in the socket yet.
    owed: usize,
    /// When each request in flight was handed over, oldest first.
    sent: VecDeque<Instant>,
}

impl Link {
    /// Hands requests over until `in_flight` are unanswered.
    fn top_up(&mut self, lane: &Lane, in_flight: usize, now: Instant) -> Result<()> {
        while self.sent.len() < in_flight {
            self.sent.push_back(now);
            self.owed += lane.burst.frame_size;
        }
        self.flush(lane)
    }

    fn flush(&mut self, lane: &Lane) -> Result<()> {
        while self.owed > 0 {
            let end = lane.burst.bytes.len().min(self.at + self.owed);
            match send(&self.socket, &lane.burst.bytes[self.at..end], SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.owed -= count;
                    self.at = (self.at + count) % lane.burst.period;
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error).context("send"),
            }
        }
        Ok(())
    }
}

struct Load {
    poller: Poller,
    links: Vec<Link>,
    lanes: Vec<Lane>,
    in_flight: usize,
    /// Whether the next requests wait until all in flight are answered.
    bursts: bool,
    raw_size: usize,
    latencies: Latencies,
}

impl Load {
    fn connect(args: &cli::Produce, batch: &Bytes) -> Result<Self> {
        let together = i32::try_from(args.batches)?;
        if args.partitions < 1 || args.connections == 0 || args.in_flight == 0 || together == 0 {
            bail!("there is nothing to be done by none");
        }
        if args.partitions % together != 0 {
            bail!("{} partitions are not in groups of {together}", args.partitions);
        }
        let group = |index| {
            let indexes = index * together..(index + 1) * together;
            Partitions { topic: args.target.topic.clone(), indexes }
        };
        let groups: Vec<_> = (0..args.partitions / together).map(group).collect();
        let frame = |to| frames::produce_together(to, args.acks, batch.clone());
        let lanes = if args.keyed {
            let frames: Vec<_> = groups.iter().map(frame).collect::<Result<_>>()?;
            vec![Lane { burst: Burst::in_turn(&frames), ack: Ack::together(&groups[0])? }]
        } else {
            let lane = |to| {
                let burst = Burst::of(&frame(to)?, args.in_flight);
                Ok(Lane { burst, ack: Ack::together(to)? })
            };
            groups.iter().map(lane).collect::<Result<_>>()?
        };
        let size = args.size * args.batches;
        Self::over(args.target.bootstrap, lanes, args.connections, args.in_flight, size)
    }

    fn over(
        bootstrap: SocketAddr,
        lanes: Vec<Lane>,
        connections: usize,
        in_flight: usize,
        raw_size: usize,
    ) -> Result<Self> {
        let poller = Poller::new()?;
        let link = |index: usize| {
            let socket = TcpStream::connect(bootstrap).context("connect")?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            poller.add_edges(&socket, index as u64)?;
            let (inbox, lane) = (Inbox::new(), index % lanes.len());
            let at = lanes[lane].burst.start(index, connections);
            Ok(Link { socket, inbox, lane, at, owed: 0, sent: VecDeque::new() })
        };
        let links = (0..connections).map(link).collect::<Result<_>>()?;
        let latencies = Latencies::new();
        Ok(Self { poller, links, lanes, in_flight, bursts: false, raw_size, latencies })
    }

    fn run(&mut self, mut meter: Meter) -> Result<Measured> {
        let now = Instant::now();
        for link in &mut self.links {
            link.top_up(&self.lanes[link.lane], self.in_flight, now)?;
        }
        let measured = loop {
            self.turn(&mut meter, self.in_flight)?;
            if let Some(measured) = meter.turn(Instant::now())? {
                break measured;
            }
        };
        // The rest is answered too: an error in it is an error, and a topic must not be deleted
        // under requests.
        while self.links.iter().any(|link| !link.sent.is_empty()) {
            self.turn(&mut meter, 0)?;
        }
        Ok(measured)
    }

    /// Takes the answers that are there and sends what they make room for.
    fn turn(&mut self, meter: &mut Meter, in_flight: usize) -> Result<()> {
        let mut ready = self.poller.wait(Some(SILENCE_MAX))?.peekable();
        ready.peek().context("the broker fell silent")?;
        for event in ready {
            let link = &mut self.links[event.token as usize];
            let lane = &self.lanes[link.lane];
            let now = Instant::now();
            let mut answers = 0;
            loop {
                let arrived = link.inbox.read(&link.socket)?;
                link.inbox.each(|answer| {
                    lane.ack.base_offset(&answer)?;
                    let sent = link.sent.pop_front().context("an answer that nobody asked for")?;
                    if meter.measuring() {
                        self.latencies.record(now.saturating_duration_since(sent));
                    }
                    answers += 1;
                    Ok(())
                })?;
                if arrived == Arrived::All {
                    break;
                }
            }
            meter.count(answers, answers * self.raw_size as u64);
            let waits = self.bursts && !link.sent.is_empty();
            link.top_up(lane, if waits { 0 } else { in_flight }, now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
