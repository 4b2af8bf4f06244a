//! Appending what a leader has given its place.

use std::io::IoSlice;

use dohle_base::{LeaderEpoch, Timestamp};
use dohle_records::{BatchError, Entries, Entry, entries};
use smallvec::SmallVec;

use super::{Appended, Coming};
use crate::{
    disk::Disk, epoch_cache::EpochStart, error::AppendError, log::Log, offset_index::relative,
    scan::Head, segment::SEGMENT_SIZE_MAX,
};

impl<D: Disk> Log<D> {
    /// Appends what a leader sent, as it is. Batches that are there already are passed over, and
    /// one that was cut off at the end is left for the next fetch. `None` if nothing is left.
    ///
    /// Batches of an epoch after `leader_epoch`, the one that the leader is known in, are left out:
    /// they come from a later leader than the one that was asked.
    ///
    /// # Errors
    /// `OutOfOrder` if a batch begins before the log's end and does not end there; the log is as it
    /// was, but for `Log`.
    pub fn append_as_follower(
        &mut self,
        batches: &[u8],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        self.check_usable()?;
        let heads = self.check_replica(batches, leader_epoch)?;
        let (Some((start, first)), Some((_, last))) = (heads.first(), heads.last()) else {
            return Ok(None);
        };
        let (start, base_offset, last_offset) = (*start, first.base, last.last);
        let end = heads.iter().map(|(_, head)| head.size as usize).sum::<usize>() + start;
        let starts =
            heads.iter().map(|(_, head)| EpochStart { epoch: head.leader_epoch, start: head.base });
        self.assign_epochs(starts);
        let mut run = heads.as_slice();
        while let Some((position, head)) = run.first() {
            let count = self.make_room(run, now)?;
            let (these, later) = run.split_at(count);
            let size = these.iter().map(|(_, head)| head.size as usize).sum::<usize>();
            let bytes = batches.get(*position..position + size).unwrap_or_default();
            assert!(head.base >= self.log_end, "checked before anything was written");
            self.write(&[IoSlice::new(bytes)])?;
            for entry in entries(bytes) {
                let entry = entry.map_err(AppendError::Batch)?;
                self.take_in(&entry)?;
            }
            run = later;
        }
        Ok(Some(Appended {
            base_offset,
            last_offset,
            log_append_time: Timestamp::NONE,
            log_start_offset: self.log_start,
            size: end - start,
            duplicate: false,
        }))
    }

    /// Takes in an entry that has been written.
    fn take_in(&mut self, entry: &Entry<'_>) -> Result<(), AppendError> {
        let head = Head::parse(entry.bytes(), self.active().size)?;
        let ended = self.producers.apply_entry(entry);
        self.note(head, ended)?;
        Ok(())
    }

    /// The batches of a response that are to be appended, with their places in it.
    fn check_replica(
        &self,
        batches: &[u8],
        leader_epoch: LeaderEpoch,
    ) -> Result<SmallVec<[(usize, Head); 4]>, AppendError> {
        let mut heads = SmallVec::<[(usize, Head); 4]>::new();
        let mut expected = self.log_end;
        let mut walk: Entries<'_> = entries(batches);
        loop {
            let position = walk.position();
            let entry = match walk.next() {
                None | Some(Err(BatchError::Truncated { .. })) => return Ok(heads),
                Some(entry) => entry?,
            };
            let head = Head::parse(entry.bytes(), 0)?;
            if head.last < self.log_end && heads.is_empty() {
                continue;
            }
            if head.base < expected {
                let (first, last) = (head.base, head.last);
                return Err(AppendError::OutOfOrder { expected, first, last });
            }
            if head.leader_epoch > leader_epoch {
                return Ok(heads);
            }
            entry.check_crc()?;
            expected = head.last.next();
            heads.push((position, head));
        }
    }

    /// Rolls if the first of these batches needs it, and says how many fit in the segment then; at
    /// least one.
    fn make_room(&mut self, run: &[(usize, Head)], now: Timestamp) -> Result<usize, AppendError> {
        let Some((_, first)) = run.first() else { return Ok(0) };
        let coming = |head: &Head| Coming {
            size: head.size as usize,
            base: head.base,
            last: head.last,
            max_timestamp: head.max_timestamp,
        };
        if self.should_roll(&coming(first), now)? {
            self.roll_to(first.base, now)?;
        }
        let segment = self.active();
        let mut size = segment.size as usize;
        let fits = run.iter().take_while(|(_, head)| {
            size += head.size as usize;
            size <= self.config.segment_bytes_max as usize
                && relative(segment.base, head.last).is_some()
        });
        // A leader may allow larger batches than fit a segment of ours.
        let count = fits.count().max(1);
        let size = segment.size as usize + first.size as usize;
        if size > SEGMENT_SIZE_MAX as usize {
            let size_max = SEGMENT_SIZE_MAX as usize;
            return Err(AppendError::LargerThanSegment { size, size_max });
        }
        Ok(count)
    }
}
