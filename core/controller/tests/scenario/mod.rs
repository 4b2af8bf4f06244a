//! A controller over a log in memory, driven by lines of text.

mod show;

use std::collections::BTreeMap;
use std::time::Duration;

use dohle_base::{BrokerId, Instant, Now, Offset, PartitionId, Str, TopicId, Uuid};
use dohle_controller::{Answer, Command, Context, Controller, Request, RequestToken, Settings};
use dohle_machine::{Journal, Runtime};
use dohle_metadata::{Bootstrap, ELR_VERSION, FEATURES, MetadataRecord, MetadataVersion};
use dohle_protocol::api::{
    allocate_producer_ids_request::AllocateProducerIdsRequest,
    alter_configs_request as replace,
    alter_partition_request::{self as alter_partition, AlterPartitionRequest},
    assign_replicas_to_dirs_request::{self as assign_replicas, AssignReplicasToDirsRequest},
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_registration_request::{BrokerRegistrationRequest, Feature},
    create_partitions_request::{
        CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
    },
    create_topics_request::{
        CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    },
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
    incremental_alter_configs_request as alter,
    unregister_broker_request::UnregisterBrokerRequest,
};
use dohle_protocol::records::metadata::feature_level_record::FeatureLevelRecord;
use dohle_protocol::records::metadata::partition_change_record::PartitionChangeRecord;

/// A controller, its log, and the time.
pub(crate) struct Cluster {
    runtime: Runtime<Controller>,
    log: Log,
    now: Now,
}

/// A log that commits at once.
#[derive(Default)]
struct Log {
    records: Vec<MetadataRecord>,
}

impl Journal<MetadataRecord> for Log {
    type Error = &'static str;

    fn append(&mut self, records: &[MetadataRecord]) -> Result<Offset, Self::Error> {
        let first = Offset(self.records.len() as i64);
        self.records.extend(records.iter().cloned());
        Ok(first)
    }
}

impl Default for Cluster {
    fn default() -> Self {
        let settings = Settings { cluster_id: "cluster".into(), ..Settings::default() };
        let runtime = Runtime::from_snapshot(Controller::new(settings), Offset::ZERO);
        Self { runtime, log: Log::default(), now: Now::default() }
    }
}

/// The words of a command: bare ones, and `key=value` pairs.
struct Words<'a> {
    bare: Vec<&'a str>,
    pairs: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        let mut words = Self { bare: Vec::new(), pairs: BTreeMap::new() };
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => _ = words.pairs.insert(key, value),
                None => words.bare.push(word),
            }
        }
        words
    }

    fn has(&self, word: &str) -> bool {
        self.bare.contains(&word)
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.pairs.get(key).map_or(default, |text| text.parse().ok().expect("a number"))
    }

    fn ids(&self, key: &str) -> Option<Vec<BrokerId>> {
        self.pairs.get(key).map(|text| ids(text))
    }
}

fn ids(text: &str) -> Vec<BrokerId> {
    text.split(',')
        .filter(|id| !id.is_empty())
        .map(|id| BrokerId(id.parse().expect("an id")))
        .collect()
}

fn assignments(text: &str) -> Vec<Vec<BrokerId>> {
    text.split('/').map(ids).collect()
}

impl Cluster {
    /// Carries a command out and says what it did.
    pub(crate) fn play(&mut self, line: &str) -> Vec<String> {
        let words = Words::new(line);
        let (verb, rest) = words.bare.split_first().expect("a command");
        let request = match *verb {
            "activate" => self.bootstrap(&words),
            "pass" => return self.pass(rest[0]),
            "register" => Request::RegisterBroker(self.registration(rest[0], &words)),
            "heartbeat" => Request::BrokerHeartbeat(self.heartbeat(rest[0], &words)),
            "unregister" => {
                Request::UnregisterBroker(UnregisterBrokerRequest { broker_id: ids(rest[0])[0] })
            }
            "create" => Request::CreateTopics(creation(rest[0], &words)),
            "delete" => Request::DeleteTopics(self.deletion(rest)),
            "grow" => Request::CreatePartitions(growth(rest, &words)),
            "set" | "unset" | "append" | "subtract" => {
                Request::IncrementalAlterConfigs(alteration(verb, rest, &words))
            }
            "replace" => Request::AlterConfigs(replacement(rest, &words)),
            "isr" => Request::AlterPartition(self.isr_change(rest, &words)),
            "place" => Request::AssignReplicasToDirs(self.assignment(rest, &words)),
            "ids" => Request::AllocateProducerIds(self.id_block(rest[0], &words)),
            "reassign" => return self.reassign(rest[0], &words),
            other => panic!("no such command: {other}"),
        };
        self.run(request)
    }

    fn run(&mut self, request: Request) -> Vec<String> {
        let context = Context {
            token: RequestToken(1),
            next_offset: self.next_offset(),
            seed: self.log.records.len() as u64,
            kraft_version: 1,
        };
        let command = Command { context, request };
        let before = self.log.records.len();
        self.runtime.handle(self.now, command, &mut self.log).expect("the log takes all");
        self.settled(before)
    }

    fn next_offset(&self) -> Offset {
        Offset(self.log.records.len() as i64)
    }

    fn settled(&mut self, before: usize) -> Vec<String> {
        assert_eq!(self.runtime.machine().fault(), None);
        self.runtime.handle_high_watermark(self.next_offset());
        let names = show::Names::new(self.runtime.machine().image());
        let mut lines: Vec<String> =
            self.log.records[before..].iter().map(|record| show::record(record, &names)).collect();
        while let Some(Answer { reply, .. }) = self.runtime.poll_effect() {
            lines.extend(show::reply(&reply));
        }
        self.check_replay();
        lines
    }

    /// The state is what the log says, live and on replay.
    fn check_replay(&self) {
        let mut again = Runtime::from_snapshot(
            Controller::new(Settings { cluster_id: "cluster".into(), ..Settings::default() }),
            Offset::ZERO,
        );
        for (offset, record) in (0..).zip(&self.log.records) {
            again.replay(Offset(offset), record);
        }
        assert!(again.machine().image() == self.runtime.machine().image(), "replay differs");
    }

    fn bootstrap(&self, words: &Words<'_>) -> Request {
        let version = MetadataVersion(words.number("version", MetadataVersion::LATEST.0));
        let mut bootstrap = Bootstrap::at(version);
        let feature_level = words.number("elr", 0);
        if feature_level > 0 {
            let name = ELR_VERSION.into();
            bootstrap.records.push(FeatureLevelRecord { name, feature_level }.into());
        }
        Request::Activate(bootstrap)
    }

    fn pass(&mut self, seconds: &str) -> Vec<String> {
        self.now.instant =
            self.now.instant + Duration::from_secs(seconds.parse().expect("seconds"));
        let before = self.log.records.len();
        while self.runtime.deadline().is_some_and(|deadline: Instant| deadline <= self.now.instant)
        {
            self.runtime.tick(self.now, &mut self.log).expect("the log takes all");
        }
        self.settled(before)
    }

    fn epoch(&self, id: BrokerId) -> i64 {
        self.runtime.machine().image().broker(id).map_or(-1, |broker| broker.epoch)
    }

    fn registration(&self, id: &str, words: &Words<'_>) -> BrokerRegistrationRequest {
        let id = ids(id)[0];
        let directories = words.number("dirs", 1_u128);
        let features =
            FEATURES.iter().filter(|feature| !words.has(&format!("without-{}", feature.name)));
        let features = features.map(|feature| Feature {
            name: feature.name.into(),
            min_supported_version: feature.min,
            max_supported_version: words.number(feature.name, feature.max),
        });
        BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: words.pairs.get("cluster").copied().unwrap_or("cluster").into(),
            incarnation_id: Uuid(words.number("incarnation", 1_u128)),
            features: features.collect(),
            rack: words.pairs.get("rack").map(|rack| Str::from(*rack)),
            log_dirs: (0..directories)
                .map(|at| Uuid(words.number("dir", 5000 + 10 * id.0 as u128 + at)))
                .collect(),
            previous_broker_epoch: words.number("previous", -1),
            ..Default::default()
        }
    }

    fn heartbeat(&self, id: &str, words: &Words<'_>) -> BrokerHeartbeatRequest {
        let broker_id = ids(id)[0];
        BrokerHeartbeatRequest {
            broker_id,
            broker_epoch: words.number("epoch", self.epoch(broker_id)),
            current_metadata_offset: Offset(words.number("offset", self.next_offset().0 - 1)),
            want_fence: words.has("fence"),
            want_shut_down: words.has("shut-down"),
            offline_log_dirs: words
                .pairs
                .get("offline")
                .map(|dir| vec![Uuid(dir.parse().expect("a directory"))])
                .unwrap_or_default(),
            cordoned_log_dirs: words.pairs.get("cordoned").map(|dirs| {
                dirs.split(',')
                    .filter(|d| !d.is_empty())
                    .map(|d| Uuid(d.parse().unwrap()))
                    .collect()
            }),
        }
    }

    fn topic_id(&self, name: &str) -> TopicId {
        let topics = &self.runtime.machine().image().topics;
        topics.named(name).map_or(TopicId(Uuid(0x999)), |topic| topic.id)
    }

    fn deletion(&self, names: &[&str]) -> DeleteTopicsRequest {
        let topics = names.iter().map(|name| match name.strip_prefix("id:") {
            Some(name) => DeleteTopicState { name: None, topic_id: self.topic_id(name) },
            None => DeleteTopicState { name: Some((*name).into()), topic_id: TopicId::ZERO },
        });
        DeleteTopicsRequest { topics: topics.collect(), ..Default::default() }
    }

    fn isr_change(&self, rest: &[&str], words: &Words<'_>) -> AlterPartitionRequest {
        let (name, number) = rest[0].rsplit_once('-').expect("topic-partition");
        let partition_index = PartitionId(number.parse().expect("a partition"));
        let topic_id = self.topic_id(name);
        let image = self.runtime.machine().image();
        let known = image.topics.partition(topic_id, partition_index).cloned().unwrap_or_default();
        let broker_id = BrokerId(words.number("broker", known.leader.0));
        let members = words.ids("isr").unwrap_or_default().into_iter().map(|id| {
            let broker_epoch = words.number("member-epoch", self.epoch(id));
            alter_partition::BrokerState { broker_id: id, broker_epoch }
        });
        let partition = alter_partition::PartitionData {
            partition_index,
            leader_epoch: dohle_base::LeaderEpoch(
                words.number("leader-epoch", known.leader_epoch.0),
            ),
            partition_epoch: words.number("partition-epoch", known.partition_epoch),
            leader_recovery_state: words.number("recovery", 0),
            new_isr_with_epochs: members.collect(),
            ..Default::default()
        };
        AlterPartitionRequest {
            broker_id,
            broker_epoch: words.number("epoch", self.epoch(broker_id)),
            topics: vec![alter_partition::TopicData { topic_id, partitions: vec![partition] }],
        }
    }

    fn assignment(&self, rest: &[&str], words: &Words<'_>) -> AssignReplicasToDirsRequest {
        let (name, number) = rest[0].rsplit_once('-').expect("topic-partition");
        let broker_id = BrokerId(words.number("broker", 1));
        let partition_index = PartitionId(number.parse().expect("a partition"));
        let topic = assign_replicas::TopicData {
            topic_id: self.topic_id(name),
            partitions: vec![assign_replicas::PartitionData { partition_index }],
        };
        let id = Uuid(words.number("dir", 0));
        AssignReplicasToDirsRequest {
            broker_id,
            broker_epoch: words.number("epoch", self.epoch(broker_id)),
            directories: vec![assign_replicas::DirectoryData { id, topics: vec![topic] }],
        }
    }

    fn id_block(&self, id: &str, words: &Words<'_>) -> AllocateProducerIdsRequest {
        let broker_id = ids(id)[0];
        AllocateProducerIdsRequest {
            broker_id,
            broker_epoch: words.number("epoch", self.epoch(broker_id)),
        }
    }

    /// Puts a reassignment into the log, which no request does yet.
    fn reassign(&mut self, name: &str, words: &Words<'_>) -> Vec<String> {
        let record = PartitionChangeRecord {
            partition_id: PartitionId(0),
            topic_id: self.topic_id(name),
            replicas: words.ids("replicas"),
            adding_replicas: words.ids("adding"),
            removing_replicas: words.ids("removing"),
            ..Default::default()
        };
        let before = self.log.records.len();
        let offset = self.log.append(&[record.into()]).expect("the log takes all");
        self.runtime.replay(offset, &self.log.records[before].clone());
        self.settled(before)
    }
}

fn creation(name: &str, words: &Words<'_>) -> CreateTopicsRequest {
    let name = if name == "''" { "" } else { name };
    let assigned = words.pairs.get("assign").map(|text| assignments(text)).unwrap_or_default();
    let default = if assigned.is_empty() { 1 } else { -1 };
    let assigned = (0..).zip(assigned).map(|(number, broker_ids)| CreatableReplicaAssignment {
        partition_index: PartitionId(number + words.number("first", 0)),
        broker_ids,
    });
    let configs = words.pairs.iter().filter(|(key, _)| key.contains('.'));
    let configs = configs.map(|(key, value)| CreatableTopicConfig {
        name: (*key).into(),
        value: (*value != "null").then(|| (*value).into()),
    });
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: words.number("partitions", default),
        replication_factor: words.number("replicas", default as i16),
        assignments: assigned.collect(),
        configs: configs.collect(),
    };
    let topics = if words.has("twice") { vec![topic.clone(), topic] } else { vec![topic] };
    CreateTopicsRequest { topics, validate_only: words.has("validate"), ..Default::default() }
}

fn growth(rest: &[&str], words: &Words<'_>) -> CreatePartitionsRequest {
    let assigned = words.pairs.get("assign").map(|text| {
        let all = assignments(text).into_iter();
        all.map(|broker_ids| CreatePartitionsAssignment { broker_ids }).collect()
    });
    let topic = CreatePartitionsTopic {
        name: rest[0].into(),
        count: rest[1].parse().expect("a number"),
        assignments: assigned,
    };
    let validate_only = words.has("validate");
    CreatePartitionsRequest { topics: vec![topic], validate_only, ..Default::default() }
}

fn resource(rest: &[&str]) -> (i8, Str) {
    let kind = match rest[0] {
        "topic" => 2,
        "broker" => 4,
        "logger" => 8,
        "metrics" => 16,
        "group" => 32,
        other => other.parse().expect("a resource type"),
    };
    (kind, rest.get(1).copied().filter(|name| *name != "all").unwrap_or("").into())
}

fn alteration(
    verb: &str,
    rest: &[&str],
    words: &Words<'_>,
) -> alter::IncrementalAlterConfigsRequest {
    let (resource_type, resource_name) = resource(rest);
    let config_operation = match verb {
        "set" => 0,
        "unset" => 1,
        "append" => 2,
        _ => 3,
    };
    let configs = words.pairs.iter().map(|(name, value)| alter::AlterableConfig {
        name: (*name).into(),
        config_operation,
        value: (verb != "unset").then(|| (*value).into()),
    });
    let wanted =
        alter::AlterConfigsResource { resource_type, resource_name, configs: configs.collect() };
    let resources = if words.has("twice") { vec![wanted.clone(), wanted] } else { vec![wanted] };
    alter::IncrementalAlterConfigsRequest { resources, validate_only: words.has("validate") }
}

fn replacement(rest: &[&str], words: &Words<'_>) -> replace::AlterConfigsRequest {
    let (resource_type, resource_name) = resource(rest);
    let configs = words.pairs.iter().map(|(name, value)| replace::AlterableConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    });
    let wanted =
        replace::AlterConfigsResource { resource_type, resource_name, configs: configs.collect() };
    let validate_only = words.has("validate");
    replace::AlterConfigsRequest { resources: vec![wanted], validate_only }
}
