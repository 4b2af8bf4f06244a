//! A replica that knows of an epoch but follows nobody in it.

use dohle_base::{BrokerId, LeaderEpoch};

use crate::prospective::Prospective;

/// Knows the epoch; may know who leads it.
#[derive(Clone, Debug)]
pub(crate) struct Unattached {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<BrokerId>,
}

impl Unattached {
    /// Stands for election, without raising the epoch yet.
    pub(crate) fn into_prospective(self, own: BrokerId) -> Prospective {
        Prospective::new(self.epoch, self.leader, own)
    }
}
