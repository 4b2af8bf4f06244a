//! Laws of placements: complete, without doubles, spread over racks, balanced, random at the start.

use std::collections::BTreeMap;

use super::*;

/// Brokers by rack: each text is a rack, each letter a broker, capitals are fenced.
fn brokers(racks: &[&str]) -> Vec<UsableBroker> {
    let mut brokers = Vec::new();
    for rack in racks {
        for letter in rack.chars() {
            brokers.push(UsableBroker {
                id: BrokerId(brokers.len() as i32),
                rack: (racks.len() > 1).then(|| (*rack).into()),
                fenced: letter.is_ascii_uppercase(),
            });
        }
    }
    brokers
}

fn placed(brokers: &[UsableBroker], count: usize, factor: usize, seed: u64) -> Vec<Vec<BrokerId>> {
    place(brokers, count, factor, &mut Rng::from_seed(seed)).unwrap()
}

fn tally<'a>(ids: impl Iterator<Item = &'a BrokerId>) -> BTreeMap<BrokerId, usize> {
    let mut tally = BTreeMap::new();
    for id in ids {
        *tally.entry(*id).or_default() += 1;
    }
    tally
}

#[test]
fn every_placement_keeps_the_laws() {
    let clusters = [
        &["aaa"][..],
        &["a"],
        &["aA"],
        &["aaa", "bbb", "ccc"],
        &["aa", "b"],
        &["aaaa", "B", "cc"],
        &["AAA", "bB", "c"],
    ];
    for racks in clusters {
        let brokers = brokers(racks);
        let of = |id: &BrokerId| brokers.iter().find(|broker| broker.id == *id).unwrap();
        for factor in 1..=brokers.len() {
            for seed in 0..20 {
                for replicas in placed(&brokers, 12, factor, seed) {
                    assert_eq!(tally(replicas.iter()).len(), factor, "{racks:?} {replicas:?}");
                    assert!(!of(&replicas[0]).fenced, "the leader can lead");
                    let mut racks_used: Vec<_> = replicas.iter().map(|id| &of(id).rack).collect();
                    racks_used.sort();
                    racks_used.dedup();
                    assert_eq!(racks_used.len(), factor.min(racks.len()), "{racks:?} {replicas:?}");
                }
            }
        }
    }
}

#[test]
fn leaders_and_replicas_are_balanced() {
    for racks in [&["aaa"][..], &["aaaaaa"], &["aa", "bb", "cc"], &["aaa", "bbb"]] {
        let brokers = brokers(racks);
        let count = brokers.len() * 4;
        let partitions = placed(&brokers, count, 2, 7);
        let leaders = tally(partitions.iter().map(|replicas| &replicas[0]));
        let replicas = tally(partitions.iter().flatten());
        assert!(leaders.values().all(|n| *n == 4), "{racks:?} {leaders:?}");
        assert!(replicas.values().all(|n| *n == 8), "{racks:?} {replicas:?}");
    }
}

#[test]
fn where_it_begins_is_random() {
    let brokers = brokers(&["aaa", "bbb"]);
    let firsts = (0..100).map(|seed| placed(&brokers, 1, 1, seed)[0][0]).collect::<Vec<_>>();
    assert_eq!(tally(firsts.iter()).len(), 6, "every broker gets a chance");
    assert_eq!(placed(&brokers, 5, 3, 4), placed(&brokers, 5, 3, 4), "the seed decides");
}

#[test]
fn what_cannot_be_placed_is_refused() {
    let mut rng = Rng::from_seed(1);
    let wanted = place(&brokers(&["aa"]), 1, 3, &mut rng);
    assert_eq!(wanted, Err(PlacementError::TooFewBrokers { wanted: 3, usable: 2 }));
    assert_eq!(place(&brokers(&["AA"]), 1, 1, &mut rng), Err(PlacementError::AllFenced));
    let nobody = place(&[], 1, 1, &mut rng);
    assert_eq!(nobody, Err(PlacementError::TooFewBrokers { wanted: 1, usable: 0 }));
}
