//! What can be asked of a coordinator, and by whom.

use dohle_base::{ErrorCode, Str, TopicId, Uuid};
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest, heartbeat_response::HeartbeatResponse,
    join_group_request::JoinGroupRequest, leave_group_request::LeaveGroupRequest,
    leave_group_response::LeaveGroupResponse, offset_commit_request::OffsetCommitRequest,
    offset_delete_request::OffsetDeleteRequest, offset_delete_response::OffsetDeleteResponse,
    offset_fetch_request::OffsetFetchRequestGroup, sync_group_request::SyncGroupRequest,
    sync_group_response::SyncGroupResponse,
};

use crate::{
    GroupSettings, ListFilter, Reply, ReplyToken,
    offsets::{commit_failure, fetch_failure},
    reply::{delete_failure, describe_failure, fit_join, join_failure},
};

/// Who asks. What it may do has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whom to answer.
    pub token: ReplyToken,
    /// The version of the request.
    pub api_version: i16,
    /// From the header of the request; empty if it has none.
    pub client_id: Str,
    /// The peer's address, as Kafka prints it: `/127.0.0.1`.
    pub client_host: Str,
}

/// A question or an event for the coordinator of one partition of `__consumer_offsets`. Every group
/// in it belongs to that partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// New settings: before [`Command::Loaded`], and whenever they change.
    Configure(GroupSettings),
    /// The log was replayed to its end, and this coordinator answers from now on.
    Loaded,
    /// This coordinator answers no more. Everybody who waits is told; call it before
    /// [`dohle_machine::Runtime::resign`], which then gives these answers too.
    Unloaded,
    /// Topics were deleted: so are the offsets of all groups for them.
    TopicsDeleted(Vec<(Str, TopicId)>),
    /// The log has refused the records of the last tick, which was at the same time, because they
    /// are too large.
    TickTooLarge,
    /// The log has refused the records of the last tick, which was at the same time, for any other reason.
    TickRefused,
    /// A member has its answer, see [`Effect::Told`](crate::Effect::Told): its session starts anew.
    Told {
        /// Its group.
        group_id: Str,
        /// Its id.
        member_id: Str,
    },
    /// JoinGroup.
    Join {
        /// Who asks.
        caller: Caller,
        /// What it asks.
        request: JoinGroupRequest,
        /// A random id, for the case that a member needs one.
        fresh_id: Uuid,
    },
    /// SyncGroup.
    Sync(Caller, SyncGroupRequest),
    /// Heartbeat.
    Heartbeat(Caller, HeartbeatRequest),
    /// LeaveGroup.
    Leave(Caller, LeaveGroupRequest),
    /// OffsetCommit. The driver has refused topics and partitions that do not exist, and has filled
    /// in name *and* id of the others.
    OffsetCommit(Caller, OffsetCommitRequest),
    /// OffsetFetch for one group, see [`crate::fetch_requests`]. The driver has filled in the names
    /// of topics.
    OffsetFetch {
        /// Who asks.
        caller: Caller,
        /// The group and what of it.
        request: OffsetFetchRequestGroup,
        /// Refuse offsets that an open transaction may change.
        require_stable: bool,
    },
    /// OffsetDelete. The driver has refused topics and partitions that do not exist.
    OffsetDelete(Caller, OffsetDeleteRequest),
    /// DescribeGroups.
    DescribeGroups(Caller, Vec<Str>),
    /// ListGroups.
    ListGroups {
        /// Who asks.
        caller: Caller,
        /// Which groups.
        filter: ListFilter,
    },
    /// DeleteGroups.
    DeleteGroups(Caller, Vec<Str>),
}

impl Command {
    /// Who waits for an answer; none for an event.
    pub fn token(&self) -> Option<ReplyToken> {
        match self {
            Self::Configure(_)
            | Self::Loaded
            | Self::Unloaded
            | Self::TopicsDeleted(_)
            | Self::TickTooLarge
            | Self::TickRefused
            | Self::Told { .. } => None,
            Self::Join { caller, .. }
            | Self::Sync(caller, _)
            | Self::Heartbeat(caller, _)
            | Self::Leave(caller, _)
            | Self::OffsetCommit(caller, _)
            | Self::OffsetFetch { caller, .. }
            | Self::OffsetDelete(caller, _)
            | Self::DescribeGroups(caller, _)
            | Self::ListGroups { caller, .. }
            | Self::DeleteGroups(caller, _) => Some(caller.token),
        }
    }

    /// The answer that a request gets when there is no coordinator to ask: NOT_COORDINATOR,
    /// COORDINATOR_LOAD_IN_PROGRESS, an authorization that failed. None for an event.
    pub fn refuse(&self, error_code: ErrorCode) -> Option<(ReplyToken, Reply)> {
        let (caller, reply) = match self {
            Self::Configure(_)
            | Self::Loaded
            | Self::Unloaded
            | Self::TopicsDeleted(_)
            | Self::TickTooLarge
            | Self::TickRefused
            | Self::Told { .. } => return None,
            Self::Join { caller, request, .. } => {
                let response = join_failure(&request.member_id, error_code);
                (caller, Reply::Join(fit_join(response, caller.api_version)))
            }
            Self::Sync(caller, _) => {
                let response = SyncGroupResponse { error_code, ..SyncGroupResponse::default() };
                (caller, Reply::Sync(response))
            }
            Self::Heartbeat(caller, _) => (caller, Reply::Heartbeat(no_heartbeat(error_code))),
            Self::Leave(caller, _) => {
                let response = LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
                (caller, Reply::Leave(response))
            }
            Self::OffsetCommit(caller, request) => {
                (caller, Reply::OffsetCommit(commit_failure(request, error_code)))
            }
            Self::OffsetFetch { caller, request, .. } => {
                let failure = fetch_failure(request, error_code, caller.api_version);
                (caller, Reply::OffsetFetch(failure))
            }
            Self::OffsetDelete(caller, _) => {
                let response =
                    OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() };
                (caller, Reply::OffsetDelete(response))
            }
            Self::DescribeGroups(caller, groups) => {
                let groups = groups.iter().cloned();
                let failures = groups.map(|group| describe_failure(group, error_code)).collect();
                (caller, Reply::DescribeGroups(failures))
            }
            Self::ListGroups { caller, .. } => (caller, Reply::ListGroups(Err(error_code))),
            Self::DeleteGroups(caller, groups) => {
                let groups = groups.iter().cloned();
                let failures = groups.map(|group| delete_failure(group, error_code)).collect();
                (caller, Reply::DeleteGroups(failures))
            }
        };
        Some((caller.token, reply))
    }
}

/// While its group is being loaded a member must not take itself for expelled. Source: Kafka 4.4.
fn no_heartbeat(error: ErrorCode) -> HeartbeatResponse {
    let error_code = match error {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => ErrorCode::NONE,
        error => error,
    };
    HeartbeatResponse { error_code, ..HeartbeatResponse::default() }
}
