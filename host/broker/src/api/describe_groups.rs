//! DescribeGroups (15): state and members of classic groups.
//!
//! Versions: 3 tells operations; 4 static members; 6 has GROUP_ID_NOT_FOUND and messages, where older
//! ones call an unknown group dead. Authorises: Describe on each group.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    describe_groups_request::DescribeGroupsRequest,
    describe_groups_response::DescribeGroupsResponse,
};

use super::{Answer, Call, Endpoint, group_call};
use crate::authorize;

pub(crate) struct DescribeGroups;

impl Endpoint for DescribeGroups {
    type Request = DescribeGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    fn handle(call: Call<'_>, request: DescribeGroupsRequest) -> Answer<DescribeGroupsResponse> {
        let operations =
            authorize::told(request.include_authorized_operations, authorize::ON_GROUP);
        let commands: Vec<_> = request
            .groups
            .into_iter()
            .map(|group| (group.clone(), Command::DescribeGroups(call.caller(), vec![group])))
            .collect();
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            let mut response = DescribeGroupsResponse::default();
            for (group, command) in commands {
                if let Reply::DescribeGroups(groups) =
                    group_call::ask(&broker, &group, command).await
                {
                    response.groups.extend(groups);
                }
            }
            for group in &mut response.groups {
                group.authorized_operations = operations;
            }
            response
        })
    }
}
