//! What is wrong behind the end of a log that is being read: a torn tail, which is cut off, or damage, for
//! which the log is refused.

use dohle_base::Offset;

use super::{Cut, OnDamage, OpenLog};
use crate::{
    behind::{Torn, Wanted, find_valid},
    disk::{Disk, DiskFile},
    error::{Corruption, DamageReason, LogError, Place},
    log::Log,
    names::FileKind,
};

impl<D: Disk> Log<D> {
    /// Whether what was between a segment's end and the next one is gone: the name of the next one
    /// reached the disk, and what was written before it did not.
    ///
    /// The cleaner leaves gaps, too. Below the point up to which it went all was durable, so nothing
    /// is missing there; that point may be behind the truth, so on a compacted topic a gap with data
    /// behind it may be fine as well: the write-ahead log knows.
    pub(super) fn gap_behind(
        &mut self,
        index: usize,
        expected: Offset,
        how: &OpenLog,
    ) -> Result<Option<(u64, DamageReason)>, LogError> {
        let Some(offset) = self.segments.get(index + 1).map(|next| next.base) else {
            return Ok(None);
        };
        if offset < expected {
            let path = self.dir.file(offset, FileKind::Log);
            return Err(Corruption::new(&path, 0, DamageReason::Overlap { end: expected }).into());
        }
        if offset == expected || offset <= self.cleaned_to {
            return Ok(None);
        }
        let position = self.segments.get(index).map_or(0, |segment| u64::from(segment.size));
        if self.config.compacted && self.find_behind(index, position)?.is_some() {
            // Of what was synced nothing is lost.
            if expected >= self.synced_to(how) {
                self.recovery.gaps.push(expected..offset);
            }
            return Ok(None);
        }
        Ok(Some((position, DamageReason::Gap { expected, offset })))
    }

    /// Cuts the log at `position` of a segment, if what is there is a torn tail or the caller wants
    /// it so. What was durable is never a torn tail.
    pub(super) fn cut(
        &mut self,
        index: usize,
        position: u64,
        reason: DamageReason,
        how: &OpenLog,
    ) -> Result<(), LogError> {
        let base = self.segments.get(index).map_or(self.log_end, |segment| segment.base);
        let path = self.dir.file(base, FileKind::Log);
        let valid_at = match reason {
            // The batch is whole: that is not how a tail is torn.
            DamageReason::OffsetOrder { .. } | DamageReason::OffsetOverflow { .. } => {
                Some(Place { path: path.clone(), position })
            }
            // What follows makes no difference.
            _ if how.on_damage == OnDamage::Cut => None,
            _ => self.find_behind(index, position)?,
        };
        // What lies before the log's start is needed no more.
        let needed = self.log_end.max(self.believed_start(how));
        let synced_to = Some(self.synced_by(how)).filter(|synced| synced.end > needed);
        if synced_to.is_some() || (valid_at.is_some() && how.on_damage == OnDamage::Refuse) {
            return Err(Corruption { path, position, reason, valid_at, synced_to }.into());
        }
        let later = self.segments.get(index + 1..).unwrap_or_default();
        let mut size = later.iter().map(|segment| u64::from(segment.size)).sum::<u64>();
        let segment = self.segments.get_mut(index).expect("it was just scanned");
        let file = segment.file(&self.dir)?;
        size += file.size()?.saturating_sub(position);
        file.truncate(position)?;
        file.sync()?;
        self.remove_segments_from(index + 1)?;
        self.recovery.cut = Some(Cut { path, position, size, reason });
        Ok(())
    }

    /// A valid batch behind what the log ends with so far, in the same segment or a later one.
    fn find_behind(&mut self, index: usize, position: u64) -> Result<Option<Place>, LogError> {
        let (epoch, expected) = (self.epochs.latest(), self.log_end);
        let (mut start, mut torn) = (position + 1, None);
        if let Some(segment) = self.segments.get_mut(index) {
            let goes_on = (expected, epoch, self.config.compacted);
            torn = Torn::at(segment.file(&self.dir)?, position, goes_on)?;
        }
        for segment in self.segments.iter_mut().skip(index) {
            let path = self.dir.file(segment.base, FileKind::Log);
            let expected = expected.max(segment.base);
            let file = segment.file(&self.dir)?;
            let size = file.size()?;
            let wanted = Wanted { expected, epoch, torn: torn.take() };
            if let Some(position) = find_valid(file, (start, size), &wanted)? {
                return Ok(Some(Place { path, position }));
            }
            start = 0;
        }
        Ok(None)
    }
}
