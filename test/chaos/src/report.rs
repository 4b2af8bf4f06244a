//! What a run says of itself.

use std::time::Duration;

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
