//! Records, answers and state in one line each.

use bytes::Bytes;
use dohle_base::{ErrorCode, Instant, Now, Str};
use dohle_group::{Group, GroupMachine, GroupRecord, Reply, ReplyToken};
use dohle_protocol::{
    api::{
        describe_groups_response::DescribedGroup, join_group_response::JoinGroupResponse,
        leave_group_response::LeaveGroupResponse,
    },
    records::group::{
        group_metadata_value::{GroupMetadataValue, MemberMetadata},
        offset_commit_value::OffsetCommitValue,
    },
};

fn text(bytes: &Bytes) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|letter| !letter.is_control() && *letter != '\u{fffd}').collect()
}

fn or_none(name: &Option<Str>) -> &str {
    name.as_deref().unwrap_or("none")
}

pub(crate) fn record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::OffsetCommit { key, value, .. } => {
            let place = format!("{} {}-{}", key.group, key.topic, key.partition);
            match value {
                Some(value) => format!("record offset {place} {}", offset(value)),
                None => format!("record offset {place} tombstone"),
            }
        }
        GroupRecord::GroupMetadata { group_id, value: Some(value) } => {
            format!("record group {group_id} {}", group(value))
        }
        GroupRecord::GroupMetadata { group_id, value: None } => {
            format!("record group {group_id} tombstone")
        }
        other => format!("record {other:?}"),
    }
}

fn offset(value: &OffsetCommitValue) -> String {
    format!(
        "{} epoch={} metadata={:?} committed={} expires={} topic={}",
        value.offset,
        value.leader_epoch,
        value.metadata,
        value.commit_timestamp,
        value.expire_timestamp,
        value.topic_id,
    )
}

fn group(value: &GroupMetadataValue) -> String {
    let members: Vec<String> = value.members.iter().map(member).collect();
    format!(
        "generation={} type={:?} protocol={} leader={} since={} members=[{}]",
        value.generation,
        value.protocol_type,
        or_none(&value.protocol),
        or_none(&value.leader),
        value.current_state_timestamp,
        members.join(" "),
    )
}

fn member(member: &MemberMetadata) -> String {
    let instance = member.group_instance_id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
    format!("{}{instance}:{}", member.member_id, text(&member.assignment))
}

fn outcome(error: ErrorCode) -> String {
    if error.is_error() { error.to_string() } else { "ok".to_owned() }
}

pub(crate) fn reply(token: ReplyToken, reply: &Reply) -> String {
    let said = match reply {
        Reply::Join(answer) => join(answer),
        Reply::Sync(answer) => {
            let protocol = or_none(&answer.protocol_name);
            let share = text(&answer.assignment);
            format!("sync {} protocol={protocol} share={share}", outcome(answer.error_code))
        }
        Reply::Heartbeat(answer) => format!("heartbeat {}", outcome(answer.error_code)),
        Reply::Leave(answer) => leave(answer),
        Reply::OffsetCommit(answer) => {
            let partitions = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |partition| {
                    let place = format!("{}-{}", topic.name, partition.partition_index);
                    format!("{place}:{}", outcome(partition.error_code))
                })
            });
            format!("commit {}", partitions.collect::<Vec<_>>().join(" "))
        }
        Reply::OffsetFetch(answer) => {
            let partitions = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |partition| {
                    let place = format!("{}-{}", topic.name, partition.partition_index);
                    let (offset, error) = (partition.committed_offset, partition.error_code);
                    let metadata = or_none(&partition.metadata);
                    format!("{place}:{offset}{metadata:?}:{}", outcome(error))
                })
            });
            let partitions = partitions.collect::<Vec<_>>().join(" ");
            format!("fetch {} {partitions}", outcome(answer.error_code))
        }
        Reply::OffsetDelete(answer) => {
            let partitions = answer.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(move |partition| {
                    let place = format!("{}-{}", topic.name, partition.partition_index);
                    format!("{place}:{}", outcome(partition.error_code))
                })
            });
            let partitions = partitions.collect::<Vec<_>>().join(" ");
            format!("delete-offsets {} {partitions}", outcome(answer.error_code))
        }
        Reply::DescribeGroups(groups) => {
            let groups: Vec<String> = groups.iter().map(describe).collect();
            format!("describe {}", groups.join(" "))
        }
        Reply::ListGroups(Err(error)) => format!("list {}", outcome(*error)),
        Reply::ListGroups(Ok(groups)) => {
            let groups = groups.iter().map(|group| {
                let kind = (&group.group_type, &group.protocol_type);
                format!("{}:{}:{}:{:?}", group.group_id, group.group_state, kind.0, kind.1)
            });
            format!("list {}", groups.collect::<Vec<_>>().join(" "))
        }
        Reply::DeleteGroups(groups) => {
            let groups = groups
                .iter()
                .map(|group| format!("{}:{}", group.group_id, outcome(group.error_code)));
            format!("delete-groups {}", groups.collect::<Vec<_>>().join(" "))
        }
    };
    format!("#{} {said}", token.0)
}

fn join(answer: &JoinGroupResponse) -> String {
    let error = outcome(answer.error_code);
    if answer.error_code.is_error() {
        return format!("join {error} member={}", answer.member_id);
    }
    let members = answer.members.iter().map(|member| {
        let instance =
            member.group_instance_id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
        format!("{}{instance}:{}", member.member_id, text(&member.metadata))
    });
    format!(
        "join {error} member={} generation={} protocol={} leader={} skip={} members=[{}]",
        answer.member_id,
        answer.generation_id,
        or_none(&answer.protocol_name),
        answer.leader,
        answer.skip_assignment,
        members.collect::<Vec<_>>().join(" "),
    )
}

fn leave(answer: &LeaveGroupResponse) -> String {
    let members = answer.members.iter().map(|member| {
        let instance =
            member.group_instance_id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
        format!("{}{instance}:{}", member.member_id, outcome(member.error_code))
    });
    format!("leave {} {}", outcome(answer.error_code), members.collect::<Vec<_>>().join(" "))
}

fn describe(group: &DescribedGroup) -> String {
    let members = group.members.iter().map(|member| {
        let (metadata, assignment) = (text(&member.member_metadata), &member.member_assignment);
        format!("{}:{metadata}:{}", member.member_id, text(assignment))
    });
    format!(
        "{}:{} state={} type={:?} protocol={:?} message={} members=[{}]",
        group.group_id,
        outcome(group.error_code),
        group.group_state,
        group.protocol_type,
        group.protocol_data,
        or_none(&group.error_message),
        members.collect::<Vec<_>>().join(" "),
    )
}

/// What is stored, and when something will happen by itself.
pub(crate) fn machine(machine: &GroupMachine, deadline: Option<Instant>, now: Now) -> Vec<String> {
    let mut lines: Vec<String> = machine
        .groups()
        .map(|(group_id, group)| match group {
            Group::Classic(group) => {
                let members: Vec<&str> = group.members.keys().map(Str::as_str).collect();
                let members = members.join(" ");
                format!("{group_id} classic generation={} [{members}]", group.generation_id)
            }
            Group::Modern(group) => {
                format!("{group_id} {} members={}", group.kind.name(), group.members.len())
            }
        })
        .collect();
    lines.push(match deadline {
        None => "nothing to wait for".to_owned(),
        Some(at) => format!("next in {} ms", at.since(now.instant).as_millis()),
    });
    lines
}
