//! ListGroups (16): the groups that this node coordinates.
//!
//! Versions: 4 filters by state, 5 by type. Authorises: Describe on the cluster or on each group.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, PartitionId};
use dohle_group::{Command, ListFilter, Reply};
use dohle_protocol::api::{
    list_groups_request::ListGroupsRequest, list_groups_response::ListGroupsResponse,
};

use super::{Answer, Call, Endpoint};
use crate::topic_names::CONSUMER_OFFSETS;

/// The types there are, as clients write them. Source: Kafka 4.4.
const TYPES: [&str; 4] = ["consumer", "classic", "share", "streams"];

pub(crate) struct ListGroups;

impl Endpoint for ListGroups {
    type Request = ListGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn handle(call: Call<'_>, request: ListGroupsRequest) -> Answer<ListGroupsResponse> {
        let known = |name: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !request.types_filter.iter().all(|name| known(name)) {
            return Answer::now(ListGroupsResponse {
                error_code: ErrorCode::INVALID_REQUEST,
                ..ListGroupsResponse::default()
            });
        }
        let filter = ListFilter::new(&request.states_filter, &request.types_filter);
        let commands: Vec<(PartitionId, Command)> = led_partitions(call)
            .map(|partition| {
                let (caller, filter) = (call.caller(), filter.clone());
                (partition, Command::ListGroups { caller, filter })
            })
            .collect();
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            let mut replies = Vec::with_capacity(commands.len());
            for (partition, command) in commands {
                replies.push(broker.coordinator.ask(partition, command).await);
            }
            together(replies)
        })
    }
}

/// What the coordinators know; nothing if one of them cannot tell now, as with Kafka.
fn together(replies: Vec<Reply>) -> ListGroupsResponse {
    let mut groups = Vec::new();
    for reply in replies {
        match reply {
            Reply::ListGroups(Ok(listed)) => groups.extend(listed),
            // It has just gone to another node, which tells.
            Reply::ListGroups(Err(ErrorCode::NOT_COORDINATOR)) => {}
            Reply::ListGroups(Err(error_code)) => {
                return ListGroupsResponse { error_code, ..ListGroupsResponse::default() };
            }
            other => unreachable!("each command has one kind of reply: {other:?}"),
        }
    }
    ListGroupsResponse { groups, ..ListGroupsResponse::default() }
}

fn led_partitions(call: Call<'_>) -> impl Iterator<Item = PartitionId> {
    let published = call.broker.metadata();
    let topic = published.image.topics.named(CONSUMER_OFFSETS);
    let led = topic.map_or(Vec::new(), |topic| {
        let led = topic.partitions.iter().filter(|(_, p)| p.leader == call.broker.node_id);
        led.map(|(index, _)| *index).collect()
    });
    led.into_iter()
}

#[cfg(test)]
mod tests {
    use dohle_protocol::api::list_groups_response::ListedGroup;

    use super::*;

    #[test]
    fn one_coordinator_that_cannot_tell_now_is_told_instead_of_a_part() {
        let listed = || Reply::ListGroups(Ok(vec![ListedGroup::default()]));
        let no = |error| Reply::ListGroups(Err(error));
        let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
        // (what the coordinators say, the error, how many groups)
        let rows = [
            (vec![], ErrorCode::NONE, 0),
            (vec![listed(), listed()], ErrorCode::NONE, 2),
            (vec![listed(), no(ErrorCode::NOT_COORDINATOR)], ErrorCode::NONE, 1),
            (vec![listed(), no(loading), listed()], loading, 0),
        ];
        for (replies, error_code, count) in rows {
            let response = together(replies);
            assert_eq!((response.error_code, response.groups.len()), (error_code, count));
        }
    }
}
