//! The metadata as requests see it: an immutable image behind an atomic pointer.
//!
//! The controller's thread publishes; everybody else reads without a lock. What is published is
//! committed.

use dohle_base::{BrokerId, LeaderEpoch, Offset};
use dohle_metadata::{KRAFT_VERSION, MetadataImage, Partition};
use dohle_raft::VoterSet;

/// One state of the cluster's metadata.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// All that the records say.
    pub image: MetadataImage,
    /// The offset behind the last record of the image.
    pub end_offset: Offset,
    /// The leader of the quorum; `BrokerId::NONE` if there is none.
    pub leader: BrokerId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// The voters of the quorum.
    pub voters: VoterSet,
    /// The finalised level of `kraft.version`.
    pub kraft_version: i16,
}

impl Published {
    /// Every finalised feature above level 0, `kraft.version` among them.
    pub fn finalized_features(&self) -> impl Iterator<Item = (&str, i16)> {
        let kraft = (self.kraft_version > 0).then_some((KRAFT_VERSION, self.kraft_version));
        self.image.features.iter().chain(kraft)
    }

    /// The replicas of a partition that cannot be read at the moment.
    pub fn offline_replicas(&self, partition: &Partition) -> Vec<BrokerId> {
        let offline = |id: &&BrokerId| {
            let Some(broker) = self.image.broker(**id) else { return true };
            let directory = partition.directory(**id);
            broker.fenced || !directory.is_none_or(|id| broker.has_online_directory(id))
        };
        partition.replicas.iter().filter(offline).copied().collect()
    }
}
