//! The sticky assignment, and its cooperative form.
//!
//! 1. Members keep what they have, as far as the claim is good and their share allows.
//! 2. What is left goes to whoever has the least.
//! 3. While somebody has two more than another who could take one, one moves.
//! 4. What moves from one member to another is held back until the first has given it up.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::Str;

use super::{Assignment, Members, in_order, partitions_of};
use crate::TopicPartition;

/// See above. `assignment` has an empty set for each member.
pub(super) fn assign(
    members: &Members,
    topics: &BTreeMap<Str, usize>,
    assignment: &mut Assignment,
) {
    let partitions: BTreeSet<TopicPartition> = topics
        .iter()
        .filter(|(topic, _)| members.values().any(|member| member.topics.contains(*topic)))
        .flat_map(|(topic, count)| partitions_of(topic, *count))
        .collect();
    let owners = owners(members, &partitions);
    keep(members, partitions.len(), &owners, assignment);
    fill(members, &partitions, assignment);
    balance(members, assignment);
    hold_back(&owners, assignment);
}

/// Who has each partition: of several claims the one of the youngest generation is good, and none
/// if there are two of those.
fn owners<'a>(
    members: &'a Members,
    partitions: &BTreeSet<TopicPartition>,
) -> BTreeMap<TopicPartition, &'a Str> {
    let mut claims: BTreeMap<&TopicPartition, (i32, Option<&Str>)> = BTreeMap::new();
    for (id, member) in members {
        for partition in member.owned.iter().filter(|p| partitions.contains(*p)) {
            let claim = claims.entry(partition).or_insert((i32::MIN, None));
            match member.generation.cmp(&claim.0) {
                std::cmp::Ordering::Greater => *claim = (member.generation, Some(id)),
                std::cmp::Ordering::Equal => claim.1 = None,
                std::cmp::Ordering::Less => {}
            }
        }
    }
    let good = claims.into_iter().filter_map(|(p, (_, owner))| Some((p.clone(), owner?)));
    good.collect()
}

fn keep(
    members: &Members,
    partition_count: usize,
    owners: &BTreeMap<TopicPartition, &Str>,
    assignment: &mut Assignment,
) {
    let mut held: BTreeMap<&Str, Vec<&TopicPartition>> = BTreeMap::new();
    for (partition, owner) in owners {
        let wants = members.get(*owner).is_some_and(|m| m.topics.contains(&partition.topic));
        if wants {
            held.entry(owner).or_default().push(partition);
        }
    }
    // If all subscribe to the same, each has a share, and some one more. Otherwise shares depend on
    // who can take what, and `balance` finds them.
    let alike = members
        .values()
        .all(|member| members.values().next().is_some_and(|first| first.topics == member.topics));
    let (share, mut extra) = match members.len() {
        count if alike && count > 0 => (partition_count / count, partition_count % count),
        _ => (usize::MAX, 0),
    };
    // Who has most keeps the one more: that moves the least.
    let mut order: Vec<_> = held.into_iter().collect();
    order.sort_by_key(|(owner, held)| (std::cmp::Reverse(held.len()), *owner));
    for (owner, held) in order {
        let keeps_extra = held.len() > share && extra > 0;
        extra -= usize::from(keeps_extra);
        let kept = held.into_iter().take(share.saturating_add(usize::from(keeps_extra))).cloned();
        assignment.entry(owner.clone()).or_default().extend(kept);
    }
}

fn fill(members: &Members, partitions: &BTreeSet<TopicPartition>, assignment: &mut Assignment) {
    let taken: BTreeSet<TopicPartition> = assignment.values().flatten().cloned().collect();
    let order = in_order(members);
    for partition in partitions.difference(&taken) {
        let takers = order
            .iter()
            .filter(|id| members.get(**id).is_some_and(|m| m.topics.contains(&partition.topic)));
        let least = takers.min_by_key(|id| assignment.get(**id).map_or(0, BTreeSet::len));
        if let Some(id) = least {
            assignment.entry((*id).clone()).or_default().insert(partition.clone());
        }
    }
}

/// Each move lowers the sum of the squares of all shares, so this ends.
fn balance(members: &Members, assignment: &mut Assignment) {
    while let Some((from, to, partition)) = find_move(members, assignment) {
        if let Some(partitions) = assignment.get_mut(&from) {
            partitions.remove(&partition);
        }
        assignment.entry(to).or_default().insert(partition);
    }
}

fn find_move(members: &Members, assignment: &Assignment) -> Option<(Str, Str, TopicPartition)> {
    let mut by_size: Vec<_> = assignment.iter().collect();
    by_size.sort_by_key(|(id, partitions)| (partitions.len(), *id));
    for (from, partitions) in by_size.iter().rev() {
        let poorer = by_size.iter().take_while(|(_, other)| other.len() + 1 < partitions.len());
        for (to, _) in poorer {
            let wants = members.get(*to)?;
            // The last one: the others are more likely to be read in order with their neighbours.
            let movable = partitions.iter().rev().find(|p| wants.topics.contains(&p.topic));
            if let Some(partition) = movable {
                return Some(((*from).clone(), (*to).clone(), partition.clone()));
            }
        }
    }
    None
}

fn hold_back(owners: &BTreeMap<TopicPartition, &Str>, assignment: &mut Assignment) {
    for (id, partitions) in assignment {
        partitions.retain(|partition| owners.get(partition).is_none_or(|owner| *owner == id));
    }
}
