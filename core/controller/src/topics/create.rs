//! New topics: name, settings, assignment, records. Source: interop C.4.
//!
//! Each topic of a request succeeds or fails by itself; those that succeed are one atomic batch.
//! Records of a topic: Topic, its Config records, its Partition records.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{BrokerId, ErrorCode, PartitionId, Rng, TopicId, Uuid};
use dohle_config::alter::validate;
use dohle_config::{NodeSettings, Resource, Settings};
use dohle_metadata::{ConfigResource, MetadataRecord, Partition, check_topic_name};
use dohle_protocol::api::{
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest},
    create_topics_response::{CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse},
};
use dohle_protocol::records::metadata::{config_record::ConfigRecord, topic_record::TopicRecord};

use crate::configs::clear_elr_records;
use crate::controller::{Outcome, outcome};
use crate::repeated::repeated;
use crate::{ApiError, Context, Controller, Reply, UsableBroker, place};

/// The most records that one request of a user may lead to, and the most partitions that it may
/// name. Source: Kafka 4.4.
pub(crate) const USER_RECORDS_MAX: usize = 10_000;

/// A topic that no request can make: its log is the metadata's.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A topic that can be made.
struct NewTopic {
    records: Vec<MetadataRecord>,
    result: CreatableTopicResult,
}

impl Controller {
    pub(crate) fn create_topics(
        &self,
        context: &Context,
        request: &CreateTopicsRequest,
    ) -> Outcome {
        let mut rng = Rng::from_seed(context.seed);
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.topics.len());
        let excessive = self.names_too_many_partitions(request);
        let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
        for topic in &request.topics {
            let created = if excessive {
                Err(too_many("partitions"))
            } else {
                self.check_name(topic, &repeated).and_then(|()| self.create_topic(topic, &mut rng))
            };
            results.push(match created {
                Ok(created) => {
                    records.extend(created.records);
                    created.result
                }
                Err(error) => failed(topic, error),
            });
        }
        if records.len() > USER_RECORDS_MAX {
            records.clear();
            results =
                request.topics.iter().map(|topic| failed(topic, too_many("records"))).collect();
        }
        if request.validate_only {
            records.clear();
        }
        let response = CreateTopicsResponse { topics: results, ..CreateTopicsResponse::default() };
        outcome(context, records, Reply::CreateTopics(response))
    }

    fn names_too_many_partitions(&self, request: &CreateTopicsRequest) -> bool {
        let count = |topic: &CreatableTopic| match topic.num_partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len(),
            -1 => usize::try_from(self.node.int("num.partitions")).unwrap_or(0),
            given => usize::try_from(given).unwrap_or(0),
        };
        let total = request.topics.iter().map(count).fold(0, usize::saturating_add);
        total > USER_RECORDS_MAX
    }

    fn check_name(
        &self,
        topic: &CreatableTopic,
        repeated: &BTreeSet<&str>,
    ) -> Result<(), ApiError> {
        let name = topic.name.as_str();
        if repeated.contains(name) {
            return Err(ApiError::new(ErrorCode::INVALID_REQUEST, "the topic is named twice"));
        }
        if name == METADATA_TOPIC {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
        }
        let invalid = |fault: String| ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, fault);
        check_topic_name(name).map_err(|fault| invalid(fault.to_string()))?;
        if self.image().topics.named(name).is_some() {
            let message = format!("topic '{name}' already exists");
            return Err(ApiError::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        match self.image().topics.colliding(name).map(|other| &other.name) {
            Some(other) => {
                Err(invalid(format!("topic '{name}' collides with the existing topic '{other}'")))
            }
            None => Ok(()),
        }
    }

    fn create_topic(&self, topic: &CreatableTopic, rng: &mut Rng) -> Result<NewTopic, ApiError> {
        let settings = creation_settings(topic)?;
        let node = &*self.node;
        validate(node, Resource::Topic, &topic.name, &Settings::new(), &settings)
            .map_err(|refusal| ApiError::new(refusal.code, refusal.to_string()))?;
        let partitions = if topic.assignments.is_empty() {
            self.placed(topic, rng)?
        } else {
            self.assigned(topic)?
        };
        let topic_id = TopicId(Uuid::random(rng));
        let mut records = vec![TopicRecord { name: topic.name.clone(), topic_id }.into()];
        records.extend(self.setting_records(topic, &settings));
        let version = self.version();
        for (number, partition) in (0..).zip(&partitions) {
            let record = partition.to_record(topic_id, PartitionId(number), version);
            records.push(record.into());
        }
        let result = created_result(topic, topic_id, &partitions, node, &settings)?;
        Ok(NewTopic { records, result })
    }

    fn setting_records(&self, topic: &CreatableTopic, settings: &Settings) -> Vec<MetadataRecord> {
        let resource = ConfigResource::topic(topic.name.clone());
        let mut records: Vec<ConfigRecord> = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            records.push(ConfigRecord {
                resource_type: resource.resource_type,
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            });
        }
        let cleared = clear_elr_records(self.elr_enabled(), &records);
        records.into_iter().map(MetadataRecord::from).chain(cleared).collect()
    }

    /// Partitions that the controller places.
    fn placed(&self, topic: &CreatableTopic, rng: &mut Rng) -> Result<Vec<Partition>, ApiError> {
        let replication_factor = match topic.replication_factor {
            -1 => self.node.int("default.replication.factor"),
            given => i32::from(given),
        };
        let factor = usize::try_from(replication_factor).ok().filter(|factor| *factor > 0);
        let factor = factor.ok_or_else(|| {
            let message = "the replication factor must be above 0, or -1 for the default";
            ApiError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
        })?;
        let count = match topic.num_partitions {
            -1 => self.node.int("num.partitions"),
            given => given,
        };
        let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
            let message = "the number of partitions must be above 0, or -1 for the default";
            ApiError::new(ErrorCode::INVALID_PARTITIONS, message)
        })?;
        self.place_new(count, factor, rng)
    }

    /// New partitions on the brokers that can take them.
    pub(crate) fn place_new(
        &self,
        count: usize,
        replication_factor: usize,
        rng: &mut Rng,
    ) -> Result<Vec<Partition>, ApiError> {
        let unable = |why: String| {
            let message = format!("cannot place {replication_factor} replica(s): {why}");
            ApiError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
        };
        let brokers: Vec<UsableBroker> = self.usable_brokers();
        let placed = place(&brokers, count, replication_factor, rng)
            .map_err(|error| unable(error.to_string()))?;
        let partitions = placed.into_iter().map(|replicas| {
            self.new_partition(replicas)
                .ok_or_else(|| unable("all brokers are fenced or shutting down".into()))
        });
        partitions.collect()
    }

    fn usable_brokers(&self) -> Vec<UsableBroker> {
        let usable =
            self.image().brokers.values().filter(|broker| {
                !broker.in_controlled_shutdown && broker.has_uncordoned_directory()
            });
        let brokers = usable.map(|broker| UsableBroker {
            id: broker.id,
            rack: broker.rack.clone(),
            fenced: broker.fenced,
        });
        brokers.collect()
    }

    /// Partitions as they were assigned by hand.
    fn assigned(&self, topic: &CreatableTopic) -> Result<Vec<Partition>, ApiError> {
        for (given, what) in [
            (i32::from(topic.replication_factor), "replication factor"),
            (topic.num_partitions, "number of partitions"),
        ] {
            if given != -1 {
                let message = format!("with assignments given, the {what} must be -1");
                return Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
            }
        }
        let mut partitions = BTreeMap::new();
        let mut replication_factor = None;
        for CreatableReplicaAssignment { partition_index, broker_ids } in &topic.assignments {
            let partition =
                self.check_assignment(*partition_index, broker_ids, replication_factor)?;
            replication_factor = Some(broker_ids.len());
            if partitions.insert(*partition_index, partition).is_some() {
                let message = format!("partition {partition_index} is assigned twice");
                return Err(ApiError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
        }
        let consecutive = (0..).zip(partitions.keys()).all(|(number, id)| number == id.0);
        if !consecutive {
            let message = "the assigned partitions must be numbered from 0 without gaps";
            return Err(ApiError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
        Ok(partitions.into_values().collect())
    }

    /// The partition that an assignment by hand makes.
    pub(crate) fn check_assignment(
        &self,
        partition: PartitionId,
        replicas: &[BrokerId],
        replication_factor: Option<usize>,
    ) -> Result<Partition, ApiError> {
        let invalid =
            |message: String| ApiError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
        if replicas.is_empty() {
            return Err(invalid(format!("partition {partition} is assigned to no broker")));
        }
        for (at, id) in replicas.iter().enumerate() {
            let broker = self.broker(*id).ok_or_else(|| {
                invalid(format!(
                    "partition {partition} is assigned to broker {id}, which is not registered"
                ))
            })?;
            if !broker.has_uncordoned_directory() {
                return Err(invalid(format!("all log directories of broker {id} are cordoned")));
            }
            if replicas[..at].contains(id) {
                return Err(invalid(format!(
                    "partition {partition} is assigned to broker {id} twice"
                )));
            }
        }
        if replication_factor.is_some_and(|factor| factor != replicas.len()) {
            let count = replicas.len();
            let message =
                format!("partition {partition} has {count} replica(s), others have another number");
            return Err(invalid(message));
        }
        self.new_partition(replicas.to_vec()).ok_or_else(|| {
            invalid(format!("all brokers of partition {partition} are fenced or shutting down"))
        })
    }

    /// A partition at its beginning; none if nobody can lead it.
    fn new_partition(&self, replicas: Vec<BrokerId>) -> Option<Partition> {
        let isr: Vec<BrokerId> =
            replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        Some(Partition {
            directories: replicas.iter().map(|id| self.default_directory(*id)).collect(),
            leader: *isr.first()?,
            replicas,
            isr,
            ..Partition::default()
        })
    }
}

/// What a topic is to be set to.
fn creation_settings(topic: &CreatableTopic) -> Result<Settings, ApiError> {
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| config.name.as_str())
        .collect();
    if !nulls.is_empty() {
        let message = format!("null is not a value for a topic's setting: {}", nulls.join(","));
        return Err(ApiError::new(ErrorCode::INVALID_CONFIG, message));
    }
    let given = topic.configs.iter();
    Ok(given
        .map(|config| (config.name.clone(), config.value.clone().unwrap_or_default()))
        .collect())
}

fn created_result(
    topic: &CreatableTopic,
    topic_id: TopicId,
    partitions: &[Partition],
    node: &NodeSettings,
    settings: &Settings,
) -> Result<CreatableTopicResult, ApiError> {
    let described = node
        .describe_created_topic(settings)
        .map_err(|fault| ApiError::new(ErrorCode::INVALID_CONFIG, fault.to_string()))?;
    let configs = described.into_iter().map(|key| CreatableTopicConfigs {
        name: key.name,
        value: key.value,
        read_only: key.read_only,
        config_source: key.source.code(),
        is_sensitive: key.sensitive,
    });
    let replicas = partitions.first().map_or(0, |partition| partition.replicas.len());
    Ok(CreatableTopicResult {
        name: topic.name.clone(),
        topic_id,
        num_partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        error_message: None,
        configs: Some(configs.collect()),
        ..CreatableTopicResult::default()
    })
}

fn failed(topic: &CreatableTopic, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: error.code,
        error_message: error.message,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

fn too_many(what: &str) -> ApiError {
    let message = format!("the request leads to more than {USER_RECORDS_MAX} {what}");
    ApiError::new(ErrorCode::POLICY_VIOLATION, message)
}
