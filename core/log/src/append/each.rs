//! Appending what several requests of clients brought, each for itself, in as few writes as can be.

use std::io::IoSlice;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchError, BatchView};
use smallvec::SmallVec;

use super::{
    Appended, Coming, Origin,
    run::{Link, Run},
};
use crate::{disk::Disk, error::AppendError, log::Log, prepare::prepare};

/// What became of batches that were appended each for itself, in their order.
pub type Results = SmallVec<[Result<Appended, AppendError>; 1]>;

/// Appends under way.
struct Each<'l, 'a, D: Disk, W> {
    log: &'l mut Log<D>,
    origin: Origin,
    epoch: LeaderEpoch,
    now: Timestamp,
    written: W,
    /// Those that are yet to be written, and have no result until they are.
    run: Run<'a>,
    results: Results,
    /// The log failed: no more is tried.
    failure: Option<AppendError>,
}

impl<D: Disk> Log<D> {
    /// Appends what clients have sent, one batch each, in this order and each for itself: one that is
    /// refused does not hold up those behind it. All is as if they had been appended one by one, but
    /// what goes into the same segment is written at once, and so shown to `written`, with the end
    /// of the log behind it. Once a write has failed those behind it fail, too.
    pub fn append_each<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a [u8]>,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
        written: impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Results {
        self.append_each_of(batches, Origin::Client, leader_epoch, now, written)
    }

    /// The same for clients of one origin.
    pub(super) fn append_each_of<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a [u8]>,
        origin: Origin,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
        written: impl FnMut(Offset, &[IoSlice<'_>]),
    ) -> Results {
        let count = batches.len();
        let failure = self.check_leads(leader_epoch).err();
        let mut each = Each {
            log: self,
            origin,
            epoch: leader_epoch,
            now,
            written,
            run: Run::with_capacity(count),
            results: Results::with_capacity(count),
            failure,
        };
        batches.for_each(|batch| each.take(batch));
        let _ = each.end_run();
        each.results
    }
}

impl<'a, D: Disk, W: FnMut(Offset, &[IoSlice<'_>])> Each<'_, 'a, D, W> {
    fn take(&mut self, batch: &'a [u8]) {
        let result = match self.admit(batch) {
            Ok(None) => return,
            Ok(Some(known)) => Ok(known),
            Err(error) => Err(error),
        };
        // Results come in order. If it fails, this batch was judged before, and all is well with it.
        let _ = self.end_run();
        if let Err(error @ AppendError::Log(_)) = &result {
            self.failure = Some(error.clone());
        }
        self.results.push(result);
    }

    /// Takes a batch into the run, or says where it is already.
    fn admit(&mut self, bytes: &'a [u8]) -> Result<Option<Appended>, AppendError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let batch = sole_batch(bytes)?;
        let link = self.run.link(&batch);
        if link == Link::Unclear {
            self.end_run()?;
        }
        if link != Link::Next {
            match self.log.check_producer(&batch, self.origin) {
                Ok(None) => {}
                Ok(Some(known)) => {
                    // Of damaged bytes the producer's fields mean nothing either.
                    batch.check_crc()?;
                    return Ok(Some(known));
                }
                Err(error) => return Err(self.first_error(&batch, error)),
            }
        }
        let mut ready = prepare(&self.log.config, &batch, self.origin, self.now)?;
        self.run.place(&mut ready, self.log.log_end, self.epoch);
        let coming = Coming::of(&ready);
        if !self.log.fits_behind(&self.run, &coming, self.now) {
            self.end_run()?;
        }
        if self.run.is_empty() {
            self.log.make_room_for(&coming, self.now)?;
        }
        self.run.push(ready);
        Ok(None)
    }

    /// What a client is told whose batch its producer may not append: of the batch itself first, for if
    /// that is wrong, so may be whose it is. Source: Kafka 4.4.
    fn first_error(&self, batch: &BatchView<'a>, refusal: AppendError) -> AppendError {
        if !matches!(refusal, AppendError::Producer(_)) {
            return refusal;
        }
        let ready = prepare(&self.log.config, batch, self.origin, self.now);
        let checked = ready.and_then(|ready| self.log.check_fits_segment(ready.size()));
        checked.err().unwrap_or(refusal)
    }

    /// Writes what is in the run.
    fn end_run(&mut self) -> Result<(), AppendError> {
        if self.run.is_empty() {
            return Ok(());
        }
        let result = self.log.write_run(&self.run, self.epoch, &mut self.written);
        for batch in self.run.batches() {
            let appended = || self.log.appended(&Coming::of(batch));
            self.results.push(result.clone().map(|()| appended()));
        }
        self.run.clear();
        self.failure = result.clone().err();
        result
    }
}

/// The batch that a client sent: what follows it would be part of what is wrong with it.
fn sole_batch(bytes: &[u8]) -> Result<BatchView<'_>, AppendError> {
    if bytes.is_empty() {
        return Err(AppendError::Empty);
    }
    let batch = BatchView::parse(bytes)?;
    match batch.size() == bytes.len() {
        true => Ok(batch),
        false => Err(BatchError::NotAlone { size: bytes.len(), batch_size: batch.size() }.into()),
    }
}
