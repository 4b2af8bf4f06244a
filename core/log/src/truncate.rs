//! Taking records away: at the end, because the leader does not have them; at the start, because
//! they were deleted; or all of them.

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::Disk,
    error::{LogError, ReadError},
    flush::SidesSaved,
    log::Log,
    producer_state::Producers,
    segment::Segment,
};

impl<D: Disk> Log<D> {
    /// Takes away all batches that end at `end` or behind: batches are not split. Returns the end
    /// of the log. Durable when it returns; the caller's high watermark and recovery-point
    /// checkpoint have to follow.
    ///
    /// # Errors
    /// `Io`, `Corrupt`; the log is closed then.
    pub fn truncate_to(&mut self, end: Offset, now: Timestamp) -> Result<Offset, LogError> {
        self.check_usable()?;
        if end >= self.log_end {
            return Ok(self.log_end);
        }
        if end < self.log_start || self.segments.first().is_some_and(|first| end < first.base) {
            self.truncate_fully_and_start_at(end, now)?;
            return Ok(self.log_end);
        }
        self.poisoned = true;
        self.truncations += 1;
        self.as_closed = false;
        let index = self.floor(end);
        if index + 1 < self.segments.len() {
            self.retire_segments_from(index + 1, now)?;
            // Else a power cut could leave them behind a segment that is cut: a gap.
            self.dir.disk.sync_dir(self.dir.path())?;
        }
        let segment = self.segments.last_mut().expect("the floor segment stays");
        let located = segment.locate(&self.dir, end)?;
        let position = located.map_or(segment.size, |head| head.position);
        // The log may start in the middle of the batch that goes: it does not end before its start.
        self.log_end = located.map_or(end, |head| head.base.min(end)).max(self.log_start);
        segment.cut(&self.dir, position, self.log_end, &self.config)?;
        segment.cut_aborts(&self.dir, self.log_end)?;
        self.sides_saved.size = self.sides_saved.size.min(self.active().size);
        self.recent.clear();
        self.forget_sealed(self.active().base);
        let log_end = self.log_end;
        self.retire_snapshots(|offset| offset > log_end, now)?;
        self.recovery_point = self.recovery_point.min(self.log_end);
        self.cleaned_to = self.cleaned_to.min(self.log_end);
        if self.epochs.truncate_end(self.log_end) {
            self.save_epochs()?;
        }
        self.restore_producers(self.log_end, false)?;
        self.sync_names()?;
        self.poisoned = false;
        Ok(self.log_end)
    }

    /// Takes everything away: the log goes on at `start`.
    ///
    /// # Errors
    /// `Io`; the log is closed then.
    pub fn truncate_fully_and_start_at(
        &mut self,
        start: Offset,
        now: Timestamp,
    ) -> Result<(), LogError> {
        self.check_usable()?;
        self.poisoned = true;
        self.truncations += 1;
        self.as_closed = false;
        self.restart_at(start, now)?;
        self.recovery_point = start;
        self.cleaned_to = Offset::ZERO;
        self.sync_names()?;
        self.poisoned = false;
        Ok(())
    }

    /// Moves the log's start forward: what lies before may be read no more. The segments stay until
    /// `remove_old_segments`. Does nothing if the start is there or behind already.
    ///
    /// # Errors
    /// `OutOfRange` if the log does not reach there.
    pub fn advance_log_start(&mut self, to: Offset) -> Result<(), ReadError> {
        self.check_usable()?;
        if to > self.log_end {
            let (start, end) = (self.log_start, self.log_end);
            return Err(ReadError::OutOfRange { offset: to, start, end });
        }
        if to <= self.log_start {
            return Ok(());
        }
        self.move_log_start(to);
        Ok(())
    }

    /// The head of the epochs on the disk may stay as it was until the next flush: it tells what is
    /// true of records that are no more, and whoever reads it, here or in Kafka, cuts it at the log's
    /// start. So nothing waits for the disk here.
    pub(crate) fn move_log_start(&mut self, to: Offset) {
        if to > self.log_start {
            self.log_start = to;
            self.producers.release_ended(to);
            self.unsaved_epochs |= self.epochs.truncate_start(to);
        }
    }

    /// Takes the segments out of the log that lie wholly before its start; says how many.
    ///
    /// # Errors
    /// `Io`; to try again is safe.
    pub fn remove_old_segments(&mut self, now: Timestamp) -> Result<usize, LogError> {
        self.check_usable()?;
        let count = self.floor(self.log_start);
        for _ in 0..count {
            self.remove_first_segment(now)?;
        }
        Ok(count)
    }

    /// Takes the first segment out of the log, which must have another one.
    pub(crate) fn remove_first_segment(&mut self, now: Timestamp) -> Result<(), LogError> {
        let [first, second, ..] = &self.segments[..] else { return Ok(()) };
        let (base, next) = (first.base, second.base);
        if self.removal_needs_sync(next) {
            self.sync_names()?;
        }
        // Also if not all of it succeeds.
        self.removals += 1;
        self.retire_segment(base, now)?;
        self.segments.remove(0);
        self.forget_one_sealed(base);
        Ok(self.retire_snapshots(|offset| offset < next, now)?)
    }

    /// Whether names are to be synced before the first segment goes, so that the log begins at `next`.
    /// That one has to be found: no frame tells where the log begins. And so have the removals before,
    /// or a power cut could leave an older segment and a gap behind it.
    pub(crate) fn removal_needs_sync(&self, next: Offset) -> bool {
        !self.are_removals_durable() || !self.is_name_durable(next)
    }

    /// Starts anew with an empty segment.
    pub(crate) fn restart_at(&mut self, start: Offset, now: Timestamp) -> Result<(), LogError> {
        if self.segments.len() > 1 {
            self.retire_segments_from(1, now)?;
            // Else a power cut could leave one of them alone, as if the log began there.
            self.dir.disk.sync_dir(self.dir.path())?;
        }
        if let Some(base) = self.segments.first().map(|first| first.base) {
            self.retire_segment(base, now)?;
        }
        // A log has at least one segment, even if the one that is to be is not made.
        self.segments = vec![Segment::sealed(start, 0, now)];
        self.retire_snapshots(|_| true, now)?;
        self.segments = vec![Segment::create(&self.dir, start, &self.config, now)?];
        self.names_changed = true;
        self.sides_saved = SidesSaved::default();
        self.recent.clear();
        self.forget_sealed(Offset::ZERO);
        self.log_start = start;
        self.log_end = start;
        self.producers = Producers::from_states(Vec::new(), start);
        self.epochs.clear();
        self.save_epochs()?;
        Ok(())
    }
}
