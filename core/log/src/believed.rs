//! How far an index of aborted transactions is believed that this process has not written.
//!
//! It has no checksum. So before a reader is told of an entry the batches of that transaction are asked, and
//! if one contradicts it the index is made anew from the batches. What was asked is remembered:
//!
//! ```text
//! before          entries that the answer rests on        ahead
//! [ ends here ] [ asked ][ asked ][ asked ]          [ asked, too ]
//!             └────────────────── believed ───────────────────────┘   by the offsets of their markers
//! ```
//!
//! Readers of the partition wait meanwhile, so no more is asked than the answer needs and a little ahead, for
//! readers who go on. What is missing in an index is not noticed here: that would cost reading all of the
//! segment. The cleaner, which does, notices.

use dohle_base::Offset;

use crate::{
    disk::Disk,
    error::LogError,
    log::Log,
    producer_state::Producers,
    txn_index::{self, AbortedTransaction, Told},
};

/// How many bytes of batches are asked about at once behind those that a reader wants, so that small fetches
/// do not go back a little each.
const AHEAD: u32 = 4 << 20;
/// How many ranges are remembered: readers in so many places of a segment.
const RANGES_MAX: usize = 64;

/// Which entries of an index are believed.
#[derive(Debug, Default)]
pub(crate) struct Believed {
    /// Whether the entries were held against each other.
    is_read: bool,
    /// Those whose last offset is behind the first of a pair, and not behind the second; and that nothing
    /// before ends behind the first.
    ranges: Vec<(Offset, Offset)>,
}

impl Believed {
    /// Whether an entry is believed.
    fn has(&self, entry: &AbortedTransaction) -> bool {
        let last = entry.last_offset;
        self.ranges.iter().any(|(start, end)| *start < last && last <= *end)
    }

    /// Whether it is believed of an entry where it ends.
    fn has_end(&self, entry: &AbortedTransaction) -> bool {
        self.ranges.iter().any(|(start, end)| (*start..=*end).contains(&entry.last_offset))
    }

    fn covers(&self, told: &Told) -> bool {
        told.before.is_none_or(|before| self.has_end(&before))
            && told.entries.iter().all(|entry| self.has(entry))
    }

    fn is_all(&self) -> bool {
        self.ranges.contains(&(Offset(i64::MIN), Offset(i64::MAX)))
    }

    /// Believes what this process writes, from an entry on.
    pub(crate) fn believe_from(&mut self, last_offset: Offset) {
        self.add(Offset(last_offset.0.saturating_sub(1)), Offset(i64::MAX));
    }

    fn add(&mut self, mut start: Offset, mut end: Offset) {
        self.ranges.retain(|range| {
            let is_apart = range.1 < start || end < range.0;
            if !is_apart {
                (start, end) = (start.min(range.0), end.max(range.1));
            }
            is_apart
        });
        if self.ranges.len() == RANGES_MAX {
            self.ranges.remove(0);
        }
        self.ranges.push((start, end));
    }
}

impl<D: Disk> Log<D> {
    /// The segments, by base and bytes.
    pub(crate) fn extents(&self) -> Vec<(Offset, u32)> {
        self.segments.iter().map(|segment| (segment.base, segment.size)).collect()
    }

    /// What the index of a segment tells a reader of some records, once the batches bear it out.
    pub(crate) fn aborts_told(
        &mut self,
        index: usize,
        range: (Offset, Offset),
    ) -> Result<Told, LogError> {
        let Some(segment) = self.segments.get(index) else { return Ok(Told::default()) };
        let told = segment.aborts_told(&self.dir, range, Offset::ZERO)?;
        if segment.believed_aborts.as_ref().is_none_or(|believed| believed.covers(&told)) {
            return Ok(told);
        }
        self.check_aborts(index, range)?;
        let Some(segment) = self.segments.get(index) else { return Ok(Told::default()) };
        segment.aborts_told(&self.dir, range, Offset::ZERO)
    }

    /// Asks the batches whether what the index of a segment tells of some records can be true, and makes it
    /// anew if not.
    fn check_aborts(&mut self, index: usize, range: (Offset, Offset)) -> Result<(), LogError> {
        let borne_out = self.ask_batches(index, range)?;
        let Some(segment) = self.segments.get_mut(index) else { return Ok(()) };
        let believed = segment.believed_aborts.as_mut();
        let (Some(believed), Some((start, end))) = (believed, borne_out) else {
            segment.believed_aborts = None;
            return self.remake_aborts(index);
        };
        believed.is_read = true;
        believed.add(start, end);
        if believed.is_all() {
            segment.believed_aborts = None;
        }
        Ok(())
    }

    /// Which entries can be believed now, those that the records are told by among them; `None` if one is
    /// contradicted. Where the batches cannot be read none is: who reads them is told.
    fn ask_batches(
        &self,
        index: usize,
        range: (Offset, Offset),
    ) -> Result<Option<(Offset, Offset)>, LogError> {
        let all = (Offset(i64::MIN), Offset(i64::MAX));
        let Some(segment) = self.segments.get(index) else { return Ok(Some(all)) };
        let Some(believed) = &segment.believed_aborts else { return Ok(Some(all)) };
        let mut range = range;
        if !believed.is_read {
            let entries = segment.aborts(&self.dir)?;
            let next = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
            let is_within =
                |entry: &AbortedTransaction| (segment.base..next).contains(&entry.last_offset);
            if !entries.iter().all(is_within) || !entries.is_sorted_by_key(|e| e.last_offset) {
                return Ok(None);
            }
            range = if are_told_in_time(&entries) { range } else { all };
        }
        let told = segment.aborts_told(&self.dir, range, self.ahead_of(index, range.1)?)?;
        let start = told.before.map_or(all.0, |before| before.last_offset);
        let last = told.entries.last().filter(|_| !told.is_to_end);
        let end = last.map_or(all.1, |last| last.last_offset);
        let before = told.before.filter(|before| !believed.has_end(before));
        let unknown = told.entries.into_iter().filter(|entry| !believed.has(entry));
        match self.bear_out(before, &unknown.collect::<Vec<_>>()) {
            Ok(are_borne_out) => Ok(are_borne_out.then_some((start, end))),
            Err(LogError::Corrupt(_)) => Ok(Some((start, end))),
            Err(error) => Err(error),
        }
    }

    /// Whether no batch contradicts some entries, nor where the one before them ends.
    fn bear_out(
        &self,
        before: Option<AbortedTransaction>,
        entries: &[AbortedTransaction],
    ) -> Result<bool, LogError> {
        let segments = self.extents();
        if let Some(before) = before
            && !txn_index::bears_out_end(&self.dir, &segments, &before)?
        {
            return Ok(false);
        }
        txn_index::bear_out(&self.dir, &segments, entries)
    }

    /// The offset so far behind one that what ends before it is asked about at once.
    fn ahead_of(&self, index: usize, up_to: Offset) -> Result<Offset, LogError> {
        let Some(segment) = self.segments.get(index) else { return Ok(up_to) };
        let start = segment.index_floor(&self.dir, up_to)?.map_or(0, |entry| entry.position);
        let entry = segment.index_ceiling(&self.dir, start.saturating_add(AHEAD))?;
        Ok(entry.map_or(Offset(i64::MAX), |entry| entry.offset))
    }

    /// Makes the index of a segment anew from the batches, if they can be read.
    fn remake_aborts(&mut self, index: usize) -> Result<(), LogError> {
        let Some(base) = self.segments.get(index).map(|segment| segment.base) else {
            return Ok(());
        };
        let next = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
        let producers = self.producers_before(base)?;
        let replayed = txn_index::replay(
            &self.dir,
            &self.extents(),
            producers,
            |producers| producers.end() >= next,
            |_| Ok::<_, LogError>(()),
        );
        let mut entries = match replayed {
            Ok(entries) => entries,
            Err(LogError::Corrupt(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        entries.retain(|entry| entry.last_offset >= base);
        let recovery_point = self.recovery_point;
        let Some(segment) = self.segments.get_mut(index) else { return Ok(()) };
        segment.put_aborts(&self.dir, entries, recovery_point)?;
        self.names_changed |= segment.unsaved_aborts.is_some();
        Ok(())
    }

    /// Producers as of `base`, or of any batch before. A snapshot that knows nobody may be one of a
    /// version that knew nothing.
    fn producers_before(&self, base: Offset) -> Result<Producers, LogError> {
        for offset in self.snapshots.range(..=base).rev() {
            if let Ok(producers) = self.read_snapshot(*offset)?
                && producers.states().len() > 0
            {
                return Ok(producers);
            }
        }
        Ok(Producers::from_states(Vec::new(), self.first_base_offset()))
    }
}

/// Whether no entry has a last stable offset that later ones contradict: they were open then, if they had
/// begun. A reader who believed it would not be told of them.
fn are_told_in_time(entries: &[AbortedTransaction]) -> bool {
    let mut first = Offset(i64::MAX);
    entries.iter().rev().all(|entry| {
        let is_in_time = entry.last_stable_offset <= first;
        first = first.min(entry.first_offset);
        is_in_time
    })
}
