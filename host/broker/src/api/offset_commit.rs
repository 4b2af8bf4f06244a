//! OffsetCommit (8): how far a group has come.
//!
//! Versions: 2–4 may give a retention time; 6 has leader epochs; 7 static members; 9 member epochs;
//! 10 names topics by id. Authorises: Read on the group and on the topics.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Str, TopicId};
use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic},
    offset_commit_response::{
        OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    },
};

use super::{Answer, Call, Endpoint, by_topic::merge};
use crate::metadata::Published;

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 10;

pub(crate) struct OffsetCommit;

/// What a topic is called in the answer.
#[derive(PartialEq, Eq, Hash)]
enum Named {
    Id(TopicId),
    Name(Str),
}

impl Endpoint for OffsetCommit {
    type Request = OffsetCommitRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=10;

    fn handle(call: Call<'_>, mut request: OffsetCommitRequest) -> Answer<OffsetCommitResponse> {
        let published = call.broker.metadata();
        let by_id = call.version >= TOPIC_ID_VERSION;
        let mut refused = Vec::new();
        request.topics = std::mem::take(&mut request.topics)
            .into_iter()
            .filter_map(|topic| resolve(&published, by_id, topic, &mut refused))
            .collect();
        if request.topics.is_empty() && !refused.is_empty() {
            let response =
                OffsetCommitResponse { topics: refused, ..OffsetCommitResponse::default() };
            return Answer::now(response);
        }
        let group = request.group_id.clone();
        let command = Command::OffsetCommit(call.caller(), request);
        call.ask_group(group, command, move |reply| match reply {
            Reply::OffsetCommit(mut response) => {
                response.topics = merge(
                    response.topics,
                    refused,
                    |topic| {
                        if by_id {
                            Named::Id(topic.topic_id)
                        } else {
                            Named::Name(topic.name.clone())
                        }
                    },
                    |topic, refused| topic.partitions.extend(refused.partitions),
                );
                Some(response)
            }
            _ => None,
        })
    }
}

/// Fills in name and id, and takes out what does not exist.
fn resolve(
    published: &Published,
    by_id: bool,
    mut topic: OffsetCommitRequestTopic,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) -> Option<OffsetCommitRequestTopic> {
    let topics = &published.image.topics;
    let known = if by_id { topics.get(topic.topic_id) } else { topics.named(&topic.name) };
    let error = match known {
        None if by_id => ErrorCode::UNKNOWN_TOPIC_ID,
        _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    let partitions = std::mem::take(&mut topic.partitions).into_iter();
    let (there, missing): (Vec<_>, Vec<_>) = partitions.partition(|partition| {
        known.is_some_and(|known| known.partitions.contains_key(&partition.partition_index))
    });
    if !missing.is_empty() {
        let partitions = missing.into_iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: error,
        });
        refused.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        });
    }
    topic.partitions = there;
    if let Some(known) = known {
        topic.name = known.name.clone();
        topic.topic_id = known.id;
    }
    (!topic.partitions.is_empty()).then_some(topic)
}

#[cfg(test)]
mod tests;
