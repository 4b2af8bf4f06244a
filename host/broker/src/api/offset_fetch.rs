//! OffsetFetch (9): how far groups have come.
//!
//! Versions: 2 may ask for all topics, and has an error for the whole; 7 can insist on offsets that no
//! open transaction may change; 8 asks for several groups; 10 names topics by id.
//! A group that nobody knows has no offsets, which is no error. Authorises: Describe on the group and
//! on the topics.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, LeaderEpoch, Offset, TopicId};
use dohle_group::{Caller, Command, Reply, fetch_requests, fetch_response};
use dohle_protocol::api::{
    offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    offset_fetch_response::{
        OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopics,
    },
};

use super::{Answer, Call, Endpoint, group_call};
use crate::{Broker, metadata::Published};

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 10;

pub(crate) struct OffsetFetch;

impl Endpoint for OffsetFetch {
    type Request = OffsetFetchRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=10;

    fn handle(call: Call<'_>, request: OffsetFetchRequest) -> Answer<OffsetFetchResponse> {
        let version = call.version;
        let groups = fetch_requests(&request, version);
        let questions: Vec<(Caller, OffsetFetchRequestGroup)> =
            groups.into_iter().map(|group| (call.caller(), group)).collect();
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            let mut answers = Vec::with_capacity(questions.len());
            for (caller, group) in questions {
                answers.push(fetch_group(&broker, caller, group, request.require_stable).await);
            }
            fetch_response(answers, version)
        })
    }
}

async fn fetch_group(
    broker: &Broker,
    caller: Caller,
    mut request: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = caller.api_version >= TOPIC_ID_VERSION;
    let mut unknown = Vec::new();
    if by_id && let Some(topics) = &mut request.topics {
        let published = broker.metadata();
        topics.retain_mut(|topic| match published.image.topics.get(topic.topic_id) {
            Some(known) => {
                topic.name = known.name.clone();
                true
            }
            None => {
                unknown.push(unknown_topic(topic));
                false
            }
        });
    }
    let group = request.group_id.clone();
    let command = Command::OffsetFetch { caller, request, require_stable };
    let Reply::OffsetFetch(mut answer) = group_call::ask(broker, &group, command).await else {
        unreachable!("OffsetFetch has one kind of reply");
    };
    if by_id {
        fill_ids(&broker.metadata(), &mut answer);
    }
    if !answer.error_code.is_error() {
        answer.topics.extend(unknown);
    }
    answer
}

/// Where all topics were asked for, the coordinator knows names only. Offsets of topics that are
/// gone cannot be told by id, and are left out.
fn fill_ids(published: &Published, answer: &mut OffsetFetchResponseGroup) {
    answer.topics.retain_mut(|topic| {
        if topic.topic_id == TopicId::ZERO
            && let Some(known) = published.image.topics.named(&topic.name)
        {
            topic.topic_id = known.id;
        }
        topic.topic_id != TopicId::ZERO
    });
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: Offset(-1),
        committed_leader_epoch: LeaderEpoch::NONE,
        metadata: Some("".into()),
        error_code: ErrorCode::UNKNOWN_TOPIC_ID,
    });
    OffsetFetchResponseTopics {
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopics::default()
    }
}
