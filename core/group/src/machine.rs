//! The state machine: which file decides on what, and how records become state.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use dohle_base::{Instant, Now, Offset, Str};
use dohle_machine::Machine;
use dohle_protocol::records::group::group_metadata_value::GroupMetadataValue;

use crate::{
    Command, Effect, GroupDecision, GroupRecord, ModernGroup, Offsets, Reply, Trace, admin,
    classic::{self, ClassicGroup, Draft, LiveGroup},
    expire, offsets, portion,
    session::{REFUSED_RETRY_MS, Session, Soft, Timer, after_ms},
};

/// A group, by the protocol that its last record speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Group {
    /// Classic, or simple: one that only holds offsets.
    Classic(ClassicGroup),
    /// Any other.
    Modern(ModernGroup),
}

/// The coordinator of one partition of `__consumer_offsets`: what its log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupMachine {
    groups: BTreeMap<Str, Group>,
    offsets: Offsets,
}

impl GroupMachine {
    /// A group.
    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    /// All groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Str, &Group)> {
        self.groups.iter()
    }

    /// All committed offsets.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn groups_after(&self, after: Option<&Str>) -> impl Iterator<Item = (&Str, &Group)> {
        let start = after.map_or(Unbounded, Excluded);
        self.groups.range::<Str, _>((start, Unbounded))
    }

    pub(crate) fn classic(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(group_id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }

    /// A classic group as it is now, to look at.
    pub(crate) fn peek<'a>(
        &self,
        session: &'a Session,
        group_id: &str,
    ) -> Option<Cow<'a, LiveGroup>> {
        let stored = self.classic(group_id)?;
        Some(match session.live.get(group_id) {
            Some(live) => Cow::Borrowed(live),
            None => Cow::Owned(LiveGroup::restore(stored)),
        })
    }

    /// A classic group as it is now, to change.
    pub(crate) fn live(&self, session: &Session, group_id: &str) -> Option<LiveGroup> {
        self.peek(session, group_id).map(Cow::into_owned)
    }

    fn apply_group(&mut self, group_id: &Str, value: Option<&GroupMetadataValue>) {
        match value {
            // It replaces, and a tombstone removes, a group of any protocol: that is how groups
            // change it.
            Some(value) => {
                let group = Group::Classic(ClassicGroup::from_record(value));
                self.groups.insert(group_id.clone(), group);
            }
            None => {
                self.groups.remove(group_id);
            }
        }
    }

    fn apply_trace(&mut self, trace: &Trace, is_tombstone: bool) {
        let Trace { kind, group_id, member_id } = trace;
        if !is_tombstone {
            let group = self.modern(group_id, *kind);
            group.members.extend(member_id.clone());
            return;
        }
        let Some(Group::Modern(group)) = self.groups.get_mut(group_id) else { return };
        if group.kind != *kind {
            return;
        }
        match member_id {
            Some(member_id) => {
                group.members.remove(member_id);
            }
            None => {
                self.groups.remove(group_id);
            }
        }
    }

    fn modern(&mut self, group_id: &Str, kind: crate::GroupKind) -> &mut ModernGroup {
        let entry = self.groups.entry(group_id.clone());
        let group = entry.or_insert_with(|| Group::Modern(ModernGroup::new(kind)));
        if !matches!(group, Group::Modern(present) if present.kind == kind) {
            *group = Group::Modern(ModernGroup::new(kind));
        }
        match group {
            Group::Modern(group) => group,
            Group::Classic(_) => unreachable!("it was just replaced"),
        }
    }

    /// What a command leads to, apart from what every decision must see to.
    fn decide_on(&self, session: &Session, now: Now, command: Command) -> GroupDecision {
        match command {
            Command::Configure(settings) => {
                GroupDecision { soft: vec![Soft::Configure(settings)], ..GroupDecision::default() }
            }
            Command::Loaded => self.loaded(session, now),
            Command::Unloaded => unloaded(session),
            Command::TopicsDeleted(topics) => offsets::purge_topics(session, now, topics),
            Command::TickTooLarge => self.tick_too_large(session, now),
            Command::TickRefused => tick_refused(session, now),
            Command::Told { group_id, member_id } => {
                classic::told(self, session, now, group_id, &member_id)
            }
            Command::Join { caller, request, fresh_id } => {
                classic::join(self, session, now, caller, request, fresh_id)
            }
            Command::Sync(caller, request) => classic::sync(self, session, now, caller, request),
            Command::Heartbeat(caller, request) => {
                classic::heartbeat(self, session, now, &caller, request)
            }
            Command::Leave(caller, request) => classic::leave(self, session, now, &caller, request),
            Command::OffsetCommit(caller, request) => {
                offsets::commit(self, session, now, &caller, &request)
            }
            Command::OffsetFetch { caller, request, require_stable } => {
                let reply = Reply::OffsetFetch(offsets::fetch(self, &request, require_stable));
                GroupDecision::effect(Effect::Reply { token: caller.token, reply })
            }
            Command::OffsetDelete(caller, request) => {
                offsets::delete(self, session, &caller, &request)
            }
            Command::DescribeGroups(caller, groups) => {
                let reply = admin::describe(self, session, caller.api_version, groups);
                GroupDecision::effect(Effect::Reply { token: caller.token, reply })
            }
            Command::ListGroups { caller, filter } => {
                let reply = admin::list(self, session, &filter);
                GroupDecision::effect(Effect::Reply { token: caller.token, reply })
            }
            Command::DeleteGroups(caller, groups) => {
                admin::delete(self, session, caller.token, groups)
            }
        }
    }

    /// Members of all groups get the time of a session to be heard of; groups that outgrew a new
    /// maximum are rebalanced, which sheds the last to come.
    fn loaded(&self, session: &Session, now: Now) -> GroupDecision {
        let mut decision = GroupDecision::default();
        for (group_id, group) in &self.groups {
            let Group::Classic(stored) = group else { continue };
            if stored.members.is_empty() {
                continue;
            }
            let live = LiveGroup::restore(stored);
            let mut draft = Draft::new(session, now, group_id.clone(), live);
            for member_id in stored.members.keys() {
                draft.refresh_session(member_id);
            }
            if stored.members.len() > session.settings().group_size_max {
                draft.prepare_rebalance();
            }
            let restored = draft.finish();
            decision.soft.extend(restored.soft);
            decision.records.extend(restored.records);
        }
        if !self.groups.is_empty() {
            decision.soft.push(expire::arm_sweep(session, now));
        }
        decision
    }
}

/// What the first timer wants to write was refused: it is tried again later, and those behind it, which may have
/// nothing to write, go on.
fn tick_refused(session: &Session, now: Now) -> GroupDecision {
    let Some(timer) = session.timers.due(now.instant) else { return GroupDecision::default() };
    let soft = vec![Soft::Arm(timer.clone(), after_ms(now, REFUSED_RETRY_MS))];
    GroupDecision { soft, ..GroupDecision::default() }
}

fn unloaded(session: &Session) -> GroupDecision {
    let effects = session.live.values().flat_map(LiveGroup::dismissals).collect();
    GroupDecision { effects, ..GroupDecision::default() }
}

impl Machine for GroupMachine {
    type Command = Command;
    type Record = GroupRecord;
    type Effect = Effect;
    type Session = Session;
    type Soft = Soft;

    fn decide(&self, session: &Session, now: Now, command: Command) -> GroupDecision {
        let mut decision = self.decide_on(session, now, command);
        // Whatever is stored may expire.
        if !decision.records.is_empty() && !session.timers.is_armed(&Timer::Sweep) {
            decision.soft.push(expire::arm_sweep(session, now));
        }
        decision
    }

    fn tick(&self, session: &Session, now: Now) -> GroupDecision {
        let Some(timer) = session.timers.due(now.instant) else { return GroupDecision::default() };
        match timer.clone() {
            Timer::Heartbeat { group_id, member_id } => {
                classic::expire_member(self, session, now, group_id, member_id)
            }
            Timer::Join(group_id) => {
                self.time_out(session, now, timer, group_id, |draft| draft.join_timed_out())
            }
            Timer::Sync(group_id) => {
                self.time_out(session, now, timer, group_id, |draft| draft.sync_timed_out())
            }
            Timer::Sweep => expire::sweep(self, session, now),
            Timer::Purge => offsets::purge(self, session, now),
        }
    }

    fn apply(&mut self, offset: Offset, record: &GroupRecord) {
        match record {
            GroupRecord::OffsetCommit { key, value: Some(value), producer_id } => {
                let simple = || Group::Classic(ClassicGroup::default());
                self.groups.entry(key.group.clone()).or_insert_with(simple);
                self.offsets.put(offset, key, value, *producer_id);
            }
            GroupRecord::OffsetCommit { key, value: None, .. } => self.offsets.remove(key),
            GroupRecord::GroupMetadata { group_id, value } => {
                self.apply_group(group_id, value.as_ref());
            }
            GroupRecord::Other { meaning: Some(trace), value, .. } => {
                self.apply_trace(trace, value.is_none());
            }
            GroupRecord::Other { meaning: None, .. } => {}
            GroupRecord::EndMarker { producer_id, committed } => {
                self.offsets.end_transaction(*producer_id, *committed);
            }
        }
    }

    fn apply_soft(&self, session: &mut Session, _now: Now, change: Soft) {
        session.change(self, change);
    }

    fn deadline(&self, session: &Session) -> Option<Instant> {
        session.timers.first().map(|(at, _)| *at)
    }
}

impl GroupMachine {
    /// What the first timer wants to write was refused for its size. Others that are due have
    /// their turn before it tries again.
    fn tick_too_large(&self, session: &Session, now: Now) -> GroupDecision {
        match session.timers.due(now.instant) {
            Some(timer @ (Timer::Sweep | Timer::Purge)) => {
                portion::refused(session, now, timer, &self.tick(session, now).records)
            }
            _ => tick_refused(session, now),
        }
    }

    fn time_out(
        &self,
        session: &Session,
        now: Now,
        timer: &Timer,
        group_id: Str,
        act: impl FnOnce(&mut Draft<'_>),
    ) -> GroupDecision {
        let Some(live) = self.live(session, &group_id) else {
            let soft = vec![Soft::Disarm(timer.clone())];
            return GroupDecision { soft, ..GroupDecision::default() };
        };
        let mut draft = Draft::new(session, now, group_id, live);
        act(&mut draft);
        draft.finish()
    }
}

#[cfg(test)]
mod tests;
