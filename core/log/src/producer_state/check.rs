//! Whether a producer may append a batch. Reads only.

use dohle_base::{Offset, ProducerEpoch, Timestamp};
use dohle_records::{EndTxnMarker, Producer};

use super::{ProducerBatch, Producers};
use crate::error::ProducerError;

/// What a check needs to know of a batch of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) producer: Producer,
    pub(crate) last_sequence: i32,
    pub(crate) transactional: bool,
    /// Whether it may begin a transaction.
    pub(crate) verified: bool,
}

/// How a client's batch stands to those of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the next one, or nothing is known of the producer.
    Next,
    /// It repeats this one.
    Repeats(ProducerBatch),
    /// It may repeat one that is not known: the log has to be read back.
    Unclear,
}

impl Producers {
    /// How a client's batch stands to those of its producer; an error if it may not be appended.
    pub(crate) fn judge_client(&self, batch: &Batch) -> Result<Standing, ProducerError> {
        if let Some(known) = self.duplicate_of(batch) {
            return Ok(Standing::Repeats(*known));
        }
        match self.check_client(batch) {
            Err(_) if self.may_repeat_earlier(batch) => Ok(Standing::Unclear),
            result => result.map(|()| Standing::Next),
        }
    }

    /// The batch that this one repeats: same epoch, same sequence numbers, among the last five.
    pub(super) fn duplicate_of(&self, batch: &Batch) -> Option<&ProducerBatch> {
        let state = self.state(batch.producer.id)?;
        let same = |old: &&ProducerBatch| {
            old.last_sequence == batch.last_sequence
                && old.base_sequence() == batch.producer.base_sequence
        };
        state.batches().iter().find(same).filter(|_| state.epoch == batch.producer.epoch)
    }

    /// Whether a client's batch is the next one of its producer.
    pub(crate) fn check_client(&self, batch: &Batch) -> Result<(), ProducerError> {
        self.check_coordinator(batch)?;
        let producer = batch.producer;
        if batch.transactional && !batch.verified && !self.in_transaction(producer) {
            return Err(ProducerError::UnverifiedTransaction { producer_id: producer.id });
        }
        // Of a producer that is not known, any sequence may be the next: retention may have taken
        // what came before.
        let Some(state) = self.state(producer.id) else { return Ok(()) };
        let expected = match state.epoch == producer.epoch {
            true => state.next_sequence(),
            false if state.epoch == ProducerEpoch::NONE => return Ok(()),
            false => 0,
        };
        if producer.base_sequence == expected {
            return Ok(());
        }
        let (producer_id, sequence) = (producer.id, producer.base_sequence);
        Err(ProducerError::OutOfSequence { producer_id, sequence, expected })
    }

    /// Whether a batch that a coordinator makes for a producer may be appended: it has no sequence.
    pub(crate) fn check_coordinator(&self, batch: &Batch) -> Result<(), ProducerError> {
        let producer = batch.producer;
        let Some(state) = self.state(producer.id) else { return Ok(()) };
        if producer.epoch < state.epoch {
            return Err(ProducerError::StaleEpoch {
                producer_id: producer.id,
                epoch: producer.epoch,
                current: state.epoch,
            });
        }
        if state.transaction_start.is_some() && !batch.transactional {
            return Err(ProducerError::NotInTransaction { producer_id: producer.id });
        }
        Ok(())
    }

    /// Whether a marker may be appended.
    ///
    /// With transactions of version 2 each marker bumps the epoch, so one with the epoch of an open
    /// transaction is a late one; without an open transaction it is one sent again, which is fine.
    /// Source: KIP-890, and KAFKA-19999 for the retry.
    pub(crate) fn check_marker(
        &self,
        producer: Producer,
        marker: &EndTxnMarker,
        transaction_version: i16,
    ) -> Result<(), ProducerError> {
        let Some(state) = self.state(producer.id) else { return Ok(()) };
        let repeated = state.transaction_start.is_none() || producer.epoch.0 == i16::MAX;
        let stale = match transaction_version {
            2.. => producer.epoch == state.epoch && !repeated,
            _ => false,
        };
        if stale || producer.epoch < state.epoch {
            return Err(ProducerError::StaleEpoch {
                producer_id: producer.id,
                epoch: producer.epoch,
                current: state.epoch,
            });
        }
        if marker.coordinator_epoch < state.coordinator_epoch {
            return Err(ProducerError::StaleCoordinator {
                producer_id: producer.id,
                epoch: marker.coordinator_epoch,
                current: state.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Whether a producer has a transaction open here, in this epoch.
    pub(crate) fn in_transaction(&self, producer: Producer) -> bool {
        let state = self.state(producer.id).filter(|state| state.epoch == producer.epoch);
        state.is_some_and(|state| state.transaction_start.is_some())
    }

    /// When the oldest open transaction was last written to, and where it begins.
    pub(crate) fn oldest_transaction(&self) -> Option<(Offset, Timestamp)> {
        let (first, id) = self.open.first_key_value()?;
        Some((*first, self.state(*id)?.last_timestamp))
    }
}
