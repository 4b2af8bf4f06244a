//! How a group shares partitions. The member that the coordinator chose as the leader decides, by
//! the dearest strategy that all members know.
//!
//! All are pure and give each partition of a subscribed topic to exactly one of its subscribers,
//! except that a cooperative strategy holds back what another member has to give up first.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{PartitionId, Str};

use super::subscription::Subscription;
use crate::TopicPartition;

mod sticky;

/// `partition.assignment.strategy`: one of Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `range`: of each topic, neighbouring partitions go to the same member; the same numbers of
    /// different topics do, too. Everything is given up before each rebalance.
    Range,
    /// `roundrobin`: all partitions in turn. Everything is given up before each rebalance.
    RoundRobin,
    /// `cooperative-sticky`: balanced, and members keep what they have where that is possible.
    /// Only what moves is given up. Source: KIP-429.
    CooperativeSticky,
}

/// Members by id.
pub(super) type Members = BTreeMap<Str, Subscription>;
/// Partitions by member.
pub(super) type Assignment = BTreeMap<Str, BTreeSet<TopicPartition>>;

impl Assignor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Range, Self::RoundRobin, Self::CooperativeSticky];

    /// The name by which members agree on it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The strategy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Whether members may keep partitions during a rebalance.
    pub fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }

    /// Shares the partitions of `topics`, given by their counts, among `members`.
    pub(super) fn assign(self, members: &Members, topics: &BTreeMap<Str, usize>) -> Assignment {
        let mut assignment: Assignment =
            members.keys().map(|member| (member.clone(), BTreeSet::new())).collect();
        match self {
            Self::Range => range(members, topics, &mut assignment),
            Self::RoundRobin => round_robin(members, topics, &mut assignment),
            Self::CooperativeSticky => sticky::assign(members, topics, &mut assignment),
        }
        assignment
    }
}

/// Members in the order in which they are served: static ones by their names, so that a restart
/// changes nothing, then the others by their ids.
fn in_order(members: &Members) -> Vec<&Str> {
    let mut ids: Vec<_> = members.iter().collect();
    ids.sort_by_key(|(id, member)| (member.instance_id.is_none(), &member.instance_id, *id));
    ids.into_iter().map(|(id, _)| id).collect()
}

fn range(members: &Members, topics: &BTreeMap<Str, usize>, assignment: &mut Assignment) {
    let order = in_order(members);
    for (topic, count) in topics {
        let subscribed = |id: &&Str| members.get(*id).is_some_and(|m| m.topics.contains(topic));
        let takers: Vec<_> = order.iter().copied().filter(subscribed).collect();
        if takers.is_empty() {
            continue;
        }
        let (share, extra) = (count / takers.len(), count % takers.len());
        let mut partitions = partitions_of(topic, *count);
        for (at, taker) in takers.into_iter().enumerate() {
            let share = share + usize::from(at < extra);
            let taken = partitions.by_ref().take(share);
            assignment.entry(taker.clone()).or_default().extend(taken);
        }
    }
}

fn round_robin(members: &Members, topics: &BTreeMap<Str, usize>, assignment: &mut Assignment) {
    let order = in_order(members);
    let mut turn = order.iter().cycle();
    for partition in topics.iter().flat_map(|(topic, count)| partitions_of(topic, *count)) {
        let mut asked = turn.by_ref().take(order.len());
        let subscribed =
            |id: &&&Str| members.get(**id).is_some_and(|m| m.topics.contains(&partition.topic));
        if let Some(taker) = asked.find(subscribed) {
            assignment.entry((*taker).clone()).or_default().insert(partition);
        }
    }
}

fn partitions_of(topic: &Str, count: usize) -> impl Iterator<Item = TopicPartition> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    (0..count)
        .map(move |number| TopicPartition { topic: topic.clone(), partition: PartitionId(number) })
}

#[cfg(test)]
mod tests;
