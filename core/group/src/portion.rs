//! As many tombstones as one tick appends: they are one batch, which must stay below the
//! `max.message.bytes` in use. Who begins again later finds only what is left.
//!
//! ```text
//! several are refused    half as many bytes from now on
//! one is refused alone   it rests, so that those behind it go; later it is tried again
//! some are written       after a few portions twice the bytes, up to what there was at first
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_base::{Instant, Now, PartitionId, Str};

use crate::{
    Effect, GroupDecision, GroupMachine, GroupRecord,
    offsets::tombstone,
    session::{REFUSED_RETRY_MS, Session, Soft, Timer},
};

/// How many bytes a portion has at first, and at most. Source: far below the default of
/// `max.message.bytes`, and some hundred tombstones of usual names.
pub(crate) const PORTION_BYTES: usize = 64 << 10;

/// What a tombstone takes beside its names, at most: two types and lengths, the partition, and
/// what a batch says of each record.
const TOMBSTONE_OVERHEAD: usize = 48;

/// How many portions are written before they grow: where there is a limit, it is met that seldom.
const GROWS_AFTER: u32 = 8;

/// What a tombstone is about. Partitions are not told apart: their tombstones have one size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Names {
    /// The group.
    pub group_id: Str,
    /// The topic of an offset; none for the group itself.
    pub topic: Option<Str>,
}

/// How large portions are, and what is left out of them.
#[derive(Clone, Debug)]
pub(crate) struct Portions {
    bytes: usize,
    /// How many were written since they have this size.
    written: u32,
    /// Tombstones that were refused alone, and until when they are left out.
    resting: BTreeMap<Names, Instant>,
}

impl Default for Portions {
    fn default() -> Self {
        Self { bytes: PORTION_BYTES, written: 0, resting: BTreeMap::new() }
    }
}

impl Portions {
    pub(crate) fn written(&mut self, no_longer_resting: &BTreeSet<Names>) {
        no_longer_resting.iter().for_each(|names| {
            self.resting.remove(names);
        });
        self.written += 1;
        if self.written >= GROWS_AFTER {
            self.resize(self.bytes.saturating_mul(2).min(PORTION_BYTES));
        }
    }

    pub(crate) fn resize(&mut self, bytes: usize) {
        (self.bytes, self.written) = (bytes, 0);
    }

    pub(crate) fn rest(&mut self, names: Names, until: Instant) {
        self.resting.insert(names, until);
    }

    /// Forgets those of which nothing is left: another record has taken it.
    pub(crate) fn forget_gone(&mut self, machine: &GroupMachine) {
        self.resting.retain(|names, _| is_there(machine, names));
    }
}

fn is_there(machine: &GroupMachine, Names { group_id, topic }: &Names) -> bool {
    match topic {
        None => machine.group(group_id).is_some(),
        Some(topic) => !machine.offsets().partitions_of(group_id, topic, |_| true).is_empty(),
    }
}

/// Tombstones that fit.
#[derive(Debug)]
pub(crate) struct Portion<'a> {
    portions: &'a Portions,
    now: Instant,
    records: Vec<GroupRecord>,
    bytes_left: usize,
    /// Those in it that have rested.
    rested: BTreeSet<Names>,
}

impl<'a> Portion<'a> {
    pub(crate) fn new(session: &'a Session, now: Now) -> Self {
        let portions = &session.portions;
        let (records, rested) = (Vec::new(), BTreeSet::new());
        Self { portions, now: now.instant, records, bytes_left: portions.bytes, rested }
    }

    /// Whether a tombstone was too large by itself, and is not to be tried again yet.
    pub(crate) fn leaves_out(&self, group_id: &Str, topic: Option<&Str>) -> bool {
        if self.portions.resting.is_empty() {
            return false;
        }
        let names = Names { group_id: group_id.clone(), topic: topic.cloned() };
        self.portions.resting.get(&names).is_some_and(|until| self.now < *until)
    }

    /// Whether offsets of a topic are left that had to be left out.
    pub(crate) fn keeps(&self, machine: &GroupMachine, topic: &Str) -> bool {
        let mut resting = self.portions.resting.keys();
        resting.any(|names| {
            names.topic.as_ref() == Some(topic)
                && !self.rested.contains(names)
                && is_there(machine, names)
        })
    }

    /// Takes the tombstone of an offset, the first one whatever its size; false if there is no
    /// room for it.
    pub(crate) fn take_offset(&mut self, group_id: &Str, topic: &Str, id: PartitionId) -> bool {
        self.take(tombstone(group_id, topic, id))
    }

    /// As `take_offset`, for the group itself.
    pub(crate) fn take_group(&mut self, group_id: &Str) -> bool {
        self.take(GroupRecord::GroupMetadata { group_id: group_id.clone(), value: None })
    }

    fn take(&mut self, tombstone: GroupRecord) -> bool {
        let size = size_of(&tombstone);
        if size > self.bytes_left && !self.records.is_empty() {
            return false;
        }
        if !self.portions.resting.is_empty() {
            let names = names_of(&tombstone);
            self.rested.extend(names.filter(|names| self.portions.resting.contains_key(names)));
        }
        self.bytes_left = self.bytes_left.saturating_sub(size);
        self.records.push(tombstone);
        true
    }

    /// Writes what was taken.
    pub(crate) fn finish(self, mut soft: Vec<Soft>) -> GroupDecision {
        let may_grow = self.portions.bytes < PORTION_BYTES && !self.records.is_empty();
        if may_grow || !self.rested.is_empty() {
            soft.push(Soft::PortionWritten(self.rested));
        }
        GroupDecision { records: self.records, soft, ..GroupDecision::default() }
    }
}

/// The log has refused these tombstones, which `timer` wanted to write `now`, for their size.
pub(crate) fn refused(
    session: &Session,
    now: Now,
    timer: &Timer,
    records: &[GroupRecord],
) -> GroupDecision {
    // At once, but after all others that are due.
    let mut soft = vec![Soft::Arm(timer.clone(), now.instant)];
    let mut effects = Vec::new();
    match records {
        [alone] => {
            if let Some(names) = names_of(alone) {
                if !session.portions.resting.contains_key(&names) {
                    effects.push(Effect::TombstoneTooLarge(names.clone()));
                }
                soft.push(Soft::Rest(names, now.instant + rest(session)));
            }
        }
        several => {
            let size: usize = several.iter().map(size_of).sum();
            soft.push(Soft::Portion(size.min(session.portions.bytes) / 2));
        }
    }
    GroupDecision { soft, effects, ..GroupDecision::default() }
}

/// How long a tombstone is left out that is too large: until expired offsets are looked for again.
pub(crate) fn rest(session: &Session) -> Duration {
    let ms = session.settings().offsets_retention_check_interval_ms.max(REFUSED_RETRY_MS);
    Duration::from_millis(ms.unsigned_abs())
}

fn names_of(tombstone: &GroupRecord) -> Option<Names> {
    match tombstone {
        GroupRecord::OffsetCommit { key, .. } => {
            Some(Names { group_id: key.group.clone(), topic: Some(key.topic.clone()) })
        }
        GroupRecord::GroupMetadata { group_id, .. } => {
            Some(Names { group_id: group_id.clone(), topic: None })
        }
        GroupRecord::Other { .. } | GroupRecord::EndMarker { .. } => None,
    }
}

fn size_of(tombstone: &GroupRecord) -> usize {
    let names = names_of(tombstone);
    let names = names.map_or(0, |names| names.group_id.len() + names.topic.map_or(0, |t| t.len()));
    TOMBSTONE_OVERHEAD + names
}
