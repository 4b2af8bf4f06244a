//! The index finds what a linear search finds, and no bytes make it lie or panic.

use proptest::prelude::*;

use super::*;

fn entry(offset: i64, position: u32) -> IndexedOffset {
    IndexedOffset { offset: Offset(offset), position }
}

fn index(entries: &[(i64, u32)]) -> OffsetIndex {
    let mut index = OffsetIndex::new(Offset(100), 80);
    assert!(entries.iter().all(|&(offset, position)| index.push(entry(offset, position))));
    index
}

#[test]
fn the_bytes_are_kafkas() {
    let index = index(&[(109, 4_200), (110, 0x0102_0304)]);
    assert_eq!(index.bytes(), [0, 0, 0, 9, 0, 0, 16, 104, 0, 0, 0, 10, 1, 2, 3, 4]);
}

#[test]
fn floor_finds_the_last_entry_up_to_the_target() {
    let index = index(&[(109, 10), (120, 20), (121, 30)]);
    let rows = [
        (0, None),
        (108, None),
        (109, Some((109, 10))),
        (119, Some((109, 10))),
        (120, Some((120, 20))),
        (5_000_000_000, Some((121, 30))),
    ];
    for (target, expected) in rows {
        assert_eq!(index.floor(Offset(target)), expected.map(|(o, p)| entry(o, p)), "{target}");
    }
}

#[test]
fn ceiling_finds_the_first_entry_from_the_position() {
    let index = index(&[(109, 10), (120, 20), (121, 30)]);
    let rows = [(0, Some((109, 10))), (11, Some((120, 20))), (30, Some((121, 30))), (31, None)];
    let padded = [index.bytes(), &[0; 16]].concat();
    for (position, expected) in rows {
        let expected = expected.map(|(o, p)| entry(o, p));
        assert_eq!(index.ceiling(position), expected, "{position}");
        let in_padded = ceiling(&mut InMemory(&padded), Offset(100), position).unwrap();
        assert_eq!(in_padded, expected, "{position}");
    }
}

#[test]
fn entries_must_ascend_and_fit() {
    let mut index = index(&[(109, 10)]);
    assert!(!index.push(entry(109, 20)));
    assert!(!index.push(entry(99, 20)));
    assert!(!index.push(entry(100 + (1 << 31), 20)));
    assert!(index.push(entry(99 + (1 << 31), 20)));
    assert_eq!(index.last(), Some(entry(99 + (1 << 31), 20)));
}

#[test]
fn truncation_drops_entries_from_the_offset_on() {
    let mut index = index(&[(109, 10), (120, 20), (121, 30)]);
    index.truncate(Offset(121));
    assert_eq!(index.last(), Some(entry(120, 20)));
    index.truncate(Offset(50));
    assert_eq!(index.last(), None);
}

#[test]
fn an_index_is_full_at_its_size() {
    let mut index = OffsetIndex::new(Offset(0), 23);
    assert!(index.push(entry(1, 1)) && index.entries_left() == 1);
    assert!(index.push(entry(2, 2)) && index.entries_left() == 0);
}

#[test]
fn the_zeros_behind_a_preallocated_index_are_no_entries() {
    let mut bytes = index(&[(109, 10), (120, 20)]).bytes().to_vec();
    bytes.resize(80, 0);
    let found = floor(&mut InMemory(&bytes), Offset(100), Offset(1_000)).unwrap();
    assert_eq!(found, Some(entry(120, 20)));
    assert_eq!(OffsetIndex::from_bytes(Offset(100), bytes, 80).last(), Some(entry(120, 20)));
}

proptest! {
    #[test]
    fn hostile_bytes_give_an_index_in_order(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        target in any::<i64>(),
    ) {
        let _ = floor(&mut InMemory(&bytes), Offset(i64::MAX), Offset(target));
        let index = OffsetIndex::from_bytes(Offset(0), bytes, 1_000);
        let found = index.floor(Offset(target));
        prop_assert!(found.is_none_or(|entry| entry.offset.0 <= target && entry.offset.0 >= 0));
    }
}
