//! What a coordinator may lose on failover: rebalances under way, who waits for which answer, and
//! every timer.
//!
//! A group has an entry here from its first member until it is empty again; while it has none, its
//! record says all. Timers exist only while something waits: an idle coordinator is never woken.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_base::{Instant, Now, Str, TopicId};

use crate::{
    GroupMachine, GroupSettings,
    classic::LiveGroup,
    portion::{Names, Portions},
};

/// The soft state of [`GroupMachine`].
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub(crate) settings: GroupSettings,
    pub(crate) live: BTreeMap<Str, LiveGroup>,
    pub(crate) timers: Timers,
    /// Where the sweep for expired offsets goes on; none if it starts over.
    pub(crate) sweep: Option<Str>,
    /// Topics whose offsets are still to be deleted, and the group to go on with.
    pub(crate) purge: Option<Purge>,
    /// How many tombstones a tick appends, and which not.
    pub(crate) portions: Portions,
}

/// A change of the session.
#[derive(Clone, Debug)]
pub enum Soft {
    /// New settings; running timers keep their time.
    Configure(GroupSettings),
    /// A group as it is from now on; forgotten when its record says it all.
    Put(Str, Box<LiveGroup>),
    /// A group is gone.
    Forget(Str),
    /// A timer starts, or starts anew.
    Arm(Timer, Instant),
    /// A timer is no longer wanted.
    Disarm(Timer),
    /// The sweep goes on behind this group, or is over.
    Sweep(Option<Str>),
    /// The purge goes on like this, or is over.
    Purge(Option<Purge>),
    /// Portions of tombstones have so many bytes from now on.
    Portion(usize),
    /// A portion of tombstones was written, these among them, which no longer rest.
    PortionWritten(BTreeSet<Names>),
    /// Tombstones are left out of portions for a time.
    Rest(Names, Instant),
}

/// Deleted topics whose offsets must go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Name and identity: a topic created anew under the name keeps its offsets.
    pub topics: Vec<(Str, TopicId)>,
    /// Groups up to and including this one are done.
    pub after: Option<Str>,
}

/// What there is to wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A member, or somebody who was given a member id, must be heard of.
    Heartbeat {
        /// The group.
        group_id: Str,
        /// The member.
        member_id: Str,
    },
    /// The join phase ends.
    Join(Str),
    /// All members must have asked for their assignment.
    Sync(Str),
    /// Expired offsets are looked for.
    Sweep,
    /// Offsets of deleted topics are tombstoned.
    Purge,
}

/// Timers by name and by time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<Timer, Instant>,
    queue: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(crate) fn arm(&mut self, timer: Timer, at: Instant) {
        if let Some(before) = self.due.insert(timer.clone(), at) {
            let stale = (before, timer);
            self.queue.remove(&stale);
            self.queue.insert((at, stale.1));
        } else {
            self.queue.insert((at, timer));
        }
    }

    pub(crate) fn disarm(&mut self, timer: Timer) {
        if let Some(at) = self.due.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    pub(crate) fn is_armed(&self, timer: &Timer) -> bool {
        self.due.contains_key(timer)
    }

    /// The first one, if its time has come.
    pub(crate) fn due(&self, now: Instant) -> Option<&Timer> {
        self.first().filter(|(at, _)| *at <= now).map(|(_, timer)| timer)
    }

    pub(crate) fn first(&self) -> Option<&(Instant, Timer)> {
        self.queue.first()
    }
}

/// How long a timer rests, at least, whose records were refused.
pub(crate) const REFUSED_RETRY_MS: i64 = 1_000;

/// The instant `ms` from now; now itself for nonsense from a client.
pub(crate) fn after_ms(now: Now, ms: i64) -> Instant {
    now.instant + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Session {
    /// The settings in force.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    pub(crate) fn change(&mut self, machine: &GroupMachine, change: Soft) {
        match change {
            Soft::Configure(settings) => self.settings = settings,
            Soft::Put(group_id, group) => self.put(machine, group_id, *group),
            Soft::Forget(group_id) => self.forget(&group_id),
            Soft::Arm(timer, at) => self.timers.arm(timer, at),
            Soft::Disarm(timer) => self.timers.disarm(timer),
            Soft::Sweep(after) => {
                if after.is_none() {
                    self.portions.forget_gone(machine);
                }
                self.sweep = after;
            }
            Soft::Purge(purge) => self.purge = purge,
            Soft::Portion(bytes) => self.portions.resize(bytes),
            Soft::PortionWritten(rested) => self.portions.written(&rested),
            Soft::Rest(names, until) => self.portions.rest(names, until),
        }
    }

    fn put(&mut self, machine: &GroupMachine, group_id: Str, group: LiveGroup) {
        if group.is_settled() {
            assert!(
                machine.classic(&group_id).is_some_and(|stored| stored.members.is_empty()),
                "an empty group without a record of being so would be lost"
            );
            self.live.remove(&group_id);
        } else {
            self.live.insert(group_id, group);
        }
    }

    fn forget(&mut self, group_id: &Str) {
        let Some(group) = self.live.remove(group_id) else { return };
        for member_id in group.known_ids() {
            let (group_id, member_id) = (group_id.clone(), member_id.clone());
            self.timers.disarm(Timer::Heartbeat { group_id, member_id });
        }
        self.timers.disarm(Timer::Join(group_id.clone()));
        self.timers.disarm(Timer::Sync(group_id.clone()));
    }
}
