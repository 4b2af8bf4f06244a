//! Goal: the laws of sharing. Method: examples of Kafka's documentation, and groups made by chance
//! from fixed seeds.

use dohle_base::Rng;

use super::*;

fn member(topics: &[&str]) -> Subscription {
    let topics = topics.iter().map(|topic| Str::from(*topic)).collect();
    Subscription { topics, generation: -1, ..Subscription::default() }
}

fn group(members: &[(&str, &[&str])]) -> Members {
    members.iter().map(|(id, topics)| (Str::from(*id), member(topics))).collect()
}

fn topics(counts: &[(&str, usize)]) -> BTreeMap<Str, usize> {
    counts.iter().map(|(topic, count)| (Str::from(*topic), *count)).collect()
}

fn shown(assignment: &Assignment) -> Vec<String> {
    let show = |(id, partitions): (&Str, &BTreeSet<TopicPartition>)| {
        let names: Vec<_> = partitions.iter().map(ToString::to_string).collect();
        format!("{id}: {}", names.join(" "))
    };
    assignment.iter().map(show).collect()
}

#[test]
fn range_gives_neighbours_of_each_topic() {
    let both: &[&str] = &["t0", "t1"];
    let shared = Assignor::Range
        .assign(&group(&[("c0", both), ("c1", both)]), &topics(&[("t0", 3), ("t1", 3)]));
    assert_eq!(shown(&shared), ["c0: t0-0 t0-1 t1-0 t1-1", "c1: t0-2 t1-2"]);
}

#[test]
fn round_robin_deals_all_topics_in_turn() {
    let both: &[&str] = &["t0", "t1"];
    let shared = Assignor::RoundRobin
        .assign(&group(&[("c0", both), ("c1", both)]), &topics(&[("t0", 3), ("t1", 3)]));
    assert_eq!(shown(&shared), ["c0: t0-0 t0-2 t1-1", "c1: t0-1 t1-0 t1-2"]);
    // With different subscriptions, who does not want one is passed over.
    let members = group(&[("c0", &["t0"]), ("c1", both), ("c2", &["t0", "t1", "t2"])]);
    let shared = Assignor::RoundRobin.assign(&members, &topics(&[("t0", 1), ("t1", 2), ("t2", 3)]));
    assert_eq!(shown(&shared), ["c0: t0-0", "c1: t1-0", "c2: t1-1 t2-0 t2-1 t2-2"]);
}

#[test]
fn static_members_are_served_in_the_order_of_their_names() {
    let mut members = group(&[("a", &["t"]), ("b", &["t"])]);
    members.get_mut("b").unwrap().instance_id = Some("first".into());
    let shared = Assignor::Range.assign(&members, &topics(&[("t", 3)]));
    assert_eq!(shown(&shared), ["a: t-2", "b: t-0 t-1"]);
}

#[test]
fn sticky_keeps_what_it_can_and_holds_back_what_moves() {
    let mut members = group(&[("a", &["t"]), ("b", &["t"])]);
    let owned = partitions_of(&"t".into(), 4).collect();
    *members.get_mut("a").unwrap() = Subscription { owned, generation: 1, ..member(&["t"]) };
    let shared = Assignor::CooperativeSticky.assign(&members, &topics(&[("t", 4)]));
    assert_eq!(shown(&shared), ["a: t-0 t-1", "b: "], "two are held back until a gives them up");
    let after = rejoin(&members, &shared, 2);
    let shared = Assignor::CooperativeSticky.assign(&after, &topics(&[("t", 4)]));
    assert_eq!(shown(&shared), ["a: t-0 t-1", "b: t-2 t-3"]);
}

#[test]
fn of_two_claims_the_younger_is_good() {
    let mut members = group(&[("a", &["t"]), ("b", &["t"])]);
    for (id, generation) in [("a", 3), ("b", 4)] {
        let owned = partitions_of(&"t".into(), 2).collect();
        *members.get_mut(id).unwrap() = Subscription { owned, generation, ..member(&["t"]) };
    }
    let shared = Assignor::CooperativeSticky.assign(&members, &topics(&[("t", 2)]));
    assert_eq!(shown(&shared), ["a: ", "b: t-0"], "b keeps one, the other is held back");
}

/// A group and topics made by chance; alike or each with its own subscription.
fn any_group(rng: &mut Rng, alike: bool) -> (Members, BTreeMap<Str, usize>) {
    let below = |rng: &mut Rng, end| usize::try_from(rng.below(end)).unwrap();
    let topic_count = 1 + below(rng, 5);
    let topics: BTreeMap<Str, usize> =
        (0..topic_count).map(|t| (Str::from(format!("t{t}")), below(rng, 12))).collect();
    let members = (0..1 + below(rng, 7)).map(|m| {
        let wanted = topics.keys().filter(|_| alike || rng.below(3) > 0).cloned().collect();
        let id = Str::from(format!("m{m}"));
        (id, Subscription { topics: wanted, generation: -1, ..Subscription::default() })
    });
    (members.collect(), topics)
}

/// The same group after everybody took what was given.
fn rejoin(members: &Members, assignment: &Assignment, generation: i32) -> Members {
    let members = members.iter().map(|(id, member)| {
        let owned = assignment[id].clone();
        (id.clone(), Subscription { owned, generation, ..member.clone() })
    });
    members.collect()
}

/// Shares until nothing is held back any more.
fn settle(mut members: Members, topics: &BTreeMap<Str, usize>) -> (Members, Assignment) {
    for generation in 1..10 {
        let shared = Assignor::CooperativeSticky.assign(&members, topics);
        members = rejoin(&members, &shared, generation);
        if given(&shared).len() == wanted(&members, topics).len() {
            return (members, shared);
        }
    }
    panic!("never settles: {members:?}")
}

fn given(assignment: &Assignment) -> Vec<TopicPartition> {
    assignment.values().flatten().cloned().collect()
}

fn wanted(members: &Members, topics: &BTreeMap<Str, usize>) -> BTreeSet<TopicPartition> {
    let wanted = |topic: &Str| members.values().any(|member| member.topics.contains(topic));
    let wanted = topics.iter().filter(|(topic, _)| wanted(topic));
    wanted.flat_map(|(topic, count)| partitions_of(topic, *count)).collect()
}

#[test]
fn every_wanted_partition_goes_to_one_member_who_wants_it() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (members, topics) = any_group(&mut rng, seed % 2 == 0);
        for assignor in Assignor::ALL {
            let shared = assignor.assign(&members, &topics);
            let all = given(&shared);
            assert_eq!(all.len(), wanted(&members, &topics).len(), "seed {seed} {assignor:?}");
            let distinct: BTreeSet<_> = all.into_iter().collect();
            assert_eq!(distinct, wanted(&members, &topics), "seed {seed} {assignor:?}");
            for (id, partitions) in &shared {
                assert!(partitions.iter().all(|p| members[id].topics.contains(&p.topic)));
            }
            assert_eq!(shared, assignor.assign(&members, &topics), "the same again");
        }
    }
}

#[test]
fn sticky_shares_are_balanced() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (members, topics) = any_group(&mut rng, seed % 2 == 0);
        let (_, shared) = settle(members.clone(), &topics);
        for (rich, theirs) in &shared {
            for (poor, ours) in &shared {
                let could = theirs.iter().any(|p| members[poor].topics.contains(&p.topic));
                let fair = theirs.len() <= ours.len() + 1 || !could;
                assert!(fair, "seed {seed}: {rich} has {theirs:?}, {poor} has {ours:?}");
            }
        }
    }
}

#[test]
fn nothing_moves_without_a_reason() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (members, topics) = any_group(&mut rng, seed % 2 == 0);
        let (members, shared) = settle(members, &topics);
        let again = Assignor::CooperativeSticky.assign(&members, &topics);
        assert_eq!(again, shared, "seed {seed}: nothing has changed");
    }
}

#[test]
fn a_member_that_leaves_moves_nothing_but_its_own() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (members, topics) = any_group(&mut rng, true);
        let (mut members, before) = settle(members, &topics);
        let Some((gone, _)) = members.pop_first() else { continue };
        if members.is_empty() {
            continue;
        }
        let after = Assignor::CooperativeSticky.assign(&members, &topics);
        for (id, partitions) in &after {
            assert!(partitions.is_superset(&before[id]), "seed {seed}: without {gone}");
        }
    }
}

#[test]
fn a_member_that_comes_takes_only_its_share() {
    for seed in 0..300 {
        let mut rng = Rng::from_seed(seed);
        let (members, topics) = any_group(&mut rng, true);
        let (mut members, before) = settle(members, &topics);
        let topics_of_all = members.values().next().unwrap().topics.clone();
        let fresh = Subscription { topics: topics_of_all, generation: -1, ..Default::default() };
        members.insert("new".into(), fresh);
        let (_, after) = settle(members, &topics);
        let moved: usize =
            before.iter().map(|(id, partitions)| partitions.difference(&after[id]).count()).sum();
        assert_eq!(moved, after["new"].len(), "seed {seed}");
    }
}

#[test]
fn names_are_kafkas() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::from_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::from_name("sticky"), None);
}
