//! OffsetDelete (47): forgets committed offsets of topics that the group does not read.
//!
//! Authorises: Delete on the group, Read on the topics.

use std::ops::RangeInclusive;

use dohle_base::ErrorCode;
use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    offset_delete_request::OffsetDeleteRequest,
    offset_delete_response::{
        OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
    },
};

use super::{Answer, Call, Endpoint, by_topic::merge};

pub(crate) struct OffsetDelete;

impl Endpoint for OffsetDelete {
    type Request = OffsetDeleteRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn handle(call: Call<'_>, mut request: OffsetDeleteRequest) -> Answer<OffsetDeleteResponse> {
        let published = call.broker.metadata();
        // A deleted topic has lost its offsets already: what is not there is refused here.
        let mut refused: Vec<OffsetDeleteResponseTopic> = Vec::new();
        request.topics.retain_mut(|topic| {
            let known = published.image.topics.named(&topic.name);
            let (there, missing): (Vec<_>, Vec<_>) =
                std::mem::take(&mut topic.partitions).into_iter().partition(|partition| {
                    known.is_some_and(|known| {
                        known.partitions.contains_key(&partition.partition_index)
                    })
                });
            if !missing.is_empty() {
                let partitions =
                    missing.into_iter().map(|partition| OffsetDeleteResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    });
                refused.push(OffsetDeleteResponseTopic {
                    name: topic.name.clone(),
                    partitions: partitions.collect(),
                });
            }
            topic.partitions = there;
            !topic.partitions.is_empty()
        });
        let group = request.group_id.clone();
        let command = Command::OffsetDelete(call.caller(), request);
        call.ask_group(group, command, |reply| match reply {
            Reply::OffsetDelete(mut response) => {
                // An error of the group as a whole stands alone.
                if !response.error_code.is_error() {
                    response.topics = merge(
                        response.topics,
                        refused,
                        |topic| topic.name.clone(),
                        |topic, refused| topic.partitions.extend(refused.partitions),
                    );
                }
                Some(response)
            }
            _ => None,
        })
    }
}
