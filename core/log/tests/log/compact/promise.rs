//! What no clean may take, judged from outside: by the records before and after, and by what was done
//! to the log, but not by what the cleaner thinks of it.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::Offset;

use super::kit::*;

/// What readers of a log are promised.
#[derive(Default)]
pub(crate) struct Promise {
    /// When a clean first met each tombstone: from then on it stays readable for the retention.
    met: BTreeMap<i64, i64>,
    /// Offsets of records whose transaction was aborted.
    pub(crate) aborted: BTreeSet<i64>,
}

/// A clean, seen from outside.
pub(crate) struct Seen<'a> {
    pub(crate) before: &'a [Stored],
    pub(crate) after: &'a [Stored],
    /// The last stable offset when it began.
    pub(crate) stable: Offset,
    pub(crate) now: i64,
}

impl Promise {
    /// Whether a clean kept it; if not, which record is missing.
    pub(crate) fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let is_left = |record: &&Stored| seen.after.contains(record);
        let taken = seen.before.iter().filter(|record| !record.is_marker && !is_left(record));
        for record in taken {
            if record.offset >= seen.stable.0 {
                return Err(format!("taken from behind the last stable offset: {record:?}"));
            }
            if record.value.is_none() && !self.may_go(record, seen) {
                return Err(format!("a tombstone that is taken too early: {record:?}"));
            }
        }
        for tombstone in seen.before.iter().filter(|record| record.value.is_none()) {
            self.met.entry(tombstone.offset).or_insert(seen.now);
        }
        Ok(())
    }

    fn may_go(&self, tombstone: &Stored, seen: &Seen<'_>) -> bool {
        let is_decided = |record: &Stored| {
            record.offset < seen.stable.0
                && !record.is_marker
                && !self.aborted.contains(&record.offset)
        };
        let is_superseded = seen.before.iter().any(|later| {
            later.key == tombstone.key && later.offset > tombstone.offset && is_decided(later)
        });
        let is_old = self.met.get(&tombstone.offset).is_some_and(|met| met + RETENTION <= seen.now);
        is_superseded || is_old || self.aborted.contains(&tombstone.offset)
    }
}
