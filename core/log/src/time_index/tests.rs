//! The index finds what a linear search finds, and no bytes make it lie or panic.

use proptest::prelude::*;

use super::*;

fn entry(timestamp: i64, offset: i64) -> IndexedTime {
    IndexedTime { timestamp: Timestamp(timestamp), offset: Offset(offset) }
}

fn index(entries: &[(i64, i64)]) -> TimeIndex {
    let mut index = TimeIndex::new(Offset(100), 120);
    entries.iter().for_each(|&(timestamp, offset)| index.push(entry(timestamp, offset)));
    index
}

#[test]
fn the_bytes_are_kafkas() {
    let expected = [0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 0, 9];
    assert_eq!(index(&[(1_700_000_000_000, 109)]).bytes(), expected);
}

#[test]
fn only_greater_timestamps_make_entries() {
    let index = index(&[(-1, 101), (5, 105), (5, 106), (4, 107), (9, 109), (10, 100)]);
    assert_eq!(index.bytes().len(), 2 * ENTRY_SIZE);
    assert_eq!(index.last(), entry(9, 109));
    assert_eq!(index.floor(Timestamp(8)), Some(entry(5, 105)));
    assert_eq!(index.floor(Timestamp(4)), None);
    assert_eq!(TimeIndex::new(Offset(100), 12).last(), entry(-1, 100));
}

#[test]
fn one_slot_is_kept_for_the_closing_entry() {
    let mut index = TimeIndex::new(Offset(0), 24);
    assert!(index.entries_left() > 0);
    index.push(entry(1, 1));
    assert_eq!(index.entries_left(), 0);
}

#[test]
fn truncation_goes_by_offsets() {
    let mut index = index(&[(5, 105), (9, 109), (12, 120)]);
    index.truncate(Offset(109));
    assert_eq!(index.last(), entry(5, 105));
}

#[test]
fn the_zeros_behind_a_preallocated_index_are_no_entries() {
    let mut bytes = index(&[(5, 105), (9, 109)]).bytes().to_vec();
    bytes.resize(120, 0);
    let latest = floor(&mut InMemory(&bytes), Offset(100), Timestamp(i64::MAX)).unwrap();
    assert_eq!(latest, Some(entry(9, 109)));
    assert_eq!(TimeIndex::from_bytes(Offset(100), bytes, 120).last(), entry(9, 109));
}

proptest! {
    #[test]
    fn hostile_bytes_give_an_index_in_order(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        target in any::<i64>(),
    ) {
        let _ = floor(&mut InMemory(&bytes), Offset(i64::MAX), Timestamp(target));
        let index = TimeIndex::from_bytes(Offset(0), bytes, 1_000);
        let found = index.floor(Timestamp(target));
        prop_assert!(found.is_none_or(|entry| entry.timestamp.0 <= target));
    }
}
