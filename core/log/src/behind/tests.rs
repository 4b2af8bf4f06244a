use std::path::Path;

use super::*;
use crate::{
    disk::{Disk, OpenMode},
    sim::SimDisk,
};
use dohle_base::{Rng, Timestamp};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

const WANTED: Wanted = Wanted { expected: Offset(7), epoch: LeaderEpoch(3), torn: None };

fn batch(base: i64, value: &[u8]) -> Vec<u8> {
    let (base_offset, partition_leader_epoch) = (Offset(base), LeaderEpoch(3));
    let spec = BatchSpec { base_offset, partition_leader_epoch, ..BatchSpec::default() };
    let mut builder = BatchBuilder::new(spec);
    let (timestamp, value) = (Timestamp(1), Some(value));
    builder.append(&NewRecord { timestamp, key: None, value, headers: &[] }).unwrap();
    builder.finish().to_vec()
}

fn find(bytes: &[u8], start: u64, wanted: &Wanted) -> Option<u64> {
    let (disk, path) = (SimDisk::new(), Path::new("/log"));
    disk.plant(path, bytes);
    let file = disk.open(path, OpenMode::Read).unwrap();
    find_valid(&file, (start, bytes.len() as u64), wanted).unwrap()
}

#[test]
fn a_batch_is_found_wherever_it_lies() {
    let chunk = CHUNK_SIZE as usize;
    let valid = batch(9, b"valid");
    let size = valid.len();
    let around = [1, 20, 21, 40, 60, 61, 62, size - 1, size, size + 1];
    let positions = around.into_iter().map(|before| chunk - before);
    let positions = positions.chain([0, 1, 5, chunk - 1, chunk, chunk + 1, 2 * chunk - 60]);
    // Candidates that are none, and end before and behind it.
    let mut lie = batch(8, &[5; 200]);
    lie[100] ^= 1;
    for position in positions {
        let mut bytes = vec![0; 2 * chunk + 1000];
        Rng::from_seed(position as u64).fill(&mut bytes);
        bytes[position..position + size].copy_from_slice(&valid);
        for near in [62, 150].into_iter().filter_map(|near| position.checked_sub(near)) {
            bytes[near..near + HEADER_SIZE].copy_from_slice(&lie[..HEADER_SIZE]);
        }
        assert_eq!(find(&bytes, 0, &WANTED), Some(position as u64), "{position}");
        assert_eq!(find(&bytes, position as u64 + 1, &WANTED), None, "{position}");
        bytes[position + size - 1] ^= 1;
        assert_eq!(find(&bytes, 0, &WANTED), None, "{position}");
    }
}

#[test]
fn one_that_cannot_follow_is_none() {
    let at = |base: i64| [vec![9; 50], batch(base, b"value")].concat();
    for (base, is_wanted) in [(6, false), (7, true), (1000, true), (i64::from(i32::MAX) + 8, false)]
    {
        assert_eq!(find(&at(base), 0, &WANTED).is_some(), is_wanted, "{base}");
    }
    assert_eq!(find(&at(7), 0, &Wanted { epoch: LeaderEpoch(4), ..WANTED }), None);
    // (what the torn batch covers, whether there are gaps, the offset of what lies there)
    let table = [
        (200, false, 12, true),
        (200, false, 11, false),
        (200, false, 13, false),
        (200, true, 13, true),
        (200, true, 11, false),
        (51, false, 13, false),
        (50, false, 13, true),
        (50, false, 11, true),
    ];
    for (end, has_gaps, base, is_wanted) in table {
        let torn = Some(Torn { end, next: Offset(12), has_gaps });
        let found = find(&at(base), 0, &Wanted { torn, ..WANTED });
        assert_eq!(found.is_some(), is_wanted, "{base} where a batch covers up to {end}");
    }
}
