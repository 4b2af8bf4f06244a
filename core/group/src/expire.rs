//! Offsets that nobody has used for long, and groups that hold nothing any more.
//!
//! An offset's time runs from when its group became empty, or from its commit if the group has no
//! members to become empty of; while a member reads the topic it does not run at all.

use std::collections::BTreeSet;

use dohle_base::{Now, Str, Timestamp};

use crate::{
    Group, GroupDecision, GroupMachine, GroupRecord,
    classic::{GroupState, LiveGroup},
    offsets::{CommittedOffset, tombstone},
    session::{Session, Soft, Timer, after_ms},
};

/// After how many tombstones a tick leaves the rest to the next: they are appended as one batch,
/// which must stay below the smallest `max.message.bytes` in use. A tombstone is about 100 bytes.
pub(crate) const RECORDS_PER_TICK: usize = 1_000;

/// From when an offset's retention counts.
enum Clock {
    /// From this moment.
    Since(Timestamp),
    /// From its commit.
    SinceCommit,
}

/// Looks for what has expired, group after group.
pub(crate) fn sweep(machine: &GroupMachine, session: &Session, now: Now) -> GroupDecision {
    let mut decision = GroupDecision::default();
    for (group_id, group) in machine.groups_after(session.sweep.as_ref()) {
        sweep_group(machine, session, now, (group_id, group), &mut decision.records);
        if decision.records.len() >= RECORDS_PER_TICK {
            decision.soft.push(Soft::Sweep(Some(group_id.clone())));
            decision.soft.push(Soft::Arm(Timer::Sweep, now.instant));
            return decision;
        }
    }
    decision.soft.push(Soft::Sweep(None));
    decision.soft.push(if machine.is_empty() {
        Soft::Disarm(Timer::Sweep)
    } else {
        arm_sweep(session, now)
    });
    decision
}

/// The next sweep is a check interval away.
pub(crate) fn arm_sweep(session: &Session, now: Now) -> Soft {
    let interval_ms = session.settings().offsets_retention_check_interval_ms;
    Soft::Arm(Timer::Sweep, after_ms(now, interval_ms))
}

fn sweep_group(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    (group_id, group): (&Str, &Group),
    records: &mut Vec<GroupRecord>,
) {
    let offsets = machine.offsets();
    let mut anything_left = offsets.has_pending(group_id);
    if let Some(topics) = offsets.of_group(group_id) {
        let Some((clock, in_use)) = clock(machine, session, group_id, group) else { return };
        let retention_ms = session.settings().offsets_retention_ms;
        for (topic, partitions) in topics {
            for (id, offset) in partitions {
                let expired = !in_use.contains(topic)
                    && is_expired(offset, &clock, now.wall, retention_ms)
                    && !offsets.is_pending(group_id, topic, *id);
                if expired {
                    records.push(tombstone(group_id, topic, *id));
                } else {
                    anything_left = true;
                }
            }
        }
    }
    let is_idle = matches!(group, Group::Classic(stored) if stored.members.is_empty())
        && !session.live.contains_key(group_id);
    if is_idle && !anything_left {
        records.push(GroupRecord::GroupMetadata { group_id: group_id.clone(), value: None });
    }
}

/// When the offsets of a group expire and which topics are exempt; none if nothing expires now.
fn clock(
    machine: &GroupMachine,
    session: &Session,
    group_id: &Str,
    group: &Group,
) -> Option<(Clock, BTreeSet<Str>)> {
    match group {
        Group::Modern(group) => {
            group.members.is_empty().then(|| (Clock::SinceCommit, BTreeSet::new()))
        }
        Group::Classic(_) => classic_clock(&*machine.peek(session, group_id)?),
    }
}

fn classic_clock(live: &LiveGroup) -> Option<(Clock, BTreeSet<Str>)> {
    if live.group.protocol_type.is_none() {
        return Some((Clock::SinceCommit, BTreeSet::new()));
    }
    match live.state {
        GroupState::Empty => {
            let since = live.group.state_timestamp;
            Some((since.map_or(Clock::SinceCommit, Clock::Since), BTreeSet::new()))
        }
        GroupState::Stable => Some((Clock::SinceCommit, live.subscribed_topics()?)),
        GroupState::PreparingRebalance | GroupState::CompletingRebalance => None,
    }
}

fn is_expired(offset: &CommittedOffset, clock: &Clock, now: Timestamp, retention_ms: i64) -> bool {
    if let Some(at) = offset.expire_timestamp {
        return now >= at;
    }
    let since = match clock {
        Clock::Since(since) => *since,
        Clock::SinceCommit => offset.commit_timestamp,
    };
    now.0.saturating_sub(since.0) >= retention_ms
}
