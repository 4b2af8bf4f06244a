//! Appending at a leader: batches are checked, and get their offsets and its epoch.

use std::io::IoSlice;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchView, Entry, TimestampType};

use super::{Appended, Coming, run::Run};
use crate::{
    disk::Disk,
    epoch_cache::EpochStart,
    error::{AppendError, LogError},
    log::Log,
    prepare::{Prepared, prepare},
    producer_state::{Batch, EndedTransaction, ProducerBatch, Standing, read_marker},
    scan::{Head, is_whole},
};

/// Who made the batches that a leader appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client: exactly one batch, and nothing is taken on trust.
    Client,
    /// A client whose transaction coordinator knows that this partition takes part: its batch may be the
    /// first one of the transaction.
    Verified,
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

impl Origin {
    /// Whether a client made the batch.
    pub(crate) fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::Verified)
    }
}

impl<D: Disk> Log<D> {
    /// Appends whole batches as the leader in `leader_epoch`, all or none: they get the next offsets.
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
        mut written: impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Result<Appended, AppendError> {
        if origin.is_client() {
            let one = [batches].into_iter();
            let result = self.append_each_of(one, origin, leader_epoch, now, written).pop();
            return result.expect("one result for one batch");
        }
        self.check_leads(leader_epoch)?;
        let mut run = Run::default();
        let mut rest = batches;
        while !rest.is_empty() {
            let batch = BatchView::parse(rest)?;
            self.check_producer(&batch, origin)?;
            let mut ready = prepare(&self.config, &batch, origin, now)?;
            run.place(&mut ready, self.log_end, leader_epoch);
            run.push(ready);
            rest = rest.get(batch.size()..).unwrap_or_default();
        }
        let coming = run.coming().ok_or(AppendError::Empty)?;
        self.make_room_for(&coming, now)?;
        self.write_run(&run, leader_epoch, &mut written)?;
        Ok(self.appended(&coming))
    }

    /// Whether anything may be appended in that epoch.
    pub(super) fn check_leads(&self, leader_epoch: LeaderEpoch) -> Result<(), AppendError> {
        self.check_usable()?;
        let latest = self.epochs.latest();
        if leader_epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { epoch: leader_epoch, latest });
        }
        Ok(())
    }

    /// Whether the producer may append the batch; what to answer a client that has before. Reads back in
    /// the log if nothing else can tell.
    pub(super) fn check_producer(
        &mut self,
        batch: &BatchView<'_>,
        origin: Origin,
    ) -> Result<Option<Appended>, AppendError> {
        let Some(producer) = batch.producer() else { return Ok(None) };
        let check = Batch {
            producer,
            last_sequence: batch.last_sequence(),
            transactional: batch.attributes().is_transactional(),
            verified: origin == Origin::Verified,
        };
        match origin {
            Origin::Client | Origin::Verified => {
                let mut standing = self.producers.judge_client(&check)?;
                if standing == Standing::Unclear {
                    // Of damaged bytes the fields that ask for it mean nothing.
                    batch.check_crc()?;
                    self.recall(&check)?;
                    standing = self.producers.judge_client(&check)?;
                }
                match standing {
                    Standing::Next => {}
                    Standing::Repeats(known) => return Ok(Some(self.repeated(&known))),
                    Standing::Unclear => self.producers.check_client(&check)?,
                }
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

    /// Whether so many bytes fit a segment at all.
    pub(super) fn check_fits_segment(&self, size: usize) -> Result<(), AppendError> {
        let size_max = self.config.segment_bytes_max as usize;
        match size <= size_max {
            true => Ok(()),
            false => Err(AppendError::LargerThanSegment { size, size_max }),
        }
    }

    /// Rolls if what comes needs it.
    pub(super) fn make_room_for(
        &mut self,
        coming: &Coming,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        self.check_fits_segment(coming.size)?;
        if self.should_roll(coming, now)? {
            self.roll_to(coming.base, now)?;
        }
        Ok(())
    }

    /// Whether it goes into the segment of a run that is yet to be written, behind it.
    pub(super) fn fits_behind(&mut self, run: &Run<'_>, coming: &Coming, now: Timestamp) -> bool {
        let count = run.batches().len();
        if count > 0 && run.is_full_for(coming.size) {
            return false;
        }
        let segment = self.active();
        // An empty segment does not know yet what its first batch says of its age.
        let has_place = segment.size > 0
            && segment.indexes.as_ref().is_none_or(|indexes| indexes.entries_left() > count);
        let both = Coming { size: run.size() + coming.size, ..*coming };
        count == 0 || has_place && !self.should_roll(&both, now).unwrap_or(true)
    }

    /// Writes a run, which there is room for, takes its batches in, and shows them to `written`.
    pub(super) fn write_run(
        &mut self,
        run: &Run<'_>,
        leader_epoch: LeaderEpoch,
        written: &mut impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Result<(), AppendError> {
        self.check_usable()?;
        self.assign_epochs([EpochStart { epoch: leader_epoch, start: self.log_end }]);
        let slices = run.slices();
        self.write(&slices)?;
        for batch in run.batches() {
            let header = batch.header();
            let head = Head {
                position: self.active().size,
                size: batch.size() as u32,
                base: header.base_offset(),
                last: header.last_offset(),
                leader_epoch,
                max_timestamp: header.max_timestamp(),
                is_whole: is_whole(&header),
            };
            let ended = self.take_in_producer(batch)?;
            self.note(head, ended)?;
        }
        written(self.log_end, &slices);
        Ok(())
    }

    /// What is told of something that was appended.
    pub(super) fn appended(&self, what: &Coming) -> Appended {
        Appended {
            base_offset: what.base,
            last_offset: what.last,
            log_append_time: self.stamp_of(what.max_timestamp),
            log_start_offset: self.log_start,
            size: what.size,
            duplicate: false,
        }
    }

    /// What is told of something that was appended before.
    fn repeated(&self, known: &ProducerBatch) -> Appended {
        Appended {
            base_offset: known.base_offset(),
            last_offset: known.last_offset,
            log_append_time: self.stamp_of(known.timestamp),
            log_start_offset: self.log_start,
            size: 0,
            duplicate: true,
        }
    }

    fn stamp_of(&self, timestamp: Timestamp) -> Timestamp {
        match self.config.timestamp_type {
            TimestampType::LogAppend => timestamp,
            TimestampType::Create => Timestamp::NONE,
        }
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
}
