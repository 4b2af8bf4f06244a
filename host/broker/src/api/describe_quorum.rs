//! DescribeQuorum (55): the metadata quorum as its leader sees it.
//!
//! Versions: 1 tells when replicas were heard of; 2 directories and endpoints.
//! Authorises: Describe on the cluster.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, Offset, Timestamp, Uuid};
use dohle_protocol::api::{
    describe_quorum_request::DescribeQuorumRequest,
    describe_quorum_response::{
        DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
    },
};
use dohle_raft::QuorumDescription;

use super::{Answer, Call, Endpoint};

/// The first version with directories and endpoints.
const DIRECTORY_VERSION: i16 = 2;
const METADATA_TOPIC: &str = "__cluster_metadata";

pub(crate) struct DescribeQuorum;

impl Endpoint for DescribeQuorum {
    type Request = DescribeQuorumRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn handle(call: Call<'_>, request: DescribeQuorumRequest) -> Answer<DescribeQuorumResponse> {
        if !is_about_metadata(&request) {
            return Answer::now(unknown(request));
        }
        let (broker, version) = (Arc::clone(call.broker), call.version);
        Answer::later(async move {
            match broker.controller.describe_quorum().await {
                Some(quorum) => described(&quorum, version),
                None => DescribeQuorumResponse {
                    error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
                    ..DescribeQuorumResponse::default()
                },
            }
        })
    }
}

/// The quorum has one topic with one partition.
fn is_about_metadata(request: &DescribeQuorumRequest) -> bool {
    matches!(&request.topics[..], [topic] if topic.topic_name == METADATA_TOPIC
        && matches!(&topic.partitions[..], [partition] if partition.partition_index.0 == 0))
}

fn unknown(request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                error_message: Some("the quorum keeps __cluster_metadata-0 only".into()),
                ..PartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}

fn described(quorum: &QuorumDescription, version: i16) -> DescribeQuorumResponse {
    let states = |replicas: &[dohle_raft::ReplicaState]| {
        replicas.iter().map(|replica| state(replica, version)).collect()
    };
    let partition = PartitionData {
        leader_id: quorum.leader,
        leader_epoch: quorum.epoch,
        high_watermark: quorum.high_watermark,
        current_voters: states(&quorum.voters),
        observers: states(&quorum.observers),
        ..PartitionData::default()
    };
    let topic = TopicData { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
    let nodes = quorum.voter_set.iter().map(|(id, voter)| Node {
        node_id: id,
        listeners: voter
            .endpoints
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.listener.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
            })
            .collect(),
    });
    let nodes = nodes.filter(|_| version >= DIRECTORY_VERSION).collect();
    DescribeQuorumResponse { topics: vec![topic], nodes, ..DescribeQuorumResponse::default() }
}

fn state(replica: &dohle_raft::ReplicaState, version: i16) -> ReplicaState {
    let directory_id = replica.key.directory_id.filter(|_| version >= DIRECTORY_VERSION);
    ReplicaState {
        replica_id: replica.key.id,
        replica_directory_id: directory_id.unwrap_or(Uuid::ZERO),
        log_end_offset: replica.progress.end_offset.unwrap_or(Offset(-1)),
        last_fetch_timestamp: told(replica.progress.last_fetch),
        last_caught_up_timestamp: told(replica.progress.last_caught_up),
    }
}

/// A time as the message has it: −1 if it is not known.
fn told(time: Option<Timestamp>) -> i64 {
    time.unwrap_or(Timestamp::NONE).0
}
