//! On a node whose appends are committed when they are written, topics that ask for flushes of their
//! own are durable, from when they ask on until they ask no more. The metadata says so, as to a node.

use dohle_base::{BrokerId, Rng};
use dohle_metadata::{METADATA_VERSION, MetadataRecord, MetadataState, MetadataVersion};
use dohle_protocol::records::metadata::{
    config_record::ConfigRecord, feature_level_record::FeatureLevelRecord,
    partition_record::PartitionRecord, topic_record::TopicRecord,
};

use super::*;
use crate::{
    kit::{self, Kit},
    metadata::Published,
    publisher::Publisher,
};

const NODE: BrokerId = BrokerId(1);
/// The first directory of the kit.
const DIRECTORY: Uuid = Uuid(7);
/// The topics, each with one partition, and what they are made with.
const TOPICS: [(&str, &[(&str, &str)]); 4] = [
    ("plain", &[]),
    ("by messages", &[("flush.messages", "1")]),
    ("by time", &[("flush.ms", "60000")]),
    ("by name", &[("dohle.durability", "disk")]),
];

struct Cluster {
    kit: Kit,
    state: MetadataState,
    publisher: Publisher,
}

impl Cluster {
    fn new(settings: &str) -> Self {
        let files = OpenFiles::within(1_000, 100, 2);
        let kit = kit::kit(settings, files, 0, &LogConfig::default());
        let publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
        let mut cluster = Self { kit, state: MetadataState::default(), publisher };
        let name = METADATA_VERSION.into();
        let level = FeatureLevelRecord { name, feature_level: MetadataVersion::LATEST.0 };
        cluster.apply(MetadataRecord::FeatureLevel(level));
        for (id, (name, configs)) in (100..).map(|id| TopicId(Uuid(id))).zip(TOPICS) {
            cluster.apply(MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id: id }));
            cluster.apply(MetadataRecord::Partition(PartitionRecord {
                partition_id: PartitionId(0),
                topic_id: id,
                replicas: vec![NODE],
                isr: vec![NODE],
                leader: NODE,
                directories: vec![DIRECTORY],
                ..PartitionRecord::default()
            }));
            configs.iter().for_each(|(key, value)| cluster.config(2, name, key, Some(value)));
        }
        cluster.publish();
        cluster
    }

    fn apply(&mut self, record: MetadataRecord) {
        self.state.apply(&record).unwrap();
    }

    /// Sets a key of a topic (2) or of brokers (4).
    fn config(&mut self, resource_type: i8, resource: &str, name: &str, value: Option<&str>) {
        self.apply(MetadataRecord::Config(ConfigRecord {
            resource_type,
            resource_name: resource.into(),
            name: name.into(),
            value: value.map(Into::into),
        }));
    }

    fn publish(&mut self) {
        let image = self.state.image().clone();
        self.publisher.publish(Published { image, ..Published::default() });
    }

    fn partition(&self, topic: &str) -> Arc<Partition> {
        let published = self.kit.broker.metadata();
        self.kit.broker.led(&published, topic, PartitionId(0)).unwrap()
    }

    /// Appends to a topic while nothing can be synced: whether that is committed. Then it can, and all
    /// is committed soon.
    fn commits_unsynced(&self, topic: &str) -> bool {
        let partition = self.partition(topic);
        let way = self.kit.broker.log_dirs[0].write_ahead();
        let (alone, rounds) = (way.alone(), way.rounds());
        let mut batch = BatchBuilder::new(BatchSpec::default());
        batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
        let appended = partition.append(&batch.finish(), Origin::Client, Timestamp(0));
        let (appended, is_committed) = appended.unwrap().unwrap();
        let end = appended.last_offset.next();
        if !is_committed {
            // Whoever commits too early has some time to do so.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(partition.high_watermark() == end, is_committed, "{topic}");
        drop((alone, rounds));
        assert!(is_committed_soon(&partition, end), "{topic}");
        is_committed
    }
}

#[test]
fn topics_that_ask_for_flushes_are_durable_where_the_node_is_not() {
    let cluster = Cluster::new("dohle.durability=os\n");
    for (topic, configs) in TOPICS {
        for _ in 0..3 {
            assert_eq!(cluster.commits_unsynced(topic), configs.is_empty(), "{topic}");
        }
    }
    let cluster = Cluster::new("");
    assert!(!cluster.commits_unsynced("plain"), "durable is the default");
}

#[test]
fn what_a_topic_asks_for_counts_from_then_on() {
    let mut cluster = Cluster::new("dohle.durability=os\n");
    for (key, value) in [("flush.messages", "1"), ("flush.ms", "1000")] {
        assert!(cluster.commits_unsynced("plain"), "before {key}");
        cluster.config(2, "plain", key, Some(value));
        cluster.publish();
        assert!(!cluster.commits_unsynced("plain"), "{key}");
        assert!(!cluster.commits_unsynced("plain"), "{key}");
        cluster.config(2, "plain", key, None);
        cluster.publish();
    }
    assert!(cluster.commits_unsynced("plain"));
    // What was set for all brokers holds for each of their topics.
    cluster.config(4, "", "log.flush.interval.messages", Some("1"));
    cluster.publish();
    assert!(!cluster.commits_unsynced("plain"));
}
