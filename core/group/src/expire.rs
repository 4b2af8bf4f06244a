//! Offsets that nobody has used for long, and groups that hold nothing any more.
//!
//! An offset's time runs from when its group became empty, or from its commit if the group has no
//! members to become empty of; while a member reads the topic it does not run at all.

use std::collections::BTreeSet;

use dohle_base::{Now, Str, Timestamp};

use crate::{
    Group, GroupDecision, GroupMachine,
    classic::{GroupState, LiveGroup},
    offsets::CommittedOffset,
    portion::Portion,
    session::{Session, Soft, Timer, after_ms},
};

/// From when an offset's retention counts.
enum Clock {
    /// From this moment.
    Since(Timestamp),
    /// From its commit.
    SinceCommit,
}

/// Looks for what has expired, group after group, until a portion is full.
pub(crate) fn sweep(machine: &GroupMachine, session: &Session, now: Now) -> GroupDecision {
    let mut portion = Portion::new(session, now);
    let mut done = session.sweep.as_ref();
    for (group_id, group) in machine.groups_after(done) {
        if !sweep_group(machine, session, now, (group_id, group), &mut portion) {
            let soft = vec![Soft::Sweep(done.cloned()), Soft::Arm(Timer::Sweep, now.instant)];
            return portion.finish(soft);
        }
        done = Some(group_id);
    }
    let next = match machine.is_empty() {
        true => Soft::Disarm(Timer::Sweep),
        false => arm_sweep(session, now),
    };
    portion.finish(vec![Soft::Sweep(None), next])
}

/// The next sweep is a check interval away.
pub(crate) fn arm_sweep(session: &Session, now: Now) -> Soft {
    let interval_ms = session.settings().offsets_retention_check_interval_ms;
    Soft::Arm(Timer::Sweep, after_ms(now, interval_ms))
}

/// Takes what has expired of a group; false if there was no room for all of it.
fn sweep_group(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    (group_id, group): (&Str, &Group),
    portion: &mut Portion<'_>,
) -> bool {
    let offsets = machine.offsets();
    let mut anything_left = offsets.has_pending(group_id);
    if let Some(topics) = offsets.of_group(group_id) {
        let Some((clock, in_use)) = clock(machine, session, group_id, group) else { return true };
        let retention_ms = session.settings().offsets_retention_ms;
        for (topic, partitions) in topics {
            for (id, offset) in partitions {
                let expired = !in_use.contains(topic)
                    && is_expired(offset, &clock, now.wall, retention_ms)
                    && !offsets.is_pending(group_id, topic, *id)
                    && !portion.leaves_out(group_id, Some(topic));
                if !expired {
                    anything_left = true;
                } else if !portion.take_offset(group_id, topic, *id) {
                    return false;
                }
            }
        }
    }
    let is_idle = matches!(group, Group::Classic(stored) if stored.members.is_empty())
        && !session.live.contains_key(group_id);
    if is_idle && !anything_left && !portion.leaves_out(group_id, None) {
        return portion.take_group(group_id);
    }
    true
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
