//! Whether the batches bear out what an index tells. It has no checksum, and an entry that names another
//! producer, or begins in an earlier transaction, takes what was committed.
//!
//! ```text
//! first offset                              last offset
//! [ batch of the producer ]…[ no marker of it ]…[ its abort marker ]
//! ```
//!
//! The cleaner takes batches and leaves entries, as Kafka's does: a batch that is not there contradicts
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{Offset, ProducerId};

use super::AbortedTransaction;

/// A batch as far as transactions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) base: Offset,
    pub(crate) last: Offset,
    pub(crate) producer_id: ProducerId,
    pub(crate) part: Part,
}

/// What a batch is to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nothing.
    None,
    /// Records of one; none if the cleaner took them.
    Records { is_empty: bool },
    /// What ends one; `None` if it cannot be read, or is of a type that is not known here.
    Marker { committed: Option<bool> },
}

/// Goes along the batches, from one before all entries on.
#[derive(Debug)]
pub(crate) struct Check {
    /// The entries that have not begun, the first one last.
    upcoming: Vec<AbortedTransaction>,
    begun: BTreeMap<ProducerId, AbortedTransaction>,
    /// Whose entries end where.
    ends: BTreeMap<Offset, ProducerId>,
    /// Where the transactions begin that are open, as far as was seen.
    open: BTreeMap<ProducerId, Offset>,
    /// The same, the first one first.
    open_from: BTreeSet<(Offset, ProducerId)>,
}

impl Check {
    /// For entries of one index, or several.
    pub(crate) fn new(entries: &[AbortedTransaction]) -> Self {
        let mut upcoming = entries.to_vec();
        upcoming.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.first_offset));
        let (begun, ends) = (BTreeMap::new(), BTreeMap::new());
        Self { upcoming, begun, ends, open: BTreeMap::new(), open_from: BTreeSet::new() }
    }

    /// Where the next entry begins; `None` if there is no more.
    pub(crate) fn next(&self) -> Option<Offset> {
        self.upcoming.last().map(|entry| entry.first_offset)
    }

    /// Whether entries have begun that have not ended.
    pub(crate) fn is_within(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Goes on elsewhere: what was seen tells nothing of the batches there.
    pub(crate) fn leave(&mut self) {
        self.open.clear();
        self.open_from.clear();
    }

    /// Goes past a batch; `false` if it contradicts an entry.
    pub(crate) fn pass(&mut self, batch: &Passed) -> bool {
        self.leave_behind(batch.base);
        self.begin(batch) && self.end(batch) && {
            self.note(batch);
            true
        }
    }

    /// Those whose markers are gone tell of nothing that is there.
    fn leave_behind(&mut self, base: Offset) {
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() < base) {
            self.begun.remove(&first.remove());
        }
    }

    fn begin(&mut self, batch: &Passed) -> bool {
        while let Some(entry) = self.upcoming.pop_if(|next| next.first_offset <= batch.last) {
            let id = entry.producer_id;
            let is_of_it = batch.producer_id == id && matches!(batch.part, Part::Records { .. });
            // What came before in the same transaction would be left out.
            let begins_late = self.open.get(&id).is_some_and(|first| *first < entry.first_offset);
            if (entry.first_offset >= batch.base && !is_of_it) || begins_late {
                return false;
            }
            if entry.last_offset < batch.base {
                continue;
            }
            if self.begun.insert(id, entry).is_some()
                || self.ends.insert(entry.last_offset, id).is_some()
            {
                return false;
            }
        }
        true
    }

    fn end(&mut self, batch: &Passed) -> bool {
        let ended = self.ends.range(batch.base..=batch.last).next().map(|(_, id)| *id);
        if ended.is_some_and(|id| id != batch.producer_id) {
            return false;
        }
        let Part::Marker { committed } = batch.part else { return ended.is_none() };
        let Some(entry) = self.begun.get(&batch.producer_id).copied() else { return true };
        if ended.is_none() {
            return committed.is_none();
        }
        self.begun.remove(&entry.producer_id);
        self.ends.remove(&entry.last_offset);
        let other = self.open_from.iter().find(|(_, id)| *id != entry.producer_id);
        committed != Some(true) && other.is_none_or(|(first, _)| *first >= entry.last_stable_offset)
    }

    fn note(&mut self, batch: &Passed) {
        match batch.part {
            Part::None | Part::Records { is_empty: true } => {}
            Part::Records { is_empty: false } => {
                let first = *self.open.entry(batch.producer_id).or_insert(batch.base);
                self.open_from.insert((first, batch.producer_id));
            }
            Part::Marker { .. } => {
                if let Some(first) = self.open.remove(&batch.producer_id) {
                    self.open_from.remove(&(first, batch.producer_id));
                }
            }
        }
    }
}
