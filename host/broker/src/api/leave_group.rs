//! LeaveGroup (13): members leave a classic group.
//!
//! Versions: 3 lets several members leave, static ones by name; 5 has reasons. Authorises: Read on the group.

use std::ops::RangeInclusive;

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    leave_group_request::LeaveGroupRequest, leave_group_response::LeaveGroupResponse,
};

use super::{Answer, Call, Endpoint};

pub(crate) struct LeaveGroup;

impl Endpoint for LeaveGroup {
    type Request = LeaveGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn handle(call: Call<'_>, request: LeaveGroupRequest) -> Answer<LeaveGroupResponse> {
        let group = request.group_id.clone();
        let command = Command::Leave(call.caller(), request);
        call.ask_group(group, command, |reply| match reply {
            Reply::Leave(response) => Some(response),
            _ => None,
        })
    }
}
