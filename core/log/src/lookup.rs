//! Looking for records by their time.
//!
//! ```text
//! under the lock   begin_time_search, by the indexes       ─▶ TimeSearch
//! without          TimeSearch::run reads heads and batches ─▶ found, or on with the next segment
//! under the lock   is_current: nothing was cut meanwhile
//! ```
//!
//! Batches may be large, and have to be decompressed up to the record: whoever holds the log for others
//! has them wait for none of that. What a search goes through is open, so it stays there.
//!
//! A batch may lie here whose head says of its times what its records do not, or whose records nobody
//! can read: a client made it so, and nobody looked into it (ADR 9). It is passed over, and stands in
//! nobody's way.

use dohle_base::{LeaderEpoch, Offset, Timestamp};

use crate::{
    disk::{Disk, DiskFile},
    error::{Corruption, DamageReason, LogError},
    log::Log,
    scan::{BatchScan, Head, HeadScan, Scanned},
    time_index::IndexedTime,
};

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its time.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
}

/// A segment in which a record of some time may be: who has it needs the log no more.
#[derive(Clone, Debug)]
pub struct TimeSearch<F> {
    file: F,
    /// Where the first batch begins that may have it, and where the last one ended when this was made.
    position: u32,
    end: u32,
    /// Records before are not looked for.
    from: Offset,
    /// The least time that is.
    timestamp: Timestamp,
    decompressed_bytes_max: usize,
    /// What is told if no record is found, if anything.
    otherwise: Option<TimestampOffset>,
    next: Option<Offset>,
    truncations: u64,
}

impl<F: DiskFile> TimeSearch<F> {
    /// The first record there that has the time or a later one. It may take long: what it finds once
    /// `goes_on` says no means nothing, and comes soon.
    ///
    /// # Errors
    /// `Corrupt`, which may tell of what was cut meanwhile: see `Log::is_current`; `Io`.
    pub fn run(&self, goes_on: impl Fn() -> bool) -> Result<Option<TimestampOffset>, LogError> {
        let mut heads = HeadScan::new(&self.file, self.position, self.end);
        while let Some(head) = heads.next()?
            && goes_on()
        {
            if head.max_timestamp >= self.timestamp
                && let Some(found) = self.record_in(&head, &goes_on)?
            {
                return Ok(Some(found));
            }
        }
        Ok(self.otherwise)
    }

    /// From where on to search if this finds nothing; `None` if nowhere.
    pub fn next(&self) -> Option<Offset> {
        self.next
    }

    /// The first wanted record of a batch. None of a batch that lies as it was sent, and whose records
    /// cannot be read.
    fn record_in(
        &self,
        head: &Head,
        goes_on: impl Fn() -> bool,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let position = u64::from(head.position);
        let damaged =
            |error| Corruption::new(self.file.path(), position, DamageReason::Batch(error));
        let mut scan = BatchScan::new(&self.file, position, u64::from(head.end()));
        let entry = match scan.next()? {
            Scanned::Entry(_, entry) => entry,
            Scanned::Damaged(_, error) => return Err(damaged(error).into()),
            Scanned::End => return Ok(None),
        };
        let is_wanted = |offset: Offset, time: Timestamp| {
            offset >= self.from && time >= self.timestamp || !goes_on()
        };
        let found = match entry.find(self.decompressed_bytes_max, is_wanted) {
            Ok(found) => found,
            Err(error) => {
                entry.check_crc().map_err(|_| damaged(error))?;
                None
            }
        };
        let leader_epoch = head.leader_epoch;
        Ok(found.map(|(offset, timestamp)| TimestampOffset { timestamp, offset, leader_epoch }))
    }
}

impl<D: Disk> Log<D> {
    /// The first record from the log's start on with `timestamp` or a greater one, searched for here.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let mut from = Some(self.log_start);
        while let Some(start) = from {
            let Some(search) = self.begin_time_search(timestamp, start)? else { break };
            let found = search.run(|| true)?;
            if found.is_some() {
                return Ok(found);
            }
            from = search.next();
        }
        Ok(None)
    }

    /// The record with the greatest timestamp, the first of those, searched for here: see
    /// `begin_newest_search`.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn max_timestamp(&mut self) -> Result<Option<TimestampOffset>, LogError> {
        self.begin_newest_search()?.map_or(Ok(None), |search| search.run(|| true))
    }

    /// Where the first record from `from` on with `timestamp` or a greater one may be; `None` if there is
    /// none.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn begin_time_search(
        &mut self,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<TimeSearch<D::File>>, LogError> {
        let start = from.max(self.log_start);
        for index in self.floor(start)..self.segments.len() {
            let Some(segment) = self.segments.get_mut(index) else { break };
            if segment.newest(&self.dir)?.timestamp < timestamp {
                continue;
            }
            let search = self.search(index, timestamp, start)?;
            if let Some(search) = search {
                let next = self.segments.get(index + 1).map(|next| next.base);
                return Ok(Some(TimeSearch { next, ..search }));
            }
        }
        Ok(None)
    }

    /// Where the record with the greatest timestamp is, the first of those. `None` if no record has one. It
    /// may lie before the log's start, as long as its segment is there: so does Kafka's. Where no record of
    /// the batch has the time that its head says, it is the last one.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn begin_newest_search(&mut self) -> Result<Option<TimeSearch<D::File>>, LogError> {
        let mut newest: Option<(usize, IndexedTime)> = None;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let this = segment.newest(&self.dir)?;
            if newest.is_none_or(|(_, greatest)| this.timestamp > greatest.timestamp) {
                newest = Some((index, this));
            }
        }
        let Some((index, IndexedTime { timestamp, offset })) =
            newest.filter(|(_, newest)| newest.timestamp > Timestamp::NONE)
        else {
            return Ok(None);
        };
        let leader_epoch = self.epochs.epoch_of(offset);
        let otherwise = Some(TimestampOffset { timestamp, offset, leader_epoch });
        let search = self.search(index, timestamp, Offset::ZERO)?;
        Ok(search.map(|search| TimeSearch { otherwise, ..search }))
    }

    /// Whether nothing was cut off the log since a search of it began: else it may have found what is no
    /// more, and has to be made again.
    pub fn is_current(&self, search: &TimeSearch<D::File>) -> bool {
        self.truncations == search.truncations
    }

    /// Where in a segment the first record at `from` or behind may be that has the time.
    fn search(
        &mut self,
        index: usize,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<TimeSearch<D::File>>, LogError> {
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        let is_open = segment.open_file().is_some();
        // Up to the entry's batch there is nothing as late, but for just that time.
        let before = Timestamp(timestamp.0.saturating_sub(1));
        let from = segment.time_floor(&self.dir, before)?.max(from);
        let located = segment.locate(&self.dir, from)?;
        let file = segment.file(&self.dir)?.clone();
        if !is_open {
            segment.release();
        }
        Ok(located.map(|first| TimeSearch {
            file,
            position: first.position,
            end: segment.size,
            from,
            timestamp,
            decompressed_bytes_max: self.config.decompressed_bytes_max,
            otherwise: None,
            next: None,
            truncations: self.truncations,
        }))
    }
}
