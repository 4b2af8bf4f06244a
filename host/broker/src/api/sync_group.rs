//! SyncGroup (14): the leader of a classic group hands in the assignment, the others fetch theirs.
//!
//! Versions: 3 has static members; 5 checks the protocol. Authorises: Read on the group.

use std::ops::RangeInclusive;

use dohle_group::{Command, Reply};
use dohle_protocol::api::{
    sync_group_request::SyncGroupRequest, sync_group_response::SyncGroupResponse,
};

use super::{Answer, Call, Endpoint};

pub(crate) struct SyncGroup;

impl Endpoint for SyncGroup {
    type Request = SyncGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn handle(call: Call<'_>, request: SyncGroupRequest) -> Answer<SyncGroupResponse> {
        let group = request.group_id.clone();
        let command = Command::Sync(call.caller(), request);
        call.ask_group(group, command, |reply| match reply {
            Reply::Sync(response) => Some(response),
            _ => None,
        })
    }
}
