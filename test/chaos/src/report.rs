//! What a run says of itself.

use std::time::Duration;

use crate::cli::Chaos;

/// How many acknowledged records a round must have on average: fewer prove nothing.
pub(crate) const ACKNOWLEDGED_MIN: usize = 20;

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
        match self.removed {
            0 => Ok(()),
            removed => write!(f, "; {removed} segments were removed just before an outage"),
        }
    }
}
