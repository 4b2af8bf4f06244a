//! What administrators ask about groups: DescribeGroups, ListGroups, DeleteGroups.

use std::collections::BTreeSet;

use dohle_base::{ErrorCode, Str};
use dohle_protocol::api::{
    delete_groups_response::DeletableGroupResult,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
    list_groups_response::ListedGroup,
};

use crate::{
    Effect, Group, GroupDecision, GroupKind, GroupMachine, GroupRecord, ModernGroup, Reply,
    ReplyToken,
    classic::{GroupState, LiveGroup, Member},
    offsets::tombstone,
    reply::delete_failure,
    session::{Session, Soft},
};

/// The first version of DescribeGroups that tells a group that is not there from a dead one.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 6;
/// The state of a group that is not there.
const DEAD: Str = Str::const_new("Dead");
/// The type of classic groups in ListGroups.
const CLASSIC: &str = "classic";
/// All types in ListGroups.
const TYPES: [&str; 4] =
    [CLASSIC, GroupKind::Consumer.name(), GroupKind::Share.name(), GroupKind::Streams.name()];
/// All states in ListGroups.
const STATES: [&str; 5] = [
    GroupState::Empty.name(),
    GroupState::PreparingRebalance.name(),
    GroupState::CompletingRebalance.name(),
    GroupState::Stable.name(),
    ModernGroup::UNKNOWN_STATE,
];

/// Describes classic groups.
pub(crate) fn describe(
    machine: &GroupMachine,
    session: &Session,
    version: i16,
    groups: Vec<Str>,
) -> Reply {
    let described = groups.into_iter().map(|group_id| match machine.peek(session, &group_id) {
        Some(live) => described(group_id, &live),
        None => not_found(machine, group_id, version),
    });
    Reply::DescribeGroups(described.collect())
}

fn not_found(machine: &GroupMachine, group_id: Str, version: i16) -> DescribedGroup {
    let nothing =
        DescribedGroup { group_state: DEAD, group_id: group_id.clone(), ..Default::default() };
    if version < GROUP_ID_NOT_FOUND_VERSION {
        return nothing;
    }
    let message = match machine.group(&group_id) {
        Some(_) => format!("Group {group_id} is not a classic group."),
        None => format!("Group {group_id} not found."),
    };
    DescribedGroup {
        error_code: ErrorCode::GROUP_ID_NOT_FOUND,
        error_message: Some(message.into()),
        ..nothing
    }
}

fn described(group_id: Str, live: &LiveGroup) -> DescribedGroup {
    // Between generations nothing is agreed.
    let protocol = live.group.protocol_name.as_ref().filter(|_| live.state == GroupState::Stable);
    let members = live.group.members.iter();
    DescribedGroup {
        group_id,
        group_state: live.state.name().into(),
        protocol_type: live.group.protocol_type.clone().unwrap_or_default(),
        protocol_data: protocol.cloned().unwrap_or_default(),
        members: members.map(|(id, member)| described_member(id, member, protocol)).collect(),
        ..DescribedGroup::default()
    }
}

fn described_member(
    member_id: &Str,
    member: &Member,
    protocol: Option<&Str>,
) -> DescribedGroupMember {
    let metadata = protocol.and_then(|name| member.metadata(name));
    DescribedGroupMember {
        member_id: member_id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: metadata.cloned().unwrap_or_default(),
        member_assignment: member.assignment.clone(),
    }
}

/// Which groups are listed: those that have one of these states and one of these types.
///
/// What no group can be is not kept: a client may name anything, and every coordinator is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// None for all.
    states: Option<BTreeSet<&'static str>>,
    /// None for all.
    types: Option<BTreeSet<&'static str>>,
}

impl ListFilter {
    /// A filter for names in any case, all where there are none.
    pub fn new(states: &[Str], types: &[Str]) -> Self {
        let known = |names: &[&'static str], wanted: &[Str]| {
            let known = |wanted: &Str| {
                names.iter().copied().find(|name| wanted.trim().eq_ignore_ascii_case(name))
            };
            (!wanted.is_empty()).then(|| wanted.iter().filter_map(known).collect())
        };
        Self { states: known(&STATES, states), types: known(&TYPES, types) }
    }

    fn passes(&self, group: &ListedGroup) -> bool {
        let is_in = |wanted: &Option<BTreeSet<&str>>, name: &Str| {
            wanted.as_ref().is_none_or(|wanted| wanted.contains(name.as_str()))
        };
        is_in(&self.states, &group.group_state) && is_in(&self.types, &group.group_type)
    }
}

/// Lists the groups of all types that pass the filter.
pub(crate) fn list(machine: &GroupMachine, session: &Session, filter: &ListFilter) -> Reply {
    let listed = machine.groups().map(|(group_id, group)| listed(session, group_id, group));
    Reply::ListGroups(Ok(listed.filter(|group| filter.passes(group)).collect()))
}

fn listed(session: &Session, group_id: &Str, group: &Group) -> ListedGroup {
    let group_id = group_id.clone();
    match group {
        Group::Classic(stored) => {
            let live = session.live.get(&group_id);
            let protocol_type = match live {
                Some(live) => &live.group.protocol_type,
                None => &stored.protocol_type,
            };
            let state = match live {
                Some(live) => live.state,
                None if stored.members.is_empty() => GroupState::Empty,
                None => GroupState::Stable,
            };
            ListedGroup {
                group_id,
                protocol_type: protocol_type.clone().unwrap_or_default(),
                group_state: state.name().into(),
                group_type: CLASSIC.into(),
            }
        }
        Group::Modern(group) => ListedGroup {
            group_id,
            protocol_type: group.kind.name().into(),
            group_state: group.state_name().into(),
            group_type: group.kind.name().into(),
        },
    }
}

/// Deletes groups without members, with all their offsets, as one batch.
pub(crate) fn delete(
    machine: &GroupMachine,
    session: &Session,
    token: ReplyToken,
    groups: Vec<Str>,
) -> GroupDecision {
    let mut decision = GroupDecision::default();
    let mut results = Vec::with_capacity(groups.len());
    // The same group twice would be deleted twice.
    let groups: BTreeSet<Str> = groups.into_iter().collect();
    for group_id in groups {
        match check_deletable(machine, session, &group_id) {
            Err(error) => results.push(delete_failure(group_id, error)),
            Ok(()) => {
                for (topic, partition) in machine.offsets().places(&group_id) {
                    decision.records.push(tombstone(&group_id, &topic, partition));
                }
                let group = GroupRecord::GroupMetadata { group_id: group_id.clone(), value: None };
                decision.records.push(group);
                decision.soft.push(Soft::Forget(group_id.clone()));
                results.push(DeletableGroupResult { group_id, ..Default::default() });
            }
        }
    }
    decision.effects.push(Effect::Reply { token, reply: Reply::DeleteGroups(results) });
    decision
}

fn check_deletable(
    machine: &GroupMachine,
    session: &Session,
    group_id: &Str,
) -> Result<(), ErrorCode> {
    match machine.group(group_id) {
        None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        // Only its protocol knows which records of it have to go, and in which order.
        Some(Group::Modern(_)) => Err(ErrorCode::NON_EMPTY_GROUP),
        Some(Group::Classic(_)) => match machine.peek(session, group_id) {
            Some(live) if live.state != GroupState::Empty => Err(ErrorCode::NON_EMPTY_GROUP),
            _ => Ok(()),
        },
    }
}
