//! DeleteGroups (42): removes empty groups and their offsets.
//!
//! Versions: 3 has messages (KIP-1331). Authorises: Delete on each group.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    delete_groups_request::DeleteGroupsRequest, delete_groups_response::DeleteGroupsResponse,
};

use super::{Answer, Call, Endpoint, group_call};

pub(crate) struct DeleteGroups;

impl Endpoint for DeleteGroups {
    type Request = DeleteGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    fn handle(call: Call<'_>, request: DeleteGroupsRequest) -> Answer<DeleteGroupsResponse> {
        let commands: Vec<_> = request
            .groups_names
            .into_iter()
            .map(|group| (group.clone(), Command::DeleteGroups(call.caller(), vec![group])))
            .collect();
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            let mut response = DeleteGroupsResponse::default();
            for (group, command) in commands {
                if let Reply::DeleteGroups(results) =
                    group_call::ask(&broker, &group, command).await
                {
                    response.results.extend(results);
                }
            }
            response
        })
    }
}
