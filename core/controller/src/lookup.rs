//! Questions that several decisions ask of the image.

use std::sync::Arc;

use dohle_base::{BrokerId, ErrorCode, PartitionId, Str, Uuid};
use dohle_config::Value;
use dohle_metadata::{Broker, ConfigResource, MetadataVersion, Topic};

use crate::Controller;

/// The setting that says how many replicas must be in sync.
pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The setting that lets a replica lead that was not in sync.
pub(crate) const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

impl Controller {
    /// The level at which records are written.
    pub(crate) fn version(&self) -> MetadataVersion {
        self.image().metadata_version()
    }

    /// Whether eligible leader replicas are maintained.
    pub(crate) fn elr_enabled(&self) -> bool {
        self.image().features.elr_enabled()
    }

    /// A registered broker.
    pub(crate) fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.image().broker(id)
    }

    /// Whether a broker may be in sync: registered, not fenced, not shutting down.
    pub(crate) fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// Whether what lies in a broker's directory can be served.
    pub(crate) fn is_directory_online(&self, id: BrokerId, directory: Uuid) -> bool {
        self.broker(id).is_some_and(|broker| broker.has_online_directory(directory))
    }

    /// The directory that a new replica on a broker is assigned to.
    pub(crate) fn default_directory(&self, id: BrokerId) -> Uuid {
        self.broker(id).map_or(Uuid::MIGRATING_DIR, |broker| broker.default_directory())
    }

    /// The broker, if this is its current life.
    pub(crate) fn check_broker_epoch(
        &self,
        id: BrokerId,
        epoch: i64,
    ) -> Result<&Arc<Broker>, ErrorCode> {
        let broker = self.broker(id).filter(|broker| broker.epoch == epoch);
        broker.ok_or(ErrorCode::STALE_BROKER_EPOCH)
    }

    /// How many replicas of a topic's partitions must be in sync, no more than there are.
    pub(crate) fn min_isr(&self, topic: &Topic) -> usize {
        let configured = self.topic_setting(topic, MIN_INSYNC_REPLICAS);
        let configured = configured.and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
        let first = topic.partitions.get(&PartitionId(0));
        configured.min(first.map_or(1, |partition| partition.replicas.len()))
    }

    /// Whether a replica of a topic may lead that was not in sync.
    pub(crate) fn allows_unclean_election(&self, topic: &Topic) -> bool {
        self.topic_setting(topic, UNCLEAN_LEADER_ELECTION).is_some_and(|text| text == "true")
    }

    /// A topic's own setting, or else that of the brokers, which here has the same name.
    fn topic_setting(&self, topic: &Topic, name: &str) -> Option<Str> {
        let own = self.image().config(&ConfigResource::topic(topic.name.clone()), name);
        own.cloned().or_else(|| {
            let node = self.node.get(name).and_then(|resolved| resolved.value.as_ref());
            node.map(Value::to_text)
        })
    }
}
