//! A node over a directory in memory: formatted, started, stopped, killed, started again; and on a
//! directory that Kafka 4.4.0 wrote.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, LeaderEpoch, Timestamp, TopicId};
use dohle_metadata::format::{self, Levels, LevelsRequest, Quorum};
use dohle_metadata::{MetaProperties, MetadataRecord};
use dohle_protocol::api::{
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_registration_request::{BrokerRegistrationRequest, Feature},
    create_topics_request::{CreatableTopic, CreateTopicsRequest},
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
};
use dohle_raft::{Endpoint, ReplicaKey, VoterSet, data_values};
use dohle_records::split_batches;

use super::*;

const KAFKA_LOG: &[u8] =
    include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000000.log");
const KAFKA_ZERO: &[u8] =
    include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000000-0000000000.checkpoint");
const KAFKA_QUORUM_STATE: &[u8] = include_bytes!("../../../raft/testdata/kafka-4.4.0/quorum-state");
const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";

/// What the metadata directory of a node holds.
#[derive(Clone, Default)]
struct Directory {
    quorum_state: Option<Bytes>,
    checkpoints: BTreeMap<SnapshotId, Bytes>,
    log: Vec<u8>,
    /// Writes that are not durable yet.
    last_token: Option<Token>,
    directory_id: Uuid,
}

use bytes::Bytes;

impl Directory {
    fn formatted() -> Self {
        let asked = LevelsRequest { dynamic_quorum: true, ..LevelsRequest::default() };
        let request = format::Request {
            cluster_id: CLUSTER.into(),
            node_id: BrokerId(1),
            quorum: Quorum::Standalone(vec![endpoint()]),
            levels: Levels::choose(&asked).unwrap(),
            scram: Vec::new(),
            now: Timestamp(5),
        };
        let files = format::directory(&request, true, &mut Rng::from_seed(3)).unwrap();
        let properties = MetaProperties::parse(&files[1].content).unwrap();
        Self {
            checkpoints: [(SnapshotId::BOOTSTRAP, files[0].content.clone())].into(),
            directory_id: properties.directory_id.unwrap(),
            ..Self::default()
        }
    }

    fn kafkas() -> Self {
        Self {
            quorum_state: Some(Bytes::from_static(KAFKA_QUORUM_STATE)),
            checkpoints: [(SnapshotId::BOOTSTRAP, Bytes::from_static(KAFKA_ZERO))].into(),
            log: KAFKA_LOG.to_vec(),
            directory_id: "sample-node1-dir-AAAAA".parse().unwrap(),
            last_token: None,
        }
    }

    fn config(&self, seed: u64) -> NodeConfig {
        let own = ReplicaKey::new(BrokerId(1), self.directory_id);
        let raft = dohle_raft::Config {
            own,
            endpoints: vec![endpoint()],
            static_voters: VoterSet::default(),
        };
        let settings =
            Settings { node_id: BrokerId(1), cluster_id: CLUSTER.into(), ..Settings::default() };
        NodeConfig {
            raft,
            settings,
            incarnation_id: Uuid(0x7000 + u128::from(seed)),
            listeners: Vec::new(),
            snapshots: SnapshotPolicy { bytes_max: 1 << 40, interval: None },
            seed,
        }
    }

    fn open(&self, config: NodeConfig) -> Result<Node, OpenError> {
        let mut loader = NodeLoader::new(config, self.quorum_state.as_deref())?;
        if let Some((id, file)) = self.checkpoints.last_key_value() {
            loader.checkpoint(*id, file)?;
        }
        let batches = split_batches(&Bytes::copy_from_slice(&self.log)).unwrap();
        let start = batches.first().map_or(Offset::ZERO, |first| first.view().base_offset());
        let end = batches.last().map_or(start, |last| last.view().next_offset());
        let epochs =
            batches.iter().map(|b| (b.view().partition_leader_epoch(), b.view().base_offset()));
        loader.log(start, end, epochs)?;
        let from = loader.snapshot_end();
        for batch in batches.iter().filter(|batch| batch.view().next_offset() > from) {
            loader.batch(&batch.view())?;
        }
        loader.start(now(0))
    }

    fn records(&self) -> Vec<(Offset, Bytes)> {
        let batches = split_batches(&Bytes::copy_from_slice(&self.log)).unwrap();
        batches.iter().flat_map(|batch| data_values(&batch.view()).unwrap()).collect()
    }

    /// Writes what the node wants written; returns the answers.
    fn write(&mut self, node: &mut Node) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(output) = node.poll_output() {
            match output {
                NodeOutput::ResetLog { .. } => self.log.clear(),
                NodeOutput::PersistElection { token, file } => {
                    self.quorum_state = Some(file);
                    self.last_token = Some(token);
                }
                NodeOutput::Append { token, batch, .. } => {
                    self.log.extend_from_slice(&batch);
                    self.last_token = Some(token);
                }
                NodeOutput::Snapshot(job) => {
                    self.checkpoints.insert(job.id(), job.file());
                    node.snapshot_written(now(0), job.id());
                }
                NodeOutput::Reply(answer) => answers.push(answer),
                NodeOutput::Active { .. }
                | NodeOutput::Resigned { .. }
                | NodeOutput::Publish(_) => {}
            }
        }
        answers
    }

    /// Writes, syncs, and writes what follows.
    fn sync(&mut self, node: &mut Node) -> Vec<Answer> {
        let mut answers = self.write(node);
        while let Some(token) = self.last_token.take() {
            node.persisted(now(0), token);
            answers.extend(self.write(node));
        }
        answers
    }

    fn ask(&mut self, node: &mut Node, request: Request) -> Reply {
        node.request(now(0), RequestToken(9), request);
        let mut answers = self.sync(node);
        assert_eq!(answers.len(), 1);
        answers.remove(0).reply
    }
}

fn endpoint() -> Endpoint {
    Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 33101 }
}

fn now(seconds: u64) -> Now {
    let wall = Timestamp(1_700_000_000_000 + seconds as i64 * 1_000);
    Now { instant: Instant(seconds * 1_000_000_000), wall }
}

fn registration(directory: &Directory, incarnation: u128) -> Request {
    let features = supported_features().map(|feature| Feature {
        name: feature.name.into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
    });
    Request::RegisterBroker(BrokerRegistrationRequest {
        broker_id: BrokerId(1),
        cluster_id: CLUSTER.into(),
        incarnation_id: Uuid(incarnation),
        features: features.collect(),
        log_dirs: vec![directory.directory_id],
        ..BrokerRegistrationRequest::default()
    })
}

fn heartbeat(node: &Node) -> Request {
    let broker = node.published().image.broker(BrokerId(1)).unwrap();
    Request::BrokerHeartbeat(BrokerHeartbeatRequest {
        broker_id: BrokerId(1),
        broker_epoch: broker.epoch,
        current_metadata_offset: node.published().offset(),
        ..BrokerHeartbeatRequest::default()
    })
}

/// Starts the node and brings its broker into service.
fn serve(directory: &mut Directory, seed: u64) -> Node {
    let mut node = directory.open(directory.config(seed)).unwrap();
    directory.sync(&mut node);
    let reply = directory.ask(&mut node, registration(directory, 0x8000 + u128::from(seed)));
    assert!(matches!(reply, Reply::RegisterBroker(r) if r.error_code == ErrorCode::NONE));
    let request = heartbeat(&node);
    let Reply::BrokerHeartbeat(reply) = directory.ask(&mut node, request) else { panic!() };
    assert!(reply.is_caught_up && !reply.is_fenced);
    node
}

fn creation(name: &str, partitions: i32) -> Request {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() })
}

fn deletion(name: &str) -> Request {
    let topic = DeleteTopicState { name: Some(name.into()), topic_id: TopicId::ZERO };
    Request::DeleteTopics(DeleteTopicsRequest { topics: vec![topic], ..Default::default() })
}

#[test]
fn an_empty_log_begins_as_kafkas_does() {
    let mut directory = Directory { log: Vec::new(), quorum_state: None, ..Directory::kafkas() };
    let mut node = directory.open(directory.config(1)).unwrap();
    directory.sync(&mut node);
    let kafkas = Directory::kafkas().records();
    // Offsets 3 to 12: the bootstrap transaction, byte for byte; then the controller registers.
    let ours = directory.records();
    assert_eq!(ours[..10], kafkas[..10]);
    assert_eq!(
        ours[..10].iter().map(|(o, _)| o.0).collect::<Vec<_>>(),
        (3..13).collect::<Vec<_>>()
    );
    let (record, _) = MetadataRecord::decode(ours[10].1.clone()).unwrap();
    assert!(matches!(record, MetadataRecord::RegisterController(_)));
    assert_eq!(ours.len(), 11);
}

#[test]
fn nothing_is_told_before_it_is_durable() {
    let mut directory = Directory::formatted();
    let mut node = directory.open(directory.config(1)).unwrap();
    directory.write(&mut node);
    assert_eq!(node.published(), &Published::default());
    node.request(now(0), RequestToken(9), registration(&directory, 5));
    assert_eq!(directory.write(&mut node), []);
    let token = directory.last_token.take().unwrap();
    node.persisted(now(0), token);
    // One sync serves the election, the first records and the registration.
    let answers = directory.write(&mut node);
    assert_eq!(answers.len(), 1);
    assert!(node.published().image.broker(BrokerId(1)).is_some());
}

#[test]
fn a_node_lives_and_is_killed_and_lives_again() {
    let mut directory = Directory::formatted();
    let mut node = serve(&mut directory, 1);
    let Reply::CreateTopics(created) = directory.ask(&mut node, creation("orders", 3)) else {
        panic!()
    };
    assert_eq!(created.topics[0].error_code, ErrorCode::NONE);
    let before = node.published().clone();
    assert_eq!(before.image.topics.named("orders").unwrap().partitions.len(), 3);
    assert_eq!(before.epoch, LeaderEpoch(1));
    drop(node);
    // Killed: another incarnation, at once, in the next epoch, with the same topics.
    let node = serve(&mut directory, 2);
    let after = node.published();
    assert_eq!(after.epoch, LeaderEpoch(2));
    let topic = after.image.topics.named("orders").unwrap();
    assert_eq!(topic.id, before.image.topics.named("orders").unwrap().id);
    for partition in topic.partitions.values() {
        assert_eq!((partition.leader, &partition.isr[..]), (BrokerId(1), &[BrokerId(1)][..]));
        assert_eq!(partition.leader_epoch, LeaderEpoch(2), "given up and taken again");
    }
    assert_eq!(node.poll_timeout(), None, "a node that is alone sleeps");
}

#[test]
fn a_directory_of_kafka_is_served() {
    let mut directory = Directory::kafkas();
    let node = serve(&mut directory, 1);
    let image = &node.published().image;
    let unsupported: Vec<String> =
        image.features.unsupported().iter().map(|level| level.name.to_string()).collect();
    assert_eq!(
        unsupported,
        ["group.version", "share.version", "streams.version", "transaction.version"]
    );
    assert_eq!(image.topics.len(), 23);
    for topic in image.topics.iter() {
        for partition in topic.partitions.values() {
            assert_eq!((partition.leader, &partition.elr[..]), (BrokerId(1), &[][..]));
            assert_eq!(&partition.isr[..], [BrokerId(1)]);
        }
    }
    // What was there is there: nothing was rewritten.
    assert!(directory.log.starts_with(KAFKA_LOG));
}

#[test]
fn the_log_alone_makes_the_state() {
    // Random requests; after each few the node is killed, at any point between its writes.
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let mut directory = Directory::formatted();
        for life in 0..4 {
            let mut node = serve(&mut directory, seed * 10 + life);
            for _ in 0..rng.below(12) {
                let name = format!("topic-{}", rng.below(5));
                let request = match rng.below(3) {
                    0 => deletion(&name),
                    _ => creation(&name, 1 + rng.below(3) as i32),
                };
                directory.ask(&mut node, request);
            }
            let again = directory.open(directory.config(1)).unwrap();
            let live = node.controller().image();
            // All but the registration that the new incarnation adds.
            let without_controllers = |image: &MetadataImage| MetadataImage {
                controllers: Default::default(),
                ..image.clone()
            };
            let replayed = without_controllers(again.controller().image());
            assert!(replayed == without_controllers(live), "seed {seed}, life {life}");
            if rng.below(2) == 0 {
                // What was asked for last gets no further than the page cache.
                let log = directory.log.clone();
                node.request(now(0), RequestToken(1), creation("lost", 1));
                directory.write(&mut node);
                directory.log = log;
                directory.last_token = None;
            }
        }
    }
}

#[test]
fn a_snapshot_stands_for_the_log() {
    let mut directory = Directory::formatted();
    let mut config = directory.config(1);
    config.snapshots.bytes_max = 2_000;
    let mut node = directory.open(config).unwrap();
    directory.sync(&mut node);
    directory.ask(&mut node, registration(&directory.clone(), 5));
    let request = heartbeat(&node);
    directory.ask(&mut node, request);
    for n in 0..40 {
        directory.ask(&mut node, creation(&format!("topic-{n}"), 2));
    }
    let (id, _) = directory.checkpoints.last_key_value().unwrap();
    assert!(directory.checkpoints.len() > 2, "one each 2,000 bytes");
    assert_eq!(node.raft().snapshot(), Some(*id));
    // The log from the snapshot on is enough.
    let live = node.controller().image().topics.clone();
    let mut kept = Vec::new();
    for batch in split_batches(&Bytes::copy_from_slice(&directory.log)).unwrap() {
        if batch.view().next_offset() > id.end_offset {
            kept.extend_from_slice(batch.bytes());
        }
    }
    directory.log = kept;
    let again = directory.open(directory.config(2)).unwrap();
    assert!(again.controller().image().topics == live);
}

#[test]
fn time_brings_a_snapshot_if_there_is_anything_new() {
    let mut directory = Directory::formatted();
    let mut config = directory.config(1);
    config.snapshots.interval = Some(Duration::from_secs(3_600));
    let mut node = directory.open(config).unwrap();
    directory.sync(&mut node);
    assert_eq!(node.poll_timeout(), Some(now(3_600).instant));
    node.tick(now(3_599));
    directory.write(&mut node);
    assert_eq!(directory.checkpoints.len(), 1);
    node.tick(now(3_600));
    directory.write(&mut node);
    assert_eq!(directory.checkpoints.len(), 2);
    assert_eq!(node.poll_timeout(), None, "nothing new");
}

#[test]
fn whoever_stops_refuses() {
    let mut directory = Directory::formatted();
    let mut node = serve(&mut directory, 1);
    node.request(now(0), RequestToken(4), creation("late", 1));
    node.shut_down(now(0));
    node.request(now(0), RequestToken(5), creation("later", 1));
    let mut refused = Vec::new();
    for Answer { token, reply } in directory.write(&mut node) {
        assert!(matches!(reply, Reply::Refused(error) if error.code == ErrorCode::NOT_CONTROLLER));
        refused.push(token.0);
    }
    assert_eq!(refused, [4, 5]);
}

#[test]
fn a_damaged_directory_is_not_opened() {
    let directory = Directory::kafkas();
    let without_topics = Directory { log: skip(&directory.log, 20), ..directory.clone() };
    let error = without_topics.open(directory.config(1)).unwrap_err();
    assert!(matches!(error, OpenError::Raft(_)), "{error}");
    let mut torn = directory.clone();
    let zero = torn.checkpoints[&SnapshotId::BOOTSTRAP].slice(..300);
    torn.checkpoints.insert(SnapshotId::BOOTSTRAP, zero);
    let error = torn.open(directory.config(1)).unwrap_err();
    assert!(error.to_string().starts_with("checkpoint 00000000000000000000-0000000000"), "{error}");
}

/// The log without its first batches.
fn skip(log: &[u8], count: usize) -> Vec<u8> {
    let batches = split_batches(&Bytes::copy_from_slice(log)).unwrap();
    batches.iter().skip(count).flat_map(|batch| batch.bytes().to_vec()).collect()
}

#[test]
fn a_huge_request_is_refused_whole() {
    let mut directory = Directory::formatted();
    let mut node = serve(&mut directory, 1);
    let end = node.raft().log_end();
    let Reply::CreateTopics(reply) = directory.ask(&mut node, creation("huge", 10_001)) else {
        panic!()
    };
    assert_eq!(reply.topics[0].error_code, ErrorCode::POLICY_VIOLATION);
    assert_eq!(node.raft().log_end(), end);
    let Reply::CreateTopics(reply) = directory.ask(&mut node, creation("large", 9_999)) else {
        panic!()
    };
    assert_eq!(reply.topics[0].error_code, ErrorCode::NONE);
    assert_eq!(node.raft().log_end(), end.plus(10_000));
}
