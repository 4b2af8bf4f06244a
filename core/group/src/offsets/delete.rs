//! Offsets that go before their time: OffsetDelete by an administrator, and those of topics that
//! are no more.

use std::collections::BTreeSet;

use dohle_base::{ErrorCode, Now, Str, TopicId};
use dohle_protocol::api::{
    offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic},
    offset_delete_response::{
        OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
    },
};

use super::tombstone;
use crate::{
    Caller, Effect, Group, GroupDecision, GroupMachine, GroupRecord, Reply,
    classic::GroupState,
    portion::{Portion, rest},
    session::{Purge, Session, Soft, Timer},
};

/// Decides on an OffsetDelete.
pub(crate) fn delete(
    machine: &GroupMachine,
    session: &Session,
    caller: &Caller,
    request: &OffsetDeleteRequest,
) -> GroupDecision {
    let mut decision = GroupDecision::default();
    let response = match subscriptions(machine, session, &request.group_id) {
        Err(error_code) => OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() },
        Ok(subscribed) => {
            let topics = request.topics.iter().map(|topic| {
                let error = if subscribed.contains(&topic.name) {
                    ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
                } else {
                    let records = tombstones(machine, &request.group_id, topic);
                    decision.records.extend(records);
                    ErrorCode::NONE
                };
                answered(topic, error)
            });
            OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
        }
    };
    let reply = Reply::OffsetDelete(response);
    decision.effects.push(Effect::Reply { token: caller.token, reply });
    decision
}

/// Which topics a group reads, as far as the coordinator can know.
enum Subscribed {
    To(BTreeSet<Str>),
    ToUnknown,
}

impl Subscribed {
    fn contains(&self, topic: &Str) -> bool {
        match self {
            Self::To(topics) => topics.contains(topic),
            Self::ToUnknown => true,
        }
    }
}

fn subscriptions(
    machine: &GroupMachine,
    session: &Session,
    group_id: &Str,
) -> Result<Subscribed, ErrorCode> {
    if group_id.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    match machine.group(group_id) {
        None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        Some(Group::Modern(group)) if group.members.is_empty() => Ok(Subscribed::To([].into())),
        // What its members read is in records that only their protocol understands.
        Some(Group::Modern(_)) => Ok(Subscribed::ToUnknown),
        Some(Group::Classic(_)) => {
            let Some(live) = machine.peek(session, group_id) else {
                return Err(ErrorCode::GROUP_ID_NOT_FOUND);
            };
            if live.state != GroupState::Empty && !live.is_consumer() {
                return Err(ErrorCode::NON_EMPTY_GROUP);
            }
            Ok(match live.subscribed_topics() {
                Some(topics) => Subscribed::To(topics),
                None if live.is_consumer() => Subscribed::ToUnknown,
                None => Subscribed::To([].into()),
            })
        }
    }
}

fn tombstones(
    machine: &GroupMachine,
    group_id: &Str,
    topic: &OffsetDeleteRequestTopic,
) -> Vec<GroupRecord> {
    let offsets = machine.offsets();
    topic
        .partitions
        .iter()
        .map(|partition| partition.partition_index)
        .filter(|id| {
            offsets.committed(group_id, &topic.name, *id).is_some()
                || offsets.is_pending(group_id, &topic.name, *id)
        })
        .map(|id| tombstone(group_id, &topic.name, id))
        .collect()
}

fn answered(topic: &OffsetDeleteRequestTopic, error_code: ErrorCode) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().map(|partition| OffsetDeleteResponsePartition {
        partition_index: partition.partition_index,
        error_code,
    });
    OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
}

/// Topics were deleted: their offsets go in portions that fit a batch, with the next ticks.
pub(crate) fn purge_topics(
    session: &Session,
    now: Now,
    mut topics: Vec<(Str, TopicId)>,
) -> GroupDecision {
    if let Some(purge) = &session.purge {
        topics.extend(purge.topics.iter().cloned());
    }
    let purge = Purge { topics, after: None };
    let soft = vec![Soft::Purge(Some(purge)), Soft::Arm(Timer::Purge, now.instant)];
    GroupDecision { soft, ..GroupDecision::default() }
}

/// The next portion of a purge. Other timers that are due have their turn before the one after it.
pub(crate) fn purge(machine: &GroupMachine, session: &Session, now: Now) -> GroupDecision {
    let mut portion = Portion::new(session, now);
    let Some(purge) = &session.purge else {
        return portion.finish(vec![Soft::Disarm(Timer::Purge)]);
    };
    let mut done = purge.after.as_ref();
    for group_id in machine.offsets().groups_after(done) {
        if !purge_group(machine, group_id, &purge.topics, &mut portion) {
            let rest = Purge { after: done.cloned(), ..purge.clone() };
            let again = Soft::Arm(Timer::Purge, now.instant);
            return portion.finish(vec![Soft::Purge(Some(rest)), again]);
        }
        done = Some(group_id);
    }
    let soft = purged(machine, session, now, purge, &portion);
    portion.finish(soft)
}

/// All groups had their turn: the purge is over, or begins again later for what was left out.
fn purged(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    purge: &Purge,
    portion: &Portion<'_>,
) -> Vec<Soft> {
    let mut topics = purge.topics.clone();
    topics.retain(|(topic, _)| portion.keeps(machine, topic));
    if topics.is_empty() {
        return vec![Soft::Purge(None), Soft::Disarm(Timer::Purge)];
    }
    let again = Soft::Arm(Timer::Purge, now.instant + rest(session));
    vec![Soft::Purge(Some(Purge { topics, after: None })), again]
}

/// Takes the offsets of a group for topics that are gone; false if there was no room for all of
/// them. One whose id is not known goes with the name.
fn purge_group(
    machine: &GroupMachine,
    group_id: &Str,
    topics: &[(Str, TopicId)],
    portion: &mut Portion<'_>,
) -> bool {
    topics.iter().all(|(topic, topic_id)| {
        if portion.leaves_out(group_id, Some(topic)) {
            return true;
        }
        let is_meant = |meant| meant == TopicId::ZERO || meant == *topic_id;
        let partitions = machine.offsets().partitions_of(group_id, topic, is_meant);
        partitions.into_iter().all(|id| portion.take_offset(group_id, topic, id))
    })
}
