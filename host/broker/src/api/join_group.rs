//! JoinGroup (11): a consumer enters a classic group, and learns of the rebalance.
//!
//! Versions: 1 has a rebalance time-out of its own; 4 gives a member its id before it joins (KIP-394);
//! 5 has static members (KIP-345); 7 tells the protocol's type; 8 has a reason; 9 may skip the
//! assignment (KIP-814). Authorises: Read on the group.

use std::ops::RangeInclusive;

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    join_group_request::JoinGroupRequest, join_group_response::JoinGroupResponse,
};

use super::{Answer, Call, Endpoint};

pub(crate) struct JoinGroup;

impl Endpoint for JoinGroup {
    type Request = JoinGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=9;

    fn handle(call: Call<'_>, request: JoinGroupRequest) -> Answer<JoinGroupResponse> {
        let group = request.group_id.clone();
        let command =
            Command::Join { caller: call.caller(), fresh_id: call.broker.random_id(), request };
        call.ask_group(group, command, |reply| match reply {
            Reply::Join(response) => Some(response),
            _ => None,
        })
    }
}
