//! Which batches belong to aborted transactions, and which markers nobody needs any more, followed
//! batch by batch through a log.
//!
//! Aborted transactions are known beforehand, from the indexes; that is why a clean does not go
//! beyond the last stable offset. A marker is bare once no batch of its transaction comes before it.
//! One that ends what it should not tells that an index is wrong.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{Offset, ProducerId};
use dohle_records::{BatchHeader, ControlType};

use crate::txn_index::AbortedTransaction;

/// Where each producer's transaction stands.
#[derive(Debug)]
pub(crate) struct Transactions {
    /// Those that have not begun yet, the first one last.
    upcoming: Vec<AbortedTransaction>,
    aborting: BTreeMap<ProducerId, Aborting>,
    /// Producers with batches of a transaction that will be committed.
    committing: BTreeSet<ProducerId>,
    /// Those of them with records of a transaction whose marker has not come yet.
    unended: BTreeSet<ProducerId>,
    is_contradicted: bool,
}

#[derive(Debug)]
struct Aborting {
    transaction: AbortedTransaction,
    /// Whether a batch of it was there.
    has_batches: bool,
}

/// What becomes of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// Readers need it: it ends something that is there, or is of a type that is not known here.
    Needed,
    /// It ends an aborted transaction that has batches, which its segment's index must tell.
    Ends(AbortedTransaction),
    /// Nothing is left of what it ends.
    Bare,
}

impl Transactions {
    /// Follows a log of whose aborted transactions these are all.
    pub(crate) fn new(aborted: &[AbortedTransaction]) -> Self {
        let mut upcoming = aborted.to_vec();
        let order = |t: &AbortedTransaction| (t.first_offset, t.last_offset, t.producer_id);
        upcoming.sort_unstable_by_key(|transaction| std::cmp::Reverse(order(transaction)));
        Self {
            upcoming,
            aborting: BTreeMap::new(),
            committing: BTreeSet::new(),
            unended: BTreeSet::new(),
            is_contradicted: false,
        }
    }

    /// Whether a marker has ended a transaction otherwise than was known beforehand.
    pub(crate) fn is_contradicted(&self) -> bool {
        self.is_contradicted
    }

    /// The producers with records that count as committed, while nothing has ended their transactions.
    pub(crate) fn unended(&self) -> &BTreeSet<ProducerId> {
        &self.unended
    }

    /// Goes past a batch of records. Says whether they were aborted.
    pub(crate) fn pass_records(&mut self, batch: &BatchHeader<'_>) -> bool {
        self.begin_up_to(batch.last_offset());
        if !batch.attributes().is_transactional() {
            return false;
        }
        let id = batch.producer_id();
        match self.aborting.get_mut(&id) {
            // Behind its marker a transaction takes nothing with it, though that may never be met: it
            // is gone, or lies before the part that is followed.
            Some(aborting) if batch.base_offset() <= aborting.transaction.last_offset => {
                aborting.has_batches = true;
                true
            }
            _ => {
                self.aborting.remove(&id);
                self.committing.insert(id);
                // Of what the cleaner emptied the marker may be gone.
                if batch.record_count() > 0 {
                    self.unended.insert(id);
                }
                false
            }
        }
    }

    /// Goes past a control batch whose first record is of this type; `None` if it has no records.
    pub(crate) fn pass_marker(
        &mut self,
        batch: &BatchHeader<'_>,
        kind: Option<ControlType>,
    ) -> Marker {
        self.begin_up_to(batch.last_offset());
        let id = batch.producer_id();
        if let Some(ControlType::Abort | ControlType::Commit) = kind {
            let is_abort = kind == Some(ControlType::Abort);
            let is_aborted = self.aborting.get(&id).is_some_and(|aborting| {
                aborting.has_batches && batch.base_offset() <= aborting.transaction.last_offset
            });
            let is_committed = self.unended.remove(&id);
            self.is_contradicted |= if is_abort { is_committed } else { is_aborted };
        }
        match kind {
            None => Marker::Bare,
            Some(ControlType::Abort) => match self.aborting.remove(&id) {
                Some(Aborting { transaction, has_batches: true }) => Marker::Ends(transaction),
                _ => Marker::Bare,
            },
            Some(ControlType::Commit) if self.committing.remove(&id) => Marker::Needed,
            Some(ControlType::Commit) => Marker::Bare,
            Some(_) => Marker::Needed,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(transaction) = self.upcoming.pop_if(|next| next.first_offset <= offset) {
            let known = self.aborting.get(&transaction.producer_id);
            let lasts =
                known.is_some_and(|k| k.transaction.last_offset >= transaction.first_offset);
            if !lasts {
                let aborting = Aborting { transaction, has_batches: false };
                self.aborting.insert(transaction.producer_id, aborting);
            }
        }
    }
}
