//! The cache answers as Kafka's leader does, and stays in order whatever it is told.

use proptest::prelude::*;

use super::*;

fn cache(entries: &[(i32, i64)]) -> EpochCache {
    EpochCache::from_entries(entries.iter().copied().map(entry).collect())
}

fn entry((epoch, start): (i32, i64)) -> EpochStart {
    EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) }
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let cache = cache(&[(2, 10), (4, 20), (7, 25)]);
    let end = Offset(40);
    let rows = [
        (7, (7, 40)),
        (8, (-1, -1)),
        (4, (4, 25)),
        (5, (4, 25)),
        (6, (4, 25)),
        (3, (2, 20)),
        (2, (2, 20)),
        (1, (1, 10)),
        (0, (0, 10)),
        (-1, (-1, -1)),
    ];
    for (asked, (epoch, offset)) in rows {
        let expected = EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(offset) };
        assert_eq!(cache.end_of(LeaderEpoch(asked), end), expected, "epoch {asked}");
    }
    assert_eq!(EpochCache::default().end_of(LeaderEpoch(0), end), EpochEnd::UNKNOWN);
}

#[test]
fn an_offset_has_the_epoch_that_covers_it() {
    let cache = cache(&[(2, 10), (4, 20)]);
    let rows = [(9, -1), (10, 2), (19, 2), (20, 4), (99, 4)];
    for (offset, epoch) in rows {
        assert_eq!(cache.epoch_of(Offset(offset)), LeaderEpoch(epoch), "offset {offset}");
    }
}

#[test]
fn a_new_epoch_drops_what_cannot_be_true_beside_it() {
    let rows = [
        ((5, 30), vec![(2, 10), (4, 20), (5, 30)]),
        ((4, 25), vec![(2, 10), (4, 20)]),
        ((4, 15), vec![(2, 10), (4, 15)]),
        ((5, 20), vec![(2, 10), (5, 20)]),
        ((3, 12), vec![(2, 10), (3, 12)]),
        ((1, 5), vec![(1, 5)]),
    ];
    for (assigned, expected) in rows {
        let mut cache = cache(&[(2, 10), (4, 20)]);
        let changed = cache.assign(entry(assigned));
        assert_eq!(cache.entries(), expected.into_iter().map(entry).collect::<Vec<_>>());
        assert_eq!(changed, assigned != (4, 25));
    }
    assert!(!EpochCache::default().assign(entry((-1, 0))));
}

#[test]
fn truncation_drops_epochs_from_either_end() {
    let full = [(2, 10), (4, 20), (7, 25)];
    let mut end = cache(&full);
    assert!(end.truncate_end(Offset(20)));
    assert_eq!(end, cache(&[(2, 10)]));
    assert!(!end.truncate_end(Offset(20)));

    let mut start = cache(&full);
    assert!(!start.truncate_start(Offset(5)));
    assert!(!start.truncate_start(Offset(10)));
    assert!(start.truncate_start(Offset(22)));
    assert_eq!(start, cache(&[(4, 22), (7, 25)]));
    assert!(start.truncate_start(Offset(25)));
    assert_eq!(start, cache(&[(7, 25)]));
}

proptest! {
    #[test]
    fn entries_always_ascend(entries in prop::collection::vec((-1..20_i32, -1..100_i64), 0..30)) {
        let cache = cache(&entries);
        let ascending = |pair: &[EpochStart]| {
            pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start
        };
        prop_assert!(cache.entries().windows(2).all(ascending));
    }
}
