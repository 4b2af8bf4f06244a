//! The index of aborted transactions is read and written as Kafka does.

use super::*;
use crate::sim::SimDisk;

const FILE: &str = "/p/00000000000000000000.txnindex";

fn aborted(first: i64, last: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(7),
        first_offset: Offset(first),
        last_offset: Offset(last),
        last_stable_offset: Offset(last + 1),
    }
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/p/x"), b"");
    disk
}

#[test]
fn entries_are_appended_read_and_cut() {
    let (disk, path) = (disk(), Path::new(FILE));
    assert_eq!(read(&disk, path), Ok(vec![]));
    for entry in [aborted(1, 3), aborted(5, 9)] {
        append(&disk, path, &entry).unwrap();
    }
    assert_eq!(read(&disk, path), Ok(vec![aborted(1, 3), aborted(5, 9)]));
    let bytes = disk.peek(path).unwrap();
    assert_eq!(bytes.len(), 68);
    assert_eq!(bytes[..18], [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1]);
    truncate(&disk, path, Offset(9)).unwrap();
    assert_eq!(read(&disk, path), Ok(vec![aborted(1, 3)]));
}

#[test]
fn damage_is_told_with_its_place() {
    let (disk, path) = (disk(), Path::new(FILE));
    disk.plant(path, &[0; 35]);
    assert!(matches!(read(&disk, path), Err(LogError::Corrupt(c)) if c.position == 34));
    disk.plant(path, &[1; 68]);
    assert!(matches!(read(&disk, path), Err(LogError::Corrupt(c)) if c.position == 0));
}

#[test]
fn an_entry_that_cannot_be_true_is_none() {
    let (disk, path) = (disk(), Path::new(FILE));
    let bytes = encode(&[aborted(1, 3), aborted(5, 9)]);
    // The high bits of all numbers of the second entry, and markers that do not ascend.
    for (at, bits) in [(36, 0x80), (44, 0x80), (44, 1), (52, 0x80), (59, 8), (60, 1), (60, 0x80)] {
        let mut bytes = bytes.clone();
        bytes[at] ^= bits;
        disk.plant(path, &bytes);
        let found = read(&disk, path);
        assert!(matches!(found, Err(LogError::Corrupt(c)) if c.position == 34), "{at}");
    }
    disk.plant(path, &bytes);
    assert_eq!(read(&disk, path), Ok(vec![aborted(1, 3), aborted(5, 9)]));
}

#[test]
fn an_entry_that_was_not_written_whole_is_written_over() {
    let (disk, path) = (disk(), Path::new(FILE));
    append(&disk, path, &aborted(1, 3)).unwrap();
    let mut bytes = disk.peek(path).unwrap();
    bytes.extend([9; 20]);
    disk.plant(path, &bytes);
    append(&disk, path, &aborted(5, 9)).unwrap();
    assert_eq!(read(&disk, path), Ok(vec![aborted(1, 3), aborted(5, 9)]));
}
