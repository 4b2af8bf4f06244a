use std::path::Path;

use super::*;
use crate::{
    disk::{Disk, OpenMode},
    sim::SimDisk,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

fn batch(size: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchSpec::default());
    let value = vec![7; size];
    let (timestamp, value) = (Timestamp(1), Some(&value[..]));
    builder.append(&NewRecord { timestamp, key: None, value, headers: &[] }).unwrap();
    builder.finish().to_vec()
}

#[test]
fn a_length_that_is_wrong_gets_no_memory() {
    let path = Path::new("/log");
    let large = batch(5000);
    for at in [8, 9, 10, 17, 22, 40, 3000, large.len() - 1] {
        let disk = SimDisk::new();
        let mut bytes = large.clone();
        bytes.extend(vec![1; 200_000]);
        bytes[at] ^= 1;
        disk.plant(path, &bytes);
        let file = disk.open(path, OpenMode::Read).unwrap();
        let mut scan = BatchScan::in_chunks(&file, 0, bytes.len() as u64, 512);
        let found = scan.next().unwrap();
        assert!(matches!(found, Scanned::Damaged(0, _)), "{at}");
        assert!(scan.buffer.capacity() <= 1024, "{at}: {}", scan.buffer.capacity());
    }
}

#[test]
fn what_is_larger_than_a_chunk_is_read_whole_if_its_checksum_is_right() {
    let path = Path::new("/log");
    let (large, small) = (batch(5000), batch(5));
    let disk = SimDisk::new();
    disk.plant(path, &[&small[..], &large, &small].concat());
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut scan = BatchScan::in_chunks(&file, 0, file.size().unwrap(), 512);
    for expected in [&small, &large, &small] {
        let Scanned::Entry(_, entry) = scan.next().unwrap() else { panic!("a batch") };
        entry.check_crc().unwrap();
        assert_eq!(entry.bytes(), &expected[..]);
    }
    assert!(matches!(scan.next().unwrap(), Scanned::End));
}
