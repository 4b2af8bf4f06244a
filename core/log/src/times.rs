//! The times of a segment's records, as its `.timeindex` tells them and its batches confirm.
//!
//! The index alone is not believed: it may have lost its end, or be damaged, and then says that all of
//! the segment is older than it is. An entry counts if the batch that it names has its time. That it is
//! the last one, which closes the index of a sealed segment, costs a look at the last batches: where
//! times ascend, none of them is newer. Where they do not, only a walk behind it tells for sure, which
//! is made before records go for their age.

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode},
    error::LogError,
    names::FileKind,
    scan::{Head, HeadScan},
    search::InFile,
    segment::{Dir, Segment},
    time_index::{self, IndexedTime},
};

impl<F: DiskFile> Segment<F> {
    /// From which offset on a batch with `timestamp` or a greater one may be.
    pub(crate) fn time_floor<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        timestamp: Timestamp,
    ) -> Result<Offset, LogError> {
        let Some(entry) = self.indexed_time(dir, timestamp)? else { return Ok(self.base) };
        // An index that leads astray costs time, not truth.
        Ok(self.confirm(dir, entry)?.map_or(self.base, |_| entry.offset))
    }

    /// The greatest timestamp in the segment and the last offset of its batch, as far as that can be
    /// told without a look at all batches.
    pub(crate) fn newest<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
    ) -> Result<IndexedTime, LogError> {
        self.ask_unasked(dir)?;
        if let Some(newest) = self.newest {
            return Ok(newest);
        }
        let none = IndexedTime::none(self.base);
        if self.size == 0 {
            self.newest = Some(none);
            return Ok(none);
        }
        let is_open = self.open_file().is_some();
        let told = self.indexed_time(dir, Timestamp(i64::MAX))?.unwrap_or(none);
        let end = self.index_floor(dir, Offset(i64::MAX))?.map_or(0, |entry| entry.position);
        let newest = match self.confirm(dir, told)? {
            Some(head) => match self.newest_behind(dir, end, told) {
                Ok(newest) if newest == told => told,
                // Its end is missing, or the other index's is wrong.
                _ => self.newest_behind(dir, head.position, told)?,
            },
            None => self.newest_behind(dir, 0, none)?,
        };
        self.settle_newest(told, newest);
        if !is_open {
            self.release();
        }
        Ok(newest)
    }

    /// The same, but for sure: reads the heads of all batches behind the one that is told, which are few
    /// where times ascend.
    pub(crate) fn newest_for_sure<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
    ) -> Result<IndexedTime, LogError> {
        let told = self.newest(dir)?;
        let is_open = self.open_file().is_some();
        let start = self.confirm(dir, told)?.map_or(0, |head| head.position);
        let newest = self.newest_behind(dir, start, told)?;
        self.settle_newest(told, newest);
        if !is_open {
            self.release();
        }
        Ok(newest)
    }

    /// Notes the greatest timestamp. Indexes that told another one are made anew.
    fn settle_newest(&mut self, told: IndexedTime, newest: IndexedTime) {
        self.lacks_indexes |= told != newest && self.indexes.is_none();
        self.newest = Some(newest);
    }

    /// The last entry up to `timestamp`.
    fn indexed_time<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        timestamp: Timestamp,
    ) -> Result<Option<IndexedTime>, IoError> {
        if let Some(indexes) = &self.indexes {
            return Ok(indexes.times.floor(timestamp));
        }
        match dir.open(self.base, FileKind::TimeIndex, OpenMode::Read) {
            Ok(file) => time_index::floor(&mut InFile::new(&file)?, self.base, timestamp),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The batch that an entry tells of, if it has its time.
    pub(crate) fn confirm<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        entry: IndexedTime,
    ) -> Result<Option<Head>, LogError> {
        if entry == IndexedTime::none(self.base) {
            return Ok(None);
        }
        let located = self.locate(dir, entry.offset)?;
        Ok(located.filter(|head| head.max_timestamp == entry.timestamp))
    }

    /// The greatest timestamp of the batches from `position` on, if it is greater than `known`.
    pub(crate) fn newest_behind<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        position: u32,
        known: IndexedTime,
    ) -> Result<IndexedTime, LogError> {
        let mut newest = known;
        let mut scan = self.heads(dir, position)?;
        while let Some(head) = scan.next()? {
            if head.max_timestamp > newest.timestamp {
                newest = IndexedTime { timestamp: head.max_timestamp, offset: head.last };
            }
        }
        Ok(newest)
    }

    /// When the file was last changed, from which the age of a segment counts whose records have no time.
    pub(crate) fn changed_at<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
    ) -> Result<Timestamp, IoError> {
        let is_open = self.open_file().is_some();
        let changed = self.file(dir)?.modified()?;
        if !is_open {
            self.release();
        }
        Ok(changed.unwrap_or(self.opened_at))
    }

    /// The greatest timestamp of the first batch, from which the segment's age counts.
    pub(crate) fn first_timestamp<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
    ) -> Result<Timestamp, LogError> {
        if let Some(timestamp) = self.first_timestamp {
            return Ok(timestamp);
        }
        let size = self.size;
        if size == 0 {
            return Ok(Timestamp::NONE);
        }
        let head = HeadScan::new(self.file(dir)?, 0, size).next()?;
        let timestamp = head.map_or(Timestamp::NONE, |head| head.max_timestamp);
        if head.is_some() {
            self.first_timestamp = Some(timestamp);
        }
        Ok(timestamp)
    }
}
