//! Sequence numbers, by which a broker recognises a batch that it already has and refuses one that
//! comes too early.
//!
//! Each partition counts its records for itself, under the producer's id and epoch. When a number
//! is lost for good (a batch expired or was refused after it had one), or the broker has forgotten
//! them, the epoch goes up by one and the partition starts at 0 again; other partitions follow when
//! they have nothing under way. Source: KIP-98, KIP-360.

use dohle_base::{ErrorCode, Instant, ProducerEpoch};
use dohle_records::sequence_after;

use super::batch::{Batch, Identity};
use crate::ServerError;

/// The producer's identity, as far as it has one.
#[derive(Debug)]
pub(super) enum IdentityState {
    /// Not idempotent.
    NotNeeded,
    /// To be asked for.
    Wanted { not_before: Instant, failures: u32 },
    /// Asked for.
    Asked { failures: u32 },
    /// There it is.
    Known(Identity),
    /// Not to be had.
    Refused(ServerError),
}

/// The numbers of one partition.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// Whose numbers these are.
    identity: Option<Identity>,
    /// The number of the next record.
    next: i32,
    /// A number was lost: nothing can follow under this epoch.
    broken: bool,
}

impl IdentityState {
    /// The identity, if known.
    pub(super) fn known(&self) -> Option<Identity> {
        match self {
            Self::Known(identity) => Some(*identity),
            _ => None,
        }
    }

    /// Gives up the epoch of `stale`: the next one is ours to take, without asking, until there is
    /// none left. Does nothing if that epoch is already past.
    fn bump(&mut self, stale: Identity) {
        match self.known() {
            Some(current) if current == stale && stale.epoch.0 < i16::MAX => {
                *self = Self::Known(Identity { epoch: ProducerEpoch(stale.epoch.0 + 1), ..stale });
            }
            Some(current) if current == stale => {
                *self = Self::Wanted { not_before: Instant::default(), failures: 0 };
            }
            _ => {}
        }
    }
}

impl Sequences {
    /// A number was lost, or the broker has forgotten them.
    pub(super) fn break_off(&mut self) {
        self.broken = self.identity.is_some();
    }

    /// Whether a number was lost and nothing has been done about it.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Starts again under a new epoch, with the batches that have numbers and still wait. To be
    /// called when nothing of the partition is in flight. Says whether that was possible: without
    /// an identity it has to wait for one.
    pub(super) fn start_again<'a, T: 'a>(
        &mut self,
        state: &mut IdentityState,
        waiting: impl Iterator<Item = &'a mut Batch<T>>,
    ) -> bool {
        if let Some(stale) = self.identity {
            state.bump(stale);
        }
        let Some(fresh) = state.known() else { return false };
        *self = Self { identity: Some(fresh), next: 0, broken: false };
        for batch in waiting.filter(|batch| batch.stamp.is_some()) {
            let stamp = self.number(batch.count());
            batch.seal(stamp);
        }
        true
    }

    /// Follows the producer to a new identity, if there is one. To be called when no batch with a
    /// number is without an outcome.
    pub(super) fn follow(&mut self, current: Identity) {
        if self.identity != Some(current) {
            *self = Self { identity: Some(current), next: 0, broken: false };
        }
    }

    /// Whether this is the identity of the numbers.
    pub(super) fn is_of(&self, identity: Identity) -> bool {
        self.identity == Some(identity)
    }

    /// Numbers the next `count` records; `None` if the producer is not idempotent.
    pub(super) fn number(&mut self, count: i32) -> Option<(Identity, i32)> {
        let identity = self.identity?;
        let base_sequence = self.next;
        self.next = sequence_after(base_sequence, count);
        Some((identity, base_sequence))
    }
}

/// What an error code means for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written.
    Written,
    /// It was written by an earlier attempt.
    WrittenBefore,
    /// Send it again.
    Again,
    /// Send it again, to whoever leads the partition then.
    AgainElsewhere,
    /// The numbers are of no use any more; start again and send it again.
    AgainRenumbered,
    /// Refused for good.
    Refused,
}

/// The fate of a batch. `numbered`: it has sequence numbers. `has_before`: a batch before it has no
/// outcome yet, and may be why this one came too early.
pub(super) fn fate(code: ErrorCode, numbered: bool, has_before: bool) -> Fate {
    match code {
        ErrorCode::NONE => Fate::Written,
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Fate::WrittenBefore,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if numbered && has_before => Fate::Again,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID if numbered => {
            Fate::AgainRenumbered
        }
        ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::INCONSISTENT_TOPIC_ID
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::KAFKA_STORAGE_ERROR => Fate::AgainElsewhere,
        code if code.is_retriable() => Fate::Again,
        _ => Fate::Refused,
    }
}

#[cfg(test)]
mod tests;
