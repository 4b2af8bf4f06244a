//! What a record says of a classic group, and back.

use bytes::Bytes;
use dohle_base::{Str, Timestamp};
use dohle_protocol::records::group::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use imbl::OrdMap;

use crate::GroupRecord;

/// Where a group is in the making of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupState {
    /// No members, perhaps offsets.
    #[default]
    Empty,
    /// Members are awaited at the barrier.
    PreparingRebalance,
    /// The leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
}

/// A classic group as its last record has it.
///
/// A *simple* group, one that was never joined and only holds offsets, has no protocol type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassicGroup {
    /// Counts completed rebalances.
    pub generation_id: i32,
    /// Such as `consumer`; none if nobody ever joined.
    pub protocol_type: Option<Str>,
    /// What the members of this generation agreed on; none if there are none.
    pub protocol_name: Option<Str>,
    /// The member that assigns.
    pub leader: Option<Str>,
    /// When the group last changed its state; none in records of version 0 and 1.
    pub state_timestamp: Option<Timestamp>,
    /// By member id.
    pub members: OrdMap<Str, Member>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Given by the client to a static member.
    pub instance_id: Option<Str>,
    /// From the header of its JoinGroup.
    pub client_id: Str,
    /// Its address, as Kafka prints it: with a slash in front.
    pub client_host: Str,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it may stay silent.
    pub session_timeout_ms: i32,
    /// What it can do, the best first. A record keeps only the one in use.
    pub protocols: Vec<MemberProtocol>,
    /// What the leader gave it; empty before that.
    pub assignment: Bytes,
}

/// A way of assigning that a member supports, with its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberProtocol {
    /// Such as `range`.
    pub name: Str,
    /// For the leader; the coordinator looks inside only to know the topics.
    pub metadata: Bytes,
}

impl GroupState {
    /// The name in DescribeGroups and ListGroups.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

impl Member {
    /// The metadata for a protocol; none if it does not support it.
    pub fn metadata(&self, protocol_name: &str) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|protocol| protocol.name == protocol_name)
            .map(|protocol| &protocol.metadata)
    }
}

impl ClassicGroup {
    /// From a record of any version.
    pub(crate) fn from_record(value: &GroupMetadataValue) -> Self {
        let protocol_name = value.protocol.clone();
        let members = value.members.iter().map(|member| {
            (member.member_id.clone(), Member::from_record(member, protocol_name.clone()))
        });
        Self {
            generation_id: value.generation,
            protocol_type: Some(value.protocol_type.clone()).filter(|name| !name.is_empty()),
            leader: value.leader.clone(),
            state_timestamp: Some(Timestamp(value.current_state_timestamp))
                .filter(|at| *at != Timestamp::NONE),
            members: members.collect(),
            protocol_name,
        }
    }

    /// The record that says this.
    pub(crate) fn to_record(&self, group_id: &Str) -> GroupRecord {
        let members = self.members.iter().map(|(id, member)| self.member_record(id, member));
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation_id,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_timestamp.unwrap_or(Timestamp::NONE).0,
            members: members.collect(),
        };
        GroupRecord::GroupMetadata { group_id: group_id.clone(), value: Some(value) }
    }

    fn member_record(&self, member_id: &Str, member: &Member) -> MemberMetadata {
        let subscription = self.protocol_name.as_ref().and_then(|name| member.metadata(name));
        MemberMetadata {
            member_id: member_id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: subscription.cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        }
    }
}

impl Member {
    fn from_record(member: &MemberMetadata, protocol_name: Option<Str>) -> Self {
        let rebalance_timeout_ms = match member.rebalance_timeout {
            // Version 0 has no place for it.
            -1 => member.session_timeout,
            timeout => timeout,
        };
        let metadata = member.subscription.clone();
        Self {
            instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout,
            protocols: protocol_name
                .map(|name| MemberProtocol { name, metadata })
                .into_iter()
                .collect(),
            assignment: member.assignment.clone(),
        }
    }
}
