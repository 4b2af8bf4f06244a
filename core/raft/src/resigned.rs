//! A replica that led its epoch and no longer does. It cannot lead the same epoch again.

use dohle_base::{BrokerId, LeaderEpoch};

use crate::prospective::Prospective;

/// Led `epoch`.
#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    pub(crate) epoch: LeaderEpoch,
}

impl Resigned {
    /// Stands for election again, which can only give it a later epoch.
    pub(crate) fn into_prospective(self, own: BrokerId) -> Prospective {
        Prospective::new(self.epoch, Some(own), own)
    }
}
