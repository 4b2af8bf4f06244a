//! Answers, and what becomes of them when the log refuses the records they rest on.

use dohle_base::{ErrorCode, Str};
use dohle_protocol::api::{
    delete_groups_response::DeletableGroupResult,
    describe_groups_response::DescribedGroup,
    heartbeat_response::HeartbeatResponse,
    join_group_response::JoinGroupResponse,
    leave_group_response::LeaveGroupResponse,
    list_groups_response::ListedGroup,
    offset_commit_response::OffsetCommitResponse,
    offset_delete_response::OffsetDeleteResponse,
    offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponsePartitions},
    sync_group_response::SyncGroupResponse,
};

use crate::Names;

/// Who waits for an answer, in the driver's numbering. The driver ignores an answer to a token that
/// it no longer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReplyToken(pub u64);

/// What happens outside once records are committed.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer somebody.
    Reply {
        /// Whom.
        token: ReplyToken,
        /// What to say.
        reply: Reply,
    },
    /// Nothing: a JoinGroup waits for others. It is an effect so that the one who sent it hears of
    /// it when the log refuses the record of the new group.
    ParkedJoin {
        /// Who waits.
        token: ReplyToken,
        /// The version of its request.
        version: i16,
    },
    /// A member has been answered: hand back [`Command::Told`](crate::Command::Told), also where an error took the
    /// place of the answer. It follows the answer.
    Told {
        /// Its group.
        group_id: Str,
        /// Its id.
        member_id: Str,
    },
    /// Tell the operator: the log takes no batch with only this tombstone. It is left out for a
    /// while, and tried again from time to time.
    TombstoneTooLarge(Names),
}

/// An answer. Responses fit the version of the request they answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To JoinGroup.
    Join(JoinGroupResponse),
    /// To SyncGroup.
    Sync(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To LeaveGroup.
    Leave(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To OffsetFetch, for one group; [`crate::fetch_response`] makes the response.
    OffsetFetch(OffsetFetchResponseGroup),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// To DescribeGroups, for the groups of this coordinator.
    DescribeGroups(Vec<DescribedGroup>),
    /// To ListGroups, for the groups of this coordinator; or why they cannot be told.
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    /// To DeleteGroups, for the groups of this coordinator.
    DeleteGroups(Vec<DeletableGroupResult>),
}

impl Effect {
    /// Turns what would have followed into the answer that it did not happen. `error` is one that
    /// [`append_error`] gives, or NOT_COORDINATOR when the partition was lost. None if nobody waits.
    pub fn fail(self, error: ErrorCode) -> Option<(ReplyToken, Reply)> {
        match self {
            Self::Reply { token, reply } => Some((token, reply.fail(error))),
            Self::ParkedJoin { token, version } => {
                let failure = join_failure(&Str::default(), error);
                Some((token, Reply::Join(fit_join(failure, version))))
            }
            Self::Told { .. } | Self::TombstoneTooLarge(_) => None,
        }
    }
}

impl Reply {
    /// The same answer, but with `error` in it everywhere.
    #[must_use]
    pub fn fail(self, error: ErrorCode) -> Self {
        match self {
            Self::Join(answer) => Self::Join(JoinGroupResponse {
                // Only versions that cannot say null name a protocol without its type.
                protocol_name: answer
                    .protocol_name
                    .filter(|_| answer.protocol_type.is_none())
                    .map(|_| Str::default()),
                ..join_failure(&answer.member_id, error)
            }),
            Self::Sync(_) => {
                Self::Sync(SyncGroupResponse { error_code: error, ..SyncGroupResponse::default() })
            }
            Self::Heartbeat(_) => Self::Heartbeat(HeartbeatResponse {
                error_code: error,
                ..HeartbeatResponse::default()
            }),
            Self::Leave(_) => Self::Leave(LeaveGroupResponse {
                error_code: error,
                ..LeaveGroupResponse::default()
            }),
            Self::OffsetCommit(mut answer) => {
                let topics = answer.topics.iter_mut();
                for partition in topics.flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = error;
                }
                Self::OffsetCommit(answer)
            }
            Self::OffsetFetch(mut answer) => {
                let topics = answer.topics.iter_mut();
                for partition in topics.flat_map(|topic| &mut topic.partitions) {
                    *partition = OffsetFetchResponsePartitions {
                        partition_index: partition.partition_index,
                        committed_offset: dohle_base::Offset(-1),
                        metadata: Some(Str::default()),
                        error_code: error,
                        ..OffsetFetchResponsePartitions::default()
                    };
                }
                answer.error_code = error;
                Self::OffsetFetch(answer)
            }
            Self::OffsetDelete(_) => Self::OffsetDelete(OffsetDeleteResponse {
                error_code: error,
                ..OffsetDeleteResponse::default()
            }),
            Self::DescribeGroups(groups) => Self::DescribeGroups(
                groups.into_iter().map(|group| describe_failure(group.group_id, error)).collect(),
            ),
            Self::ListGroups(_) => Self::ListGroups(Err(error)),
            Self::DeleteGroups(groups) => Self::DeleteGroups(
                groups.into_iter().map(|group| delete_failure(group.group_id, error)).collect(),
            ),
        }
    }
}

/// What a client is told when the coordinator's log could not be written. Source: Kafka 4.4.
pub fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::MESSAGE_TOO_LARGE
        | ErrorCode::RECORD_LIST_TOO_LARGE
        | ErrorCode::INVALID_FETCH_SIZE => ErrorCode::UNKNOWN_SERVER_ERROR,
        other => other,
    }
}

pub(crate) fn join_failure(member_id: &Str, error_code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code,
        member_id: member_id.clone(),
        protocol_name: Some(Str::default()),
        ..JoinGroupResponse::default()
    }
}

/// Since version 7 there is a protocol type, and no protocol is null; before it is empty.
pub(crate) fn fit_join(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    const NULLABLE_PROTOCOL_VERSION: i16 = 7;
    let name = response.protocol_name.take().filter(|name| !name.is_empty());
    if version >= NULLABLE_PROTOCOL_VERSION {
        response.protocol_name = name;
    } else {
        response.protocol_name = Some(name.unwrap_or_default());
        response.protocol_type = None;
    }
    response
}

pub(crate) fn describe_failure(group_id: Str, error_code: ErrorCode) -> DescribedGroup {
    DescribedGroup { group_id, error_code, ..DescribedGroup::default() }
}

pub(crate) fn delete_failure(group_id: Str, error_code: ErrorCode) -> DeletableGroupResult {
    DeletableGroupResult { group_id, error_code, ..DeletableGroupResult::default() }
}
