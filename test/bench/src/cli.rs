//! The commands and their options.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, Parser};
use dohle_records::Codec;

use crate::{
    control::{Control, NewTopic},
    listener,
};

/// One load on one broker; prints one line of JSON.
#[derive(Debug, Parser)]
#[command(name = "dohle-bench")]
pub(crate) enum Command {
    /// Closed loop: each connection keeps so many Produce requests in flight.
    Produce(Produce),
    /// Fills a partition, unless there is one, and reads it again and again, one Fetch in flight a
    /// connection.
    Fetch(Fetch),
    /// Open loop: messages leave on a schedule and come back by long poll; latency counts from the
    /// schedule, so that a broker that stalls cannot hide it.
    E2e(E2e),
    /// A fetch waits at the end of a partition and a produce wakes it, one after the other; what arrives when does
    /// not depend on time.
    Wake(Wake),
    /// Tries every millisecond until a produce is acknowledged, and prints when that was.
    FirstAck(FirstAck),
    /// Sends one small batch to every partition of some topics, and again to those that refuse it,
    /// until each has acknowledged. Waits for a broker that is not there yet.
    Sweep(Sweep),
    /// Does nothing for a while over idle connections, and prints what that costs the broker.
    Idle(Idle),
    /// Serves the loads above with as little as one can: what the machine itself costs.
    Floor(Floor),
}

/// Which broker, and what to look at.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Where the broker listens.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: SocketAddr,
    /// The broker's process, to report its CPU time and memory. It must be the one that listens.
    #[arg(long)]
    pub(crate) broker_pid: Option<u32>,
    /// Made if it is not there, and then deleted at the end.
    #[arg(long, default_value = "bench")]
    pub(crate) topic: String,
    /// Leave the topic as it is at the end.
    #[arg(long)]
    pub(crate) keep: bool,
    /// A setting of the topic, if it is made: flush.messages=1 asks for durable appends. Repeatable.
    #[arg(long, value_parser = setting, value_name = "KEY=VALUE")]
    pub(crate) topic_config: Vec<(String, String)>,
}

impl Target {
    /// The topic, to be made with so many partitions.
    pub(crate) fn new_topic(&self, partitions: i32) -> NewTopic<'_> {
        NewTopic { name: &self.topic, partitions, config: &self.topic_config }
    }

    /// Connects, unless it is known that somebody else listens there.
    ///
    /// # Errors
    /// Nobody listens, or a process other than the one given.
    pub(crate) fn connect(&self) -> Result<Control> {
        if let Some(pid) = self.broker_pid {
            listener::check(pid, self.bootstrap.port())?;
        }
        Control::connect(self.bootstrap)
    }
}

/// How long to warm up and to measure. A phase ends at whichever of its two limits comes first.
#[derive(Debug, Args)]
pub(crate) struct Phases {
    /// Load before anything counts.
    #[arg(long, default_value = "1.0", value_parser = seconds)]
    pub(crate) warm_up_seconds: Duration,
    /// The same in requests.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) warm_up_requests: u64,
    /// Load that counts.
    #[arg(long, default_value = "5.0", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// The same in requests.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) requests: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) phases: Phases,
    /// Bytes of a batch before compression.
    #[arg(long, default_value_t = 65_536)]
    pub(crate) size: usize,
    /// Connections, spread over the partitions.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Requests that each connection keeps unanswered.
    #[arg(long, default_value_t = 5)]
    pub(crate) in_flight: usize,
    /// Send the next requests only when all in flight are answered, and then together: what arrives
    /// together does not depend on time then.
    #[arg(long)]
    pub(crate) bursts: bool,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Batches of a request, each for another partition of the topic, as a producer sends what is ready for
    /// one broker.
    #[arg(long, default_value_t = 1)]
    pub(crate) batches: usize,
    /// Send each connection's requests to one partition after the other, as a producer of records with keys has
    /// them; else a connection stays with a partition.
    #[arg(long)]
    pub(crate) keyed: bool,
    /// Records of random bytes, which nothing makes smaller, and not of JSON.
    #[arg(long)]
    pub(crate) random: bool,
    /// How batches are compressed: none, gzip, snappy, lz4, zstd.
    #[arg(long, default_value = "none", value_parser = codec)]
    pub(crate) codec: Codec,
    /// 1 or −1, for all in-sync replicas.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) acks: i16,
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) phases: Phases,
    /// The most bytes that a request asks for.
    #[arg(long, default_value_t = 65_536)]
    pub(crate) size: usize,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Bytes of the batches that are put into the partition first.
    #[arg(long, default_value_t = 65_536)]
    pub(crate) batch_size: usize,
    /// How many such batches; with 0, what is in the topic already is read.
    #[arg(long, default_value_t = 3_072)]
    pub(crate) batches: u64,
}

#[derive(Debug, Args)]
pub(crate) struct E2e {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Messages a second.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rate: u64,
    /// Bytes of a batch of one message.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) size: usize,
    /// Requests that may be unanswered; messages that are due wait and then leave in one batch.
    #[arg(long, default_value_t = 5)]
    pub(crate) in_flight: usize,
    /// Load before anything counts.
    #[arg(long, default_value = "2.0", value_parser = seconds)]
    pub(crate) warm_up_seconds: Duration,
    /// Load that counts.
    #[arg(long, default_value = "10.0", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long to go on for what was due in it.
    #[arg(long, default_value = "5.0", value_parser = seconds)]
    pub(crate) drain_seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Wake {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) phases: Phases,
    /// Bytes of a batch.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) size: usize,
}

#[derive(Debug, Args)]
pub(crate) struct FirstAck {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Create the topic first, as on an empty directory; else it must be there from before.
    #[arg(long)]
    pub(crate) create: bool,
    /// When to give up.
    #[arg(long, default_value = "60.0", value_parser = seconds)]
    pub(crate) give_up_seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Create the topics first; else they must be there from before.
    #[arg(long)]
    pub(crate) create: bool,
    /// How many topics: with more than one, their names are the given one and a number from 0.
    #[arg(long, default_value_t = 1)]
    pub(crate) topics: u32,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Connections, each with its share of the partitions.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Requests that each connection sends before it looks for their answers.
    #[arg(long, default_value_t = 32)]
    pub(crate) in_flight: usize,
    /// When to give up.
    #[arg(long, default_value = "60.0", value_parser = seconds)]
    pub(crate) give_up_seconds: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Connections to open; each asks for ApiVersions once and is then silent.
    #[arg(long, default_value_t = 0)]
    pub(crate) connections: usize,
    /// How long to look.
    #[arg(long, default_value = "5.0", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Keep the connections open behind the report, until the standard input ends.
    #[arg(long)]
    pub(crate) hold: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Floor {
    /// Where to listen, on the loopback interface.
    #[arg(long, default_value_t = 9092)]
    pub(crate) port: u16,
    /// Where the files of partitions go.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Keep what was given in new files, the last 256 MiB of each partition, instead of writing it
    /// over in one.
    #[arg(long)]
    pub(crate) new_files: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name)
        .ok_or_else(|| format!("{name:?} is none of none, gzip, snappy, lz4, zstd"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}
