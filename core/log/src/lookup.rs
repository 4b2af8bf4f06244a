//! Looking for records by their time.
//!
//! A batch may lie here whose head says of its times what its records do not, or whose records nobody
//! can read: a client made it so, and nobody looked into it (ADR 9). It is passed over, and stands in
//! nobody's way.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchError, Entry};

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

impl<D: Disk> Log<D> {
    /// The first record from the log's start on with `timestamp` or a greater one.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let start = self.log_start;
        for index in self.floor(start)..self.segments.len() {
            let Some(segment) = self.segments.get_mut(index) else { break };
            if segment.newest(&self.dir)?.timestamp < timestamp {
                continue;
            }
            // Up to the entry's batch there is nothing as late, but for just that time.
            let before = Timestamp(timestamp.0.saturating_sub(1));
            let from = segment.time_floor(&self.dir, before)?.max(start);
            let found = self.first_record(index, from, |time| time >= timestamp)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The record with the greatest timestamp, the first of those. `None` if no record has one. It may
    /// lie before the log's start, as long as its segment is there: so does Kafka's. Where no record of
    /// the batch has the time that its head says, it is the last one.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn max_timestamp(&mut self) -> Result<Option<TimestampOffset>, LogError> {
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
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        let before = Timestamp(timestamp.0.saturating_sub(1));
        let from = segment.time_floor(&self.dir, before)?;
        let found = self.first_record(index, from, |time| time >= timestamp)?;
        let leader_epoch = self.epochs.epoch_of(offset);
        Ok(found.or(Some(TimestampOffset { timestamp, offset, leader_epoch })))
    }

    /// The first record of a segment at `from` or behind whose time is `wanted`.
    fn first_record(
        &mut self,
        index: usize,
        from: Offset,
        wanted: impl Fn(Timestamp) -> bool,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        let is_open = segment.open_file().is_some();
        let located = segment.locate(&self.dir, from)?;
        let limit = self.config.decompressed_bytes_max;
        let file = segment.file(&self.dir)?.clone();
        if !is_open {
            segment.release();
        }
        let Some(first) = located else { return Ok(None) };
        let mut heads = HeadScan::new(&file, first.position, segment.size);
        while let Some(head) = heads.next()? {
            if wanted(head.max_timestamp) {
                let found = record_in(&file, &head, from, limit, &wanted)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }
}

/// The first record of a batch at `from` or behind whose time is `wanted`. None of a batch that lies as
/// it was sent, and whose records cannot be read.
fn record_in<F: DiskFile>(
    file: &F,
    head: &Head,
    from: Offset,
    limit: usize,
    wanted: impl Fn(Timestamp) -> bool,
) -> Result<Option<TimestampOffset>, LogError> {
    let position = u64::from(head.position);
    let damaged = |error| Corruption::new(file.path(), position, DamageReason::Batch(error));
    let mut scan = BatchScan::new(file, position, u64::from(head.end()));
    let entry = match scan.next()? {
        Scanned::Entry(_, entry) => entry,
        Scanned::Damaged(_, error) => return Err(damaged(error).into()),
        Scanned::End => return Ok(None),
    };
    let found = match first_in(&entry, limit, |offset, time| offset >= from && wanted(time)) {
        Ok(found) => found,
        Err(error) => {
            entry.check_crc().map_err(|_| damaged(error))?;
            None
        }
    };
    let leader_epoch = head.leader_epoch;
    Ok(found.map(|(offset, timestamp)| TimestampOffset { timestamp, offset, leader_epoch }))
}

fn first_in(
    entry: &Entry<'_>,
    limit: usize,
    is_wanted: impl Fn(Offset, Timestamp) -> bool,
) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    for record in entry.decompress(limit)?.records() {
        let record = record?;
        if is_wanted(record.offset, record.timestamp) {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}
