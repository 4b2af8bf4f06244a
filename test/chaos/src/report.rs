//! What a run says of itself.

use std::time::Duration;

use crate::cli::Chaos;

/// How many acknowledged records a round must have on average: fewer prove nothing.
pub(crate) const ACKNOWLEDGED_MIN: usize = 20;

/// How many bytes of large records: more than a frame of the write-ahead log takes.
const LARGE_MIN: u64 = 17 << 20;

/// What happened, for whoever reads the output.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) outages: u32,
    /// Those that struck a node before it served.
    pub(crate) outages_in_start: u32,
    pub(crate) acknowledged: usize,
    pub(crate) commits: i64,
    pub(crate) records_read: u64,
    /// How many removed segments the outages met that were not unlinked yet.
    pub(crate) removed: usize,
    /// How many requests to delete records were answered.
    pub(crate) purges: usize,
    /// How many bytes of large records were acknowledged.
    pub(crate) large: u64,
    /// How many segments the topic has had.
    pub(crate) rolled: usize,
    /// Up to which offset the other topic was compacted, all partitions together.
    pub(crate) compacted: u64,
    /// The same at the last outage.
    pub(crate) compacted_before: u64,
    /// How many partitions were moved.
    pub(crate) moved: usize,
    /// How long each start took, up to where it served.
    pub(crate) starts: Vec<Duration>,
}

impl Report {
    /// Of what there is too little by now for so many rounds to mean something.
    pub(crate) fn lacks(&self, args: &Chaos, rounds: u32) -> Option<&'static str> {
        let count = rounds as usize;
        if self.acknowledged < ACKNOWLEDGED_MIN * count {
            return Some("few records were acknowledged");
        }
        if args.short && self.removed < count {
            return Some("hardly a segment was removed");
        }
        if args.purged && self.purges < count {
            return Some("hardly a record was deleted");
        }
        if args.large && self.large < LARGE_MIN * u64::from(rounds) {
            return Some("few large records were acknowledged");
        }
        if args.rolls && self.rolled < usize::from(args.partitions()) + count {
            return Some("hardly a segment was begun");
        }
        if args.compacted && self.compacted <= self.compacted_before {
            return Some("nothing was compacted");
        }
        if args.moves && self.moved < count {
            return Some("hardly a partition was moved");
        }
        (self.commits < i64::from(rounds)).then_some("hardly a commit was acknowledged")
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut starts = self.starts.clone();
        starts.sort();
        let middle = starts.get(starts.len() / 2).copied().unwrap_or_default();
        write!(
            f,
            "{} outages, {} of them before the node served; {} records and {} commits acknowledged, \
             {} records read; served after {middle:.0?} in the middle, {:.0?} at most",
            self.outages,
            self.outages_in_start,
            self.acknowledged,
            self.commits,
            self.records_read,
            starts.last().copied().unwrap_or_default(),
        )?;
        if self.purges > 0 {
            write!(f, "; records deleted by {} requests", self.purges)?;
        }
        if self.large > 0 {
            write!(f, "; {} MiB in large records", self.large >> 20)?;
        }
        if self.rolled > 0 {
            write!(f, "; {} segments", self.rolled)?;
        }
        if self.compacted > 0 {
            write!(f, "; compacted up to {}", self.compacted)?;
        }
        if self.moved > 0 {
            write!(f, "; {} partitions moved", self.moved)?;
        }
        match self.removed {
            0 => Ok(()),
            removed => write!(f, "; {removed} segments were removed just before an outage"),
        }
    }
}
