//! Heartbeat (12): a member of a classic group is alive.
//!
//! Versions: 3 has static members. Authorises: Read on the group.

use std::ops::RangeInclusive;

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest, heartbeat_response::HeartbeatResponse,
};

use super::{Answer, Call, Endpoint};

pub(crate) struct Heartbeat;

impl Endpoint for Heartbeat {
    type Request = HeartbeatRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    fn handle(call: Call<'_>, request: HeartbeatRequest) -> Answer<HeartbeatResponse> {
        let group = request.group_id.clone();
        let command = Command::Heartbeat(call.caller(), request);
        call.ask_group(group, command, |reply| match reply {
            Reply::Heartbeat(response) => Some(response),
            _ => None,
        })
    }
}
