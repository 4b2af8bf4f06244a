//! Goal: files are shown as they are, to the byte where they stop making sense.
//! Method: a small segment cut and changed everywhere; entries of indexes by hand.

use std::path::Path;

use dohle_base::{Offset, Timestamp};
use dohle_records::{BatchBuilder, BatchError, BatchSpec, NewRecord};

use super::*;
use crate::{
    Corruption, DamageReason, LogError,
    disk::{Disk, OpenMode},
    sim::SimDisk,
};

const PATH: &str = "/d/file";

fn batch(base: i64, count: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for _ in 0..count {
        let record =
            NewRecord { timestamp: Timestamp(5), key: None, value: Some(b"value"), headers: &[] };
        builder.append(&record).unwrap();
    }
    let mut bytes = builder.finish().to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes
}

fn file(bytes: &[u8]) -> <SimDisk as Disk>::File {
    let disk = SimDisk::new();
    disk.plant(Path::new(PATH), bytes);
    disk.open(Path::new(PATH), OpenMode::Read).unwrap()
}

/// Position, size and last offset of each batch, where the walk ended, and why.
fn walk(bytes: &[u8]) -> (Vec<(u64, usize, i64)>, u64, Option<LogError>) {
    let file = file(bytes);
    let mut batches = Batches::new(&file, (0, u64::MAX), 64).unwrap();
    let mut found = Vec::new();
    loop {
        match batches.next_batch() {
            Ok(Some(batch)) => {
                assert_eq!(batches.bytes(&batch).unwrap().len(), batch.size);
                found.push((batch.position, batch.size, batch.last_offset().0));
            }
            Ok(None) => return (found, batches.position(), None),
            Err(error) => return (found, batches.position(), Some(error)),
        }
    }
}

#[test]
fn batches_are_found_one_behind_another() {
    let (one, two) = (batch(7, 1), batch(9, 3));
    let (found, end, error) = walk(&[one.clone(), two.clone()].concat());
    assert_eq!(found, [(0, one.len(), 7), (one.len() as u64, two.len(), 11)]);
    assert_eq!((end, error), ((one.len() + two.len()) as u64, None));
}

#[test]
fn what_is_cut_off_is_left_over() {
    let (one, two) = (batch(0, 1), batch(1, 2));
    let whole = [one.clone(), two].concat();
    for end in one.len()..whole.len() {
        let (found, position, error) = walk(&whole[..end]);
        assert_eq!((found.len(), position, error), (1, one.len() as u64, None), "cut at {end}");
    }
}

#[test]
fn a_length_that_no_format_has_is_told_with_its_place() {
    let one = batch(0, 1);
    for length in [0, 13, -1, i32::MIN] {
        let mut bytes = [one.clone(), batch(1, 1)].concat();
        bytes[one.len() + 8..one.len() + 12].copy_from_slice(&length.to_be_bytes());
        let (found, _, error) = walk(&bytes);
        let reason = DamageReason::Batch(BatchError::BadLength { position: 0, length });
        let expected = Corruption::new(Path::new(PATH), one.len() as u64, reason);
        assert_eq!((found.len(), error), (1, Some(expected.into())));
    }
}

#[test]
fn every_changed_byte_is_survived() {
    let bytes = [batch(0, 2), batch(2, 1)].concat();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let (found, ..) = walk(&bytes);
            assert!(found.iter().all(|(at, size, _)| at + *size as u64 <= bytes.len() as u64));
        }
    }
}

#[test]
fn a_format_from_the_future_is_read_as_the_newest_one() {
    let mut bytes = batch(4, 2);
    bytes[16] = 9;
    let file = file(&bytes);
    let mut batches = Batches::new(&file, (0, u64::MAX), 4096).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    assert_eq!((batch.magic, batch.last_offset()), (9, Offset(5)));
    let mut patched = Vec::new();
    let entry = batch.entry(batches.bytes(&batch).unwrap(), &mut patched).unwrap();
    assert_eq!(entry.check_crc(), Ok(()));
    assert_eq!(entry.decompress(1000).unwrap().records_as_stored().count(), 2);
}

#[test]
fn all_entries_of_an_index_are_shown() {
    let entry =
        |relative: i32, position: u32| [relative.to_be_bytes(), position.to_be_bytes()].concat();
    let bytes = [entry(3, 100), entry(2, 90), entry(0, 0), entry(-1, 7), vec![1]].concat();
    let file = file(&bytes);
    let mut entries = offset_index(&file, Offset(10)).unwrap();
    assert_eq!((entries.entry_count(), entries.file_size()), (4, 33));
    let at = |offset, position| Some(IndexedOffset { offset: Offset(offset), position });
    assert_eq!(entries.at(3).unwrap(), at(9, 7));
    assert_eq!(entries.at(4).unwrap(), None);
    assert_eq!(entries.next().unwrap().unwrap(), at(13, 100).unwrap());
    assert_eq!(entries.count(), 3);
}

#[test]
fn an_unknown_version_of_an_aborted_transaction_is_told() {
    let mut bytes = vec![0; 68];
    bytes[34..36].copy_from_slice(&5_i16.to_be_bytes());
    let file = file(&bytes);
    let entries: Vec<_> = transaction_index(&file).unwrap().map(Result::unwrap).collect();
    assert!(entries[0].is_ok());
    assert_eq!(entries[1], Err(5));
}

#[test]
fn producers_of_a_damaged_snapshot_are_refused() {
    let disk = SimDisk::new();
    let read = |bytes: &[u8]| {
        disk.plant(Path::new(PATH), bytes);
        producers(&disk, Path::new(PATH)).unwrap()
    };
    let empty = [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0];
    assert_eq!(read(&empty), Ok(Vec::new()));
    assert_eq!(read(&[0, 2]), Err(SnapshotError::Size { count: 0, size: 2 }));
    let wrong = SnapshotError::Crc { stored: 0, computed: 0x4867_4bc7 };
    assert_eq!(read(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(wrong));
    let missing = producers(&disk, Path::new("/d/none")).unwrap_err();
    assert!(missing.is_not_found());
}
