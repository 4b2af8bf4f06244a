//! At which offset each leader epoch of a partition begins.
//!
//! Replicas find the point where their logs part by comparing epochs, not offsets (KIP-101,
//! KIP-279). The invariant: epochs and offsets both strictly ascend, but for an epoch that ended
//! without a record, whose entry the next one replaces.
//!
//! Pure: `checkpoint` keeps the entries on the disk, `Log` decides when.

#[cfg(test)]
mod tests;

use dohle_base::{LeaderEpoch, Offset};

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of its first record.
    pub start: Offset,
}

/// Where an epoch ends, as a leader answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The greatest epoch that is known up to the one that was asked for; `NONE` if unknown.
    pub epoch: LeaderEpoch,
    /// The offset behind its last record; −1 if unknown.
    pub end: Offset,
}

impl EpochEnd {
    /// The epoch is newer than all that are known.
    pub const UNKNOWN: Self = Self { epoch: LeaderEpoch::NONE, end: Offset(-1) };
}

/// The epochs of one partition's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochStart>,
}

impl EpochCache {
    /// Entries from a checkpoint. Those that break the order are dropped in favour of later ones,
    /// as if each had been assigned in turn.
    pub fn from_entries(entries: Vec<EpochStart>) -> Self {
        let mut cache = Self { entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            cache.assign(entry);
        }
        cache
    }

    /// The entries in ascending order.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The oldest entry and the newest; `None` if none is known.
    pub(crate) fn ends(&self) -> Option<(EpochStart, EpochStart)> {
        Some((*self.entries.first()?, *self.entries.last()?))
    }

    /// The newest epoch; `NONE` if none is known.
    pub fn latest(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    /// Notes that an epoch begins. Entries that cannot be true beside it go. Says whether anything
    /// changed.
    pub fn assign(&mut self, entry: EpochStart) -> bool {
        if entry.epoch.0 < 0 || entry.start.0 < 0 {
            return false;
        }
        if self
            .entries
            .last()
            .is_some_and(|last| last.epoch == entry.epoch && last.start <= entry.start)
        {
            return false;
        }
        let kept = |old: &EpochStart| old.epoch < entry.epoch && old.start < entry.start;
        let kept = self.entries.iter().rposition(kept).map_or(0, |index| index + 1);
        self.entries.truncate(kept);
        self.entries.push(entry);
        true
    }

    /// Where epoch `asked` ends in a log that ends at `log_end`, by the rules for a leader's
    /// answer.
    ///
    /// Source: interop facts D.6.
    pub fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> EpochEnd {
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else {
            return EpochEnd::UNKNOWN;
        };
        if asked == last.epoch {
            return EpochEnd { epoch: asked, end: log_end };
        }
        if asked.0 < 0 || asked > last.epoch {
            return EpochEnd::UNKNOWN;
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= asked);
        match (
            next.checked_sub(1).and_then(|index| self.entries.get(index)),
            self.entries.get(next),
        ) {
            (Some(floor), Some(next)) => EpochEnd { epoch: floor.epoch, end: next.start },
            _ => EpochEnd { epoch: asked, end: first.start },
        }
    }

    /// The epoch of the record at `offset`; `NONE` if it lies before all that are known.
    pub fn epoch_of(&self, offset: Offset) -> LeaderEpoch {
        let next = self.entries.partition_point(|entry| entry.start <= offset);
        let floor = next.checked_sub(1).and_then(|index| self.entries.get(index));
        floor.map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    /// The log now ends at `end`: epochs that began there or later go. Says whether anything
    /// changed.
    pub fn truncate_end(&mut self, end: Offset) -> bool {
        let kept = self.entries.partition_point(|entry| entry.start < end);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// The log now starts at `start`: epochs that ended before it go, the one that covers it begins
    /// there. Says whether anything changed.
    pub fn truncate_start(&mut self, start: Offset) -> bool {
        let covering = self.entries.partition_point(|entry| entry.start <= start);
        let Some(covering) = covering.checked_sub(1) else { return false };
        self.entries.drain(..covering);
        match self.entries.first_mut() {
            Some(first) if first.start != start => {
                first.start = start;
                true
            }
            _ => covering > 0,
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
