//! A file is searched as memory is, in few reads.

use std::path::Path;

use dohle_base::Rng;

use super::*;
use crate::{
    disk::{Disk, OpenMode},
    sim::{SimDisk, SimFile},
};

/// A file of so many entries, each twice its index and one more.
fn file(count: u64) -> (SimDisk, SimFile) {
    let (disk, path) = (SimDisk::new(), Path::new("/index"));
    let bytes = (0..count).flat_map(|index| (2 * index + 1).to_be_bytes()).collect::<Vec<_>>();
    disk.plant(path, &bytes);
    let file = disk.open(path, OpenMode::Read).unwrap();
    (disk, file)
}

fn is_below(target: u64) -> impl Fn(&[u8; 8]) -> bool {
    move |entry| u64::from_be_bytes(*entry) < target
}

#[test]
fn a_file_is_searched_as_memory_is_whatever_is_guessed() {
    let mut rng = Rng::from_seed(1);
    for count in [0, 1, 2, 511, 512, 513, 1_024, 5_000] {
        let (_disk, file) = file(count);
        for _ in 0..300 {
            let (target, guess) = (rng.below(2 * count + 3), rng.below(count + 5));
            let mut entries = InFile::<_, 8>::new(&file).unwrap().guessing(guess, count);
            let point = entries.partition_point(is_below(target)).unwrap() as u64;
            assert_eq!(point, (target / 2).min(count), "{target} of {count}, {guess} guessed");
            for index in [point.checked_sub(1), Some(point).filter(|point| *point < count)] {
                let Some(index) = index else { continue };
                let entry = entries.entry(index as usize).unwrap();
                assert_eq!(u64::from_be_bytes(entry), 2 * index + 1);
            }
        }
    }
}

#[test]
fn what_is_guessed_well_is_found_at_once() {
    const COUNT: u64 = 262_144;
    let (disk, file) = file(COUNT);
    let reads = |guess: Option<u64>, target| {
        let before = disk.reads();
        let entries = InFile::<_, 8>::new(&file).unwrap();
        let mut entries = match guess {
            Some(guess) => entries.guessing(guess, COUNT),
            None => entries,
        };
        entries.partition_point(is_below(target)).unwrap();
        disk.reads() - before
    };
    let mut rng = Rng::from_seed(2);
    for _ in 0..1_000 {
        let index = rng.below(COUNT);
        assert!(reads(Some(index), 2 * index + 1) <= 2, "{index}");
        // Some pages beside: few more. Anywhere: as many as halving pages takes, and as many steps there.
        assert!(reads(Some((index + 2_000).min(COUNT)), 2 * index + 1) <= 6, "{index}");
        assert!(reads(Some(rng.below(COUNT)), 2 * index + 1) <= 18, "{index}");
        assert!(reads(None, 2 * index + 1) <= 10, "{index}");
    }
}

#[test]
fn what_is_at_hand_begins_where_it_should() {
    let (_disk, file) = file(1_000);
    let mut entries = InFile::<_, 8>::new(&file).unwrap();
    entries.entry(510).unwrap();
    assert_eq!(
        entries.at_hand(510, 100),
        ([1_021_u64, 1_023].map(u64::to_be_bytes).as_flattened(), false)
    );
    assert_eq!(entries.at_hand(509, 1), (1_019_u64.to_be_bytes().as_slice(), false));
    assert_eq!(entries.at_hand(512, 1), (&[][..], false));
    entries.entry(999).unwrap();
    assert_eq!(entries.at_hand(999, 100), (1_999_u64.to_be_bytes().as_slice(), true));
    assert_eq!(entries.at_hand(998, 1), (1_997_u64.to_be_bytes().as_slice(), false));
}
