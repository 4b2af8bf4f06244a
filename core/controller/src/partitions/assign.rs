//! A broker tells in which of its directories its replicas lie (AssignReplicasToDirs, KIP-858).
//!
//! A replica in a directory that is lost leaves the ISR. Where nobody led because of the directory that a
//! replica was thought to be in, it leads now if it can: Kafka waits for an election, which comes with the next
//! start of the broker. Source: interop C.5.

use dohle_base::{BrokerId, ErrorCode, PartitionId, Uuid};
use dohle_metadata::{Broker, MetadataRecord, Topic};
use dohle_protocol::api::{
    assign_replicas_to_dirs_request::{AssignReplicasToDirsRequest, TopicData},
    assign_replicas_to_dirs_response::{
        AssignReplicasToDirsResponse, DirectoryData, PartitionData, TopicData as TopicResult,
    },
};

use crate::controller::{Outcome, answer, outcome};
use crate::partitions::Change;
use crate::{Context, Controller, Reply};

impl Controller {
    pub(crate) fn assign_replicas_to_dirs(
        &self,
        context: &Context,
        request: &AssignReplicasToDirsRequest,
    ) -> Outcome {
        if !self.version().has_directories() {
            return answer(context, Reply::Refused(ErrorCode::UNSUPPORTED_VERSION.into()));
        }
        let broker = match self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            Ok(broker) => broker,
            Err(error_code) => {
                let response = AssignReplicasToDirsResponse { error_code, ..Default::default() };
                return answer(context, Reply::AssignReplicasToDirs(response));
            }
        };
        let mut records = Vec::new();
        let directories = request.directories.iter().map(|directory| {
            let topics = directory.topics.iter();
            let topics =
                topics.map(|topic| self.assign_topic(broker, directory.id, topic, &mut records));
            DirectoryData { id: directory.id, topics: topics.collect() }
        });
        let directories = directories.collect();
        let response = AssignReplicasToDirsResponse { directories, ..Default::default() };
        outcome(context, records, Reply::AssignReplicasToDirs(response))
    }

    fn assign_topic(
        &self,
        broker: &Broker,
        directory: Uuid,
        wanted: &TopicData,
        records: &mut Vec<MetadataRecord>,
    ) -> TopicResult {
        let topic = self.image().topics.get(wanted.topic_id);
        let partitions = wanted.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let assigned = match topic {
                None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
                Some(topic) => self.assign_one(broker, directory, topic, index),
            };
            let error_code = match assigned {
                Ok(record) => {
                    records.extend(record);
                    ErrorCode::NONE
                }
                Err(error_code) => error_code,
            };
            PartitionData { partition_index: index, error_code }
        });
        TopicResult { topic_id: wanted.topic_id, partitions: partitions.collect() }
    }

    fn assign_one(
        &self,
        broker: &Broker,
        directory: Uuid,
        topic: &Topic,
        index: PartitionId,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let partition =
            topic.partitions.get(&index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if !partition.replicas.contains(&broker.id) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let acceptable = |candidate: BrokerId| self.is_active(candidate);
        let mut change =
            Change::new(self, topic, index, partition, &acceptable).directory(broker.id, directory);
        if !broker.has_online_directory(directory) {
            change = change.without(broker.id);
        }
        Ok(change.record().map(MetadataRecord::from))
    }
}
