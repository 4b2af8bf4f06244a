//! The commands and their options.

use std::path::PathBuf;

use clap::{Args, Parser};

/// Hurts a real node and holds what is left against what it acknowledged.
#[derive(Debug, Parser)]
#[command(name = "dohle-chaos")]
pub(crate) enum Command {
    /// kill -9, again and again, also while the node starts
    Kill(Chaos),
    /// Power cuts: the file system forgets all that was not synced, under a node that is killed.
    /// Needs root, for a file system of its own
    Power(Chaos),
    /// Random damage in a file of a node that is down, and a start
    Bytes(Chaos),
    /// A small file system that is filled, and has room again. Needs root, for the same reason
    Full(Chaos),
    /// One of several disks that fails while it is written: every call to it is told EIO. Needs root, for
    /// the same reason
    Disk(Chaos),
    /// More partitions than file handles
    Many(Many),
}

/// How many partitions, within what, and where.
#[derive(Clone, Debug, Args)]
pub(crate) struct Many {
    /// So many partitions, in topics of 5,000
    #[arg(long, default_value_t = 100_000)]
    pub(crate) partitions: u32,
    /// So many handles may the node have
    #[arg(long, default_value_t = 20_000)]
    pub(crate) handles: usize,
    /// The program to hurt
    #[arg(long, default_value = "target/release/dohle")]
    pub(crate) binary: PathBuf,
    /// Where data and logs go
    #[arg(long, default_value = "target/chaos")]
    pub(crate) dir: PathBuf,
}

/// How long, with what, and where.
#[derive(Clone, Debug, Args)]
pub(crate) struct Chaos {
    /// How often
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: u32,
    /// What chance is made from; another one each time if not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The program to hurt
    #[arg(long, default_value = "target/release/dohle")]
    pub(crate) binary: PathBuf,
    /// Where data, logs and images go; what a failed run leaves stays there
    #[arg(long, default_value = "target/chaos")]
    pub(crate) dir: PathBuf,
    /// A setting of the node; may be given more than once
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// For kill and power: the topic is kept short, its old segments are removed all the time
    #[arg(long)]
    pub(crate) short: bool,
    /// For kill and power: requests delete records, into the middle of the newest batches
    #[arg(long, conflicts_with = "short")]
    pub(crate) purged: bool,
    /// For kill and power: bursts of records of up to a megabyte, more than the write-ahead log takes
    /// between two syncs
    #[arg(long, conflicts_with = "short")]
    pub(crate) large: bool,
    /// For kill and power: the topic's segments are small, a new one is begun all the time
    #[arg(long, conflicts_with = "short")]
    pub(crate) rolls: bool,
    /// For kill and power: beside the topic there is a compacted one, whose keys are written anew and
    /// deleted
    #[arg(long)]
    pub(crate) compacted: bool,
    /// For kill and power: partitions are moved between two log directories, on one file system or two
    #[arg(long)]
    pub(crate) moves: bool,
    /// For kill and power: of how many partitions the topic is; 4 if not given, 24 with --large
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: Option<u16>,
    /// The run must find a loss: for settings that promise less
    #[arg(long)]
    pub(crate) expect_loss: bool,
}

impl Chaos {
    pub(crate) fn partitions(&self) -> u16 {
        // A request has one batch of each: of large ones so many are more than a frame takes.
        self.partitions.unwrap_or(if self.large { 24 } else { 4 })
    }
}

impl Command {
    pub(crate) fn needs_volume(&self) -> bool {
        matches!(self, Self::Power(_) | Self::Full(_) | Self::Disk(_))
    }
}
