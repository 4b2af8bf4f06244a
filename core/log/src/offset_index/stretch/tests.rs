//! What a stretch tells is what the whole index tells.

use std::path::Path;

use super::*;
use crate::{
    disk::{Disk, OpenMode},
    offset_index::OffsetIndex,
    sim::SimDisk,
};

const BASE: Offset = Offset(1_000);

/// An index with an entry at each tenth offset, and zeros behind it.
fn index(count: u32, padding: usize) -> (SimDisk, OffsetIndex) {
    let mut index = OffsetIndex::new(BASE, 1 << 20);
    for number in 1..=count {
        let offset = Offset(BASE.0 + i64::from(number) * 10);
        assert!(index.push(IndexedOffset { offset, position: number * 100 }));
    }
    let disk = SimDisk::new();
    disk.plant(Path::new("/index"), &[index.bytes(), &vec![0; padding]].concat());
    (disk, index)
}

fn read(disk: &SimDisk, target: i64) -> (Option<IndexedOffset>, Stretch) {
    let file = disk.open(Path::new("/index"), OpenMode::Read).unwrap();
    Stretch::read(InFile::new(&file).unwrap(), BASE, Offset(target)).unwrap()
}

#[test]
fn it_tells_what_the_index_tells() {
    for (count, padding) in [(0, 0), (0, 80), (1, 0), (5, 0), (5, 16), (700, 0), (700, 8_000)] {
        let (disk, index) = index(count, padding);
        let end = BASE.0 + i64::from(count) * 10 + 20;
        for from in (BASE.0..end).step_by(7) {
            let (found, stretch) = read(&disk, from);
            let what = format!("{count} entries, {padding} zeros, from {from}");
            assert_eq!(found, index.floor(Offset(from)), "{what}");
            for target in (BASE.0 - 1..end).step_by(3) {
                let told = stretch.floor(Offset(target));
                let right = index.floor(Offset(target));
                assert!(told.is_none_or(|told| told == right), "{what}: {target}: {told:?}");
            }
        }
    }
}

#[test]
fn it_serves_those_who_read_on() {
    let (disk, _index) = index(700, 0);
    let (_, stretch) = read(&disk, BASE.0);
    assert!(stretch.floor(Offset(BASE.0 + 1_270)).is_some());
    assert_eq!(stretch.floor(Offset(BASE.0 + 1_280)), None, "more entries than are kept");
    let (_, stretch) = read(&disk, BASE.0 + 6_905);
    assert_eq!(stretch.floor(Offset(BASE.0 + 6_899)), None, "an entry before");
    assert!(stretch.floor(Offset(BASE.0 + 9_999)).is_some(), "behind the last entry");
}
