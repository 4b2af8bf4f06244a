//! Appending: at a leader, where batches get offsets and an epoch, and at a follower, where they
//! have them.
//!
//! All batches that a leader appends in one call go to the disk in one write, and only then does the
//! log's end move; a roll or a new epoch that it needs comes before. If the write fails, what it left
//! is cut off; if that fails, too, the log is closed.
//!
//! The append path makes no sync. It opens files only to roll, which happens once in a segment.

use std::io::IoSlice;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchError, BatchView, Entries, Entry, TimestampType, entries};
use smallvec::SmallVec;

use crate::{
    disk::{Disk, DiskFile, IoError},
    epoch_cache::EpochStart,
    error::{AppendError, LogError},
    log::{Log, remove_segment_files},
    names::FileKind,
    offset_index::relative,
    partition_metadata,
    prepare::{Prepared, prepare},
    producer_state::{Batch, EndedTransaction, read_marker},
    scan::Head,
    segment::{SEGMENT_SIZE_MAX, Segment},
    txn_index,
};

/// Who made the batches that a leader appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client: exactly one batch, and nothing is taken on trust.
    Client,
    /// A coordinator on this node: no sequence numbers.
    Coordinator,
    /// A transaction coordinator: markers, of this version of the transaction protocol.
    Marker {
        /// 0, 1 or 2.
        transaction_version: i16,
    },
    /// The raft leader of this log: batches are as it wants them, whatever the topic's settings.
    Raft,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The time that all records got, if the log's clock stamps; else `NONE`.
    pub log_append_time: Timestamp,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Bytes that were written; 0 for a duplicate.
    pub size: usize,
    /// Whether the batch was there before: the offsets are those that it has.
    pub duplicate: bool,
}

/// What a roll is decided by.
#[derive(Clone, Copy, Debug)]
struct Coming {
    size: usize,
    base: Offset,
    last: Offset,
    max_timestamp: Timestamp,
}

/// The bytes of batches as they are written.
fn slices_of<'a>(prepared: &'a [Prepared<'_>]) -> SmallVec<[IoSlice<'a>; 2]> {
    let parts = prepared
        .iter()
        .flat_map(|batch| [IoSlice::new(batch.head_bytes()), IoSlice::new(batch.body_bytes())]);
    parts.collect()
}

impl<D: Disk> Log<D> {
    /// Appends whole batches as the leader in `leader_epoch`: they get the next offsets.
    ///
    /// The bytes are not changed. A batch that an idempotent producer sends again is not appended
    /// again.
    ///
    /// # Errors
    /// The log is as it was, but for `Log`, after which `is_poisoned` may be true.
    pub fn append_as_leader(
        &mut self,
        batches: &[u8],
        leader_epoch: LeaderEpoch,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.append_as_leader_and(batches, leader_epoch, origin, now, |_, _| ())
    }

    /// The same, and shows `written` the end of the log and the bytes as they were written: nobody
    /// but the log knows them as they lie on the disk.
    ///
    /// # Errors
    /// As `append_as_leader`; nothing was shown then.
    pub fn append_as_leader_and(
        &mut self,
        batches: &[u8],
        leader_epoch: LeaderEpoch,
        origin: Origin,
        now: Timestamp,
        written: impl FnOnce(Offset, &[IoSlice<'_>]),
    ) -> Result<Appended, AppendError> {
        self.check_usable()?;
        let latest = self.epochs.latest();
        if leader_epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { epoch: leader_epoch, latest });
        }
        let mut prepared = SmallVec::<[Prepared<'_>; 1]>::new();
        let mut next = self.log_end;
        let mut rest = batches;
        while !rest.is_empty() {
            let batch = BatchView::parse(rest)?;
            // A client sends one batch; what follows is part of what is wrong with it.
            if origin == Origin::Client && batch.size() != rest.len() {
                return Err(
                    BatchError::NotAlone { size: rest.len(), batch_size: batch.size() }.into()
                );
            }
            if let Some(duplicate) = self.check_producer(&batch, origin)? {
                // Of damaged bytes the producer's fields mean nothing either.
                batch.check_crc()?;
                return Ok(duplicate);
            }
            let mut ready = prepare(&self.config, &batch, origin, now)?;
            ready.assign(next, leader_epoch);
            next = next.plus(i64::from(batch.last_offset_delta()) + 1);
            prepared.push(ready);
            rest = rest.get(batch.size()..).unwrap_or_default();
        }
        let appended = self.write_prepared(&prepared, leader_epoch, now)?;
        written(self.log_end, &slices_of(&prepared));
        Ok(appended)
    }

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
            self.write(&mut [IoSlice::new(bytes)])?;
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

    /// Whether the producer may append the batch; what to answer if it has before.
    fn check_producer(
        &self,
        batch: &BatchView<'_>,
        origin: Origin,
    ) -> Result<Option<Appended>, AppendError> {
        let Some(producer) = batch.producer() else { return Ok(None) };
        let check = Batch {
            producer,
            last_sequence: batch.last_sequence(),
            transactional: batch.attributes().is_transactional(),
        };
        match origin {
            Origin::Client => {
                if let Some(known) = self.producers.duplicate_of(&check) {
                    return Ok(Some(Appended {
                        base_offset: known.base_offset(),
                        last_offset: known.last_offset,
                        log_append_time: self.stamp_of(known.timestamp),
                        log_start_offset: self.log_start,
                        size: 0,
                        duplicate: true,
                    }));
                }
                self.producers.check_client(&check)?;
            }
            Origin::Coordinator => self.producers.check_coordinator(&check)?,
            Origin::Marker { transaction_version } => {
                if let Some((marker, _)) = read_marker(batch)? {
                    self.producers.check_marker(producer, &marker, transaction_version)?;
                }
            }
            Origin::Raft => {}
        }
        Ok(None)
    }

    fn stamp_of(&self, timestamp: Timestamp) -> Timestamp {
        match self.config.timestamp_type {
            TimestampType::LogAppend => timestamp,
            TimestampType::Create => Timestamp::NONE,
        }
    }

    fn write_prepared(
        &mut self,
        prepared: &[Prepared<'_>],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let (Some(first), Some(last)) = (prepared.first(), prepared.last()) else {
            return Err(AppendError::Empty);
        };
        let coming = Coming {
            size: prepared.iter().map(Prepared::size).sum(),
            base: first.header().base_offset(),
            last: last.header().last_offset(),
            max_timestamp: prepared
                .iter()
                .map(|batch| batch.header().max_timestamp())
                .max()
                .unwrap_or(Timestamp::NONE),
        };
        let size_max = self.config.segment_bytes_max as usize;
        if coming.size > size_max {
            return Err(AppendError::LargerThanSegment { size: coming.size, size_max });
        }
        if self.should_roll(&coming, now)? {
            self.roll_to(coming.base, now)?;
        }
        self.assign_epochs([EpochStart { epoch: leader_epoch, start: coming.base }]);
        self.write(&mut slices_of(prepared))?;
        for batch in prepared {
            let header = batch.header();
            let head = Head {
                position: self.active().size,
                size: batch.size() as u32,
                base: header.base_offset(),
                last: header.last_offset(),
                leader_epoch,
                max_timestamp: header.max_timestamp(),
            };
            let ended = self.take_in_producer(batch)?;
            self.note(head, ended)?;
        }
        Ok(Appended {
            base_offset: coming.base,
            last_offset: coming.last,
            log_append_time: self.stamp_of(coming.max_timestamp),
            log_start_offset: self.log_start,
            size: coming.size,
            duplicate: false,
        })
    }

    /// Lets the producers' state take in a batch that a leader has appended.
    fn take_in_producer(
        &mut self,
        batch: &Prepared<'_>,
    ) -> Result<Option<EndedTransaction>, LogError> {
        let header = batch.header();
        if !header.has_producer_id() {
            self.producers.advance(header.next_offset());
            return Ok(None);
        }
        if !header.attributes().is_control() {
            self.producers.apply_batch(&header);
            return Ok(None);
        }
        // Markers are small and rare.
        let bytes = [batch.head_bytes(), batch.body_bytes()].concat();
        Ok(Entry::parse(&bytes).ok().and_then(|entry| self.producers.apply_entry(&entry)))
    }

    /// Takes in an entry that has been written.
    fn take_in(&mut self, entry: &Entry<'_>) -> Result<(), AppendError> {
        let head = Head::parse(entry.bytes(), self.active().size)?;
        let ended = self.producers.apply_entry(entry);
        self.note(head, ended)?;
        Ok(())
    }

    fn note(&mut self, head: Head, ended: Option<EndedTransaction>) -> Result<(), LogError> {
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        segment.note(&head, &self.config);
        self.recent.push(head);
        self.log_end = head.last.next();
        if let Some(ended) = ended.filter(|ended| !ended.committed) {
            let path = self.dir.file(segment.base, FileKind::TxnIndex);
            // Without the entry a consumer would be shown aborted records.
            self.poisoned = true;
            txn_index::append(&self.dir.disk, &path, &ended.aborted())?;
            self.poisoned = false;
            self.names_changed |= !std::mem::replace(&mut segment.has_aborts, true);
        }
        Ok(())
    }

    /// Writes at the end of the active segment. If that fails, nothing is left of it.
    fn write(&mut self, slices: &mut [IoSlice<'_>]) -> Result<(), IoError> {
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        let position = u64::from(segment.size);
        if segment.is_unwritten() {
            self.names_changed = true;
            if let Some(topic) = self.unsaved_topic {
                partition_metadata::write_early(&self.dir.disk, self.dir.path(), topic)?;
            }
        }
        let coming = slices.iter().map(|slice| slice.len()).sum();
        segment.reserve(&self.dir, coming, &self.config)?;
        let file = segment.file(&self.dir)?;
        self.as_closed = false;
        let written = file.write_all_at(slices, position);
        if written.is_err() {
            self.poisoned |= file.truncate(position).is_err();
            segment.forget_room();
        }
        written
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

    /// Source: interop facts A.7.
    fn should_roll(&mut self, coming: &Coming, now: Timestamp) -> Result<bool, LogError> {
        let config = &self.config;
        let age_max = config.segment_ms_max.saturating_sub(config.segment_jitter_ms);
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        if relative(segment.base, coming.last).is_none() {
            return Ok(true);
        }
        if segment.size == 0 {
            return Ok(false);
        }
        let size = segment.size as usize + coming.size;
        if size > config.segment_bytes_max as usize
            || segment.indexes.as_ref().is_some_and(|indexes| indexes.are_full())
        {
            return Ok(true);
        }
        let first = segment.first_timestamp(&self.dir)?;
        let age = if first == Timestamp::NONE || coming.max_timestamp == Timestamp::NONE {
            now.0.saturating_sub(segment.opened_at.0)
        } else {
            coming.max_timestamp.0.saturating_sub(first.0)
        };
        Ok(age > age_max)
    }

    /// Ends the segment that is written and begins one at the log's end. Does nothing if the one
    /// that is written is empty.
    ///
    /// # Errors
    /// `Io`; the log goes on in the segment that it had.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), LogError> {
        self.check_usable()?;
        if self.active().size == 0 { Ok(()) } else { self.roll_to(self.log_end, now) }
    }

    fn roll_to(&mut self, base: Offset, now: Timestamp) -> Result<(), LogError> {
        assert!(base >= self.log_end, "a segment begins behind the one before");
        self.as_closed = false;
        self.producers.advance(base);
        let last = self.segments.last_mut().expect("a log has at least one segment");
        // First, for what follows needs some.
        last.give_back_most(&self.dir)?;
        self.write_snapshot()?;
        let last = self.segments.last_mut().expect("a log has at least one segment");
        last.write_indexes(&self.dir)?;
        let (old, old_is_empty) = (last.base, last.size == 0);
        let segment = Segment::create(&self.dir, base, &self.config, now)?;
        last.indexes = None;
        last.release();
        self.segments.push(segment);
        self.recent.clear();
        self.names_changed = true;
        if old_is_empty {
            // Its name does not fit what comes: the offsets are too far from its base.
            self.segments.remove(self.segments.len() - 2);
            remove_segment_files(&self.dir, old)?;
        }
        Ok(())
    }
}
