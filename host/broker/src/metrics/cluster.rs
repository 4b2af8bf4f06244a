//! The cluster as this node knows it, and the node itself.

use dohle_base::BrokerId;
use dohle_metrics::{Page, metrics};

use crate::Broker;

metrics! {
    /// Whether this node is the active controller: 1 or 0.
    ACTIVE: gauge "kafka_controller_kafkacontroller_activecontrollercount", Count;

    /// Topics of the cluster.
    TOPICS: gauge "kafka_controller_kafkacontroller_globaltopiccount", Count;

    /// Partitions of the cluster.
    PARTITIONS: gauge "kafka_controller_kafkacontroller_globalpartitioncount", Count;

    /// Partitions of the cluster that have no leader.
    LEADERLESS: gauge "kafka_controller_kafkacontroller_offlinepartitionscount", Count;

    /// Brokers that serve.
    BROKERS: gauge "kafka_controller_kafkacontroller_activebrokercount", Count;

    /// Brokers that are registered and fenced.
    FENCED: gauge "kafka_controller_kafkacontroller_fencedbrokercount", Count;

    /// The last offset of the metadata that this node shows.
    METADATA: gauge "kafka_server_broker_metadata_metrics_last_applied_record_offset", Offset;

    /// Fetch sessions that are remembered.
    SESSIONS: gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions", Count;

    /// Partitions in them.
    REMEMBERED: gauge "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", Count;

    /// Always 1; the label tells what runs.
    BUILD: gauge "dohle_build_info", Count, by ["version"];
}

pub(super) fn write(page: &mut Page, broker: &Broker) {
    let published = broker.metadata();
    let image = &published.image;
    let partitions = || image.topics.iter().flat_map(|topic| topic.partitions.values());
    let leaderless = |leader: BrokerId| leader == BrokerId::NONE;
    let mut value = |metric, value: usize| page.value(metric, &[], value as f64);
    value(&ACTIVE, usize::from(published.leader == broker.node_id));
    value(&TOPICS, image.topics.iter().count());
    value(&PARTITIONS, partitions().count());
    value(&LEADERLESS, partitions().filter(|partition| leaderless(partition.leader)).count());
    value(&BROKERS, image.brokers.values().filter(|broker| broker.is_active()).count());
    value(&FENCED, image.brokers.values().filter(|broker| broker.fenced).count());
    value(&METADATA, usize::try_from(published.end_offset.0 - 1).unwrap_or(0));
    let (sessions, remembered) = {
        let sessions = broker.sessions();
        (sessions.count(), sessions.partition_count())
    };
    value(&SESSIONS, sessions);
    value(&REMEMBERED, remembered);
    page.value(&BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
}
