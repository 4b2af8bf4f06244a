//! A leader asks for another ISR (AlterPartition, KIP-497, KIP-841). Source: interop C.5.

use dohle_base::{BrokerId, ErrorCode, TopicId};
use dohle_metadata::{LeaderRecovery, MetadataRecord, MetadataState, Partition, Topic};
use dohle_protocol::api::{
    alter_partition_request::{AlterPartitionRequest, BrokerState, PartitionData},
    alter_partition_response::{
        AlterPartitionResponse, PartitionData as PartitionResult, TopicData as TopicResult,
    },
};

use crate::controller::{Outcome, answer, outcome};
use crate::partitions::Change;
use crate::{Context, Controller, Reply};

impl Controller {
    pub(crate) fn alter_partition(
        &self,
        context: &Context,
        request: &AlterPartitionRequest,
    ) -> Outcome {
        if let Err(error_code) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            let response = AlterPartitionResponse { error_code, ..Default::default() };
            return answer(context, Reply::AlterPartition(response));
        }
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in &request.topics {
            let topic = self.image().topics.get(wanted.topic_id);
            let mut partitions = Vec::with_capacity(wanted.partitions.len());
            for data in &wanted.partitions {
                let altered = match topic {
                    None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
                    Some(topic) => self.alter_one(request.broker_id, topic, data, &mut records),
                };
                partitions.push(altered.unwrap_or_else(|error_code| PartitionResult {
                    partition_index: data.partition_index,
                    error_code,
                    ..PartitionResult::default()
                }));
            }
            topics.push(TopicResult { topic_id: wanted.topic_id, partitions });
        }
        let response = AlterPartitionResponse { topics, ..AlterPartitionResponse::default() };
        outcome(context, records, Reply::AlterPartition(response))
    }

    fn alter_one(
        &self,
        sender: BrokerId,
        topic: &Topic,
        data: &PartitionData,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<PartitionResult, ErrorCode> {
        let partition = topic.partitions.get(&data.partition_index);
        let partition = partition.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let isr = proposed_isr(data);
        let recovery = self.check_proposal(sender, partition, data, &isr)?;
        let acceptable = |id| self.is_active(id);
        let members = isr.iter().map(|member| member.broker_id).collect();
        let change = Change::new(self, topic, data.partition_index, partition, &acceptable)
            .isr(members)
            .recovery(recovery)
            .record();
        let Some(change) = change else { return Ok(result(data, partition)) };
        let new_leader = change.leader.0 != -2 && change.leader != sender;
        let after = self.after(topic.id, &MetadataRecord::from(change.clone()), data);
        records.push(change.into());
        if new_leader {
            // The change completed a reassignment that took the leader away: it is told to look.
            return Err(ErrorCode::NEW_LEADER_ELECTED);
        }
        after.map(|after| result(data, &after)).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
    }

    /// The partition as the record will leave it.
    fn after(
        &self,
        id: TopicId,
        record: &MetadataRecord,
        data: &PartitionData,
    ) -> Option<Partition> {
        let mut state = MetadataState::new(self.image().clone());
        state.apply(record).ok()?;
        let partition = state.image().topics.partition(id, data.partition_index)?;
        Some((**partition).clone())
    }

    fn check_proposal(
        &self,
        sender: BrokerId,
        partition: &Partition,
        data: &PartitionData,
        isr: &[BrokerState],
    ) -> Result<LeaderRecovery, ErrorCode> {
        // Epochs from the future: whoever sent them knows of a controller after this one.
        if data.leader_epoch > partition.leader_epoch
            || data.partition_epoch > partition.partition_epoch
        {
            return Err(ErrorCode::NOT_CONTROLLER);
        }
        if data.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if sender != partition.leader {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if data.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::INVALID_UPDATE_VERSION);
        }
        let recovery = LeaderRecovery::from_code(data.leader_recovery_state)
            .map_err(|_| ErrorCode::INVALID_REQUEST)?;
        if !is_possible(partition, recovery, isr) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        if isr.iter().all(|member| self.is_eligible(member)) {
            Ok(recovery)
        } else {
            Err(ErrorCode::INELIGIBLE_REPLICA)
        }
    }

    /// Whether a broker may be in sync, in the life that the leader means.
    fn is_eligible(&self, member: &BrokerState) -> bool {
        self.broker(member.broker_id).is_some_and(|broker| {
            let same_life = member.broker_epoch == -1 || member.broker_epoch == broker.epoch;
            broker.is_active() && same_life
        })
    }
}

/// Replicas all, none twice, the leader among them, and alone while it recovers.
fn is_possible(partition: &Partition, recovery: LeaderRecovery, isr: &[BrokerState]) -> bool {
    // No more members than replicas, so that a long list costs nothing.
    let ids: Vec<BrokerId> =
        isr.iter().map(|member| member.broker_id).take(partition.replicas.len() + 1).collect();
    let few = ids.len() <= partition.replicas.len();
    let distinct = ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id));
    let replicas = ids.iter().all(|id| partition.replicas.contains(id));
    let recovering = recovery == LeaderRecovery::Recovering;
    let relapse = recovering && partition.leader_recovery == LeaderRecovery::Recovered;
    let alone = !recovering || ids.len() <= 1;
    few && distinct && replicas && ids.contains(&partition.leader) && alone && !relapse
}

/// The ISR of either form of the request.
fn proposed_isr(data: &PartitionData) -> Vec<BrokerState> {
    let without_epochs = data.new_isr.iter();
    let without_epochs = without_epochs.map(|id| BrokerState { broker_id: *id, broker_epoch: -1 });
    data.new_isr_with_epochs.iter().cloned().chain(without_epochs).collect()
}

fn result(data: &PartitionData, partition: &Partition) -> PartitionResult {
    PartitionResult {
        partition_index: data.partition_index,
        error_code: ErrorCode::NONE,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        isr: partition.isr.clone(),
        leader_recovery_state: partition.leader_recovery.code(),
        partition_epoch: partition.partition_epoch,
    }
}
