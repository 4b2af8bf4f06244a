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

mod batches {
    //! What contradicts an entry, and what the cleaner leaves that does not.

    use dohle_base::{Offset, ProducerId};

    use crate::txn_index::{
        AbortedTransaction,
        check::{Check, Part, Passed},
    };

    fn entry(id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(id),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    const RECORDS: Part = Part::Records { is_empty: false };
    const EMPTY: Part = Part::Records { is_empty: true };
    const ABORT: Part = Part::Marker { committed: Some(false) };
    const COMMIT: Part = Part::Marker { committed: Some(true) };
    const UNKNOWN: Part = Part::Marker { committed: None };

    type Batch = (i64, i64, Part);

    /// Of an offset each but for the first, which has those from 10 to 12.
    fn holds(entries: &[AbortedTransaction], batches: &[Batch]) -> bool {
        let mut check = Check::new(entries);
        batches.iter().all(|&(base, id, part)| {
            let last = if base == 10 { 12 } else { base };
            let (base, last) = (Offset(base), Offset(last));
            check.pass(&Passed { base, last, producer_id: ProducerId(id), part })
        })
    }

    #[test]
    fn an_entry_holds_until_a_batch_contradicts_it() {
        let plain = [entry(1, 10, 20, 21)];
        let whole = [(10, 1, RECORDS), (15, 1, RECORDS), (20, 1, ABORT)];
        let rows: &[(&str, &[AbortedTransaction], &[Batch], bool)] = &[
            ("as it was written", &plain, &whole, true),
            ("within its first batch", &[entry(1, 11, 20, 21)], &whole, true),
            ("another producer's", &[entry(2, 10, 20, 21)], &whole, false),
            ("from a batch of no transaction", &plain, &[(10, 1, Part::None)], false),
            ("from a marker", &plain, &[(10, 1, ABORT)], false),
            ("to a batch of records", &plain, &[(10, 1, RECORDS), (20, 1, RECORDS)], false),
            ("to another producer's marker", &plain, &[(10, 1, RECORDS), (20, 2, ABORT)], false),
            ("to a commit", &plain, &[(10, 1, RECORDS), (20, 1, COMMIT)], false),
            ("to what cannot be read", &plain, &[(10, 1, RECORDS), (20, 1, UNKNOWN)], true),
            ("past a commit", &plain, &[(10, 1, RECORDS), (15, 1, COMMIT)], false),
            ("past an abort", &plain, &[(10, 1, RECORDS), (15, 1, ABORT)], false),
            ("past what cannot be read", &plain, &[(10, 1, RECORDS), (15, 1, UNKNOWN)], true),
            ("past another's end", &plain, &[(10, 1, RECORDS), (15, 2, COMMIT)], true),
            ("begun late", &[entry(1, 15, 20, 21)], &whole, false),
            (
                "begun behind what is empty",
                &[entry(1, 15, 20, 21)],
                &[(10, 1, EMPTY), (15, 1, RECORDS)],
                true,
            ),
            (
                "the first batch is gone",
                &[entry(1, 10, 20, 9)],
                &[(9, 2, RECORDS), (15, 1, RECORDS), (20, 1, ABORT)],
                true,
            ),
            (
                "its marker is gone, another follows",
                &plain,
                &[(10, 1, RECORDS), (21, 1, RECORDS), (22, 1, COMMIT)],
                true,
            ),
            (
                "all of it is gone",
                &plain,
                &[(9, 1, COMMIT), (21, 1, RECORDS), (22, 1, COMMIT)],
                true,
            ),
            (
                "all is gone and the next is there",
                &[entry(1, 10, 20, 21), entry(1, 21, 22, 23)],
                &[(21, 1, RECORDS), (22, 1, ABORT)],
                true,
            ),
            (
                "two of one producer at once",
                &[entry(1, 10, 20, 21), entry(1, 15, 21, 22)],
                &whole,
                false,
            ),
            (
                "stable past what is open",
                &plain,
                &[(10, 1, RECORDS), (15, 2, RECORDS), (20, 1, ABORT)],
                false,
            ),
            (
                "stable up to what is open",
                &[entry(1, 10, 20, 15)],
                &[(10, 1, RECORDS), (15, 2, RECORDS), (20, 1, ABORT)],
                true,
            ),
            (
                "stable past what has ended",
                &plain,
                &[(10, 1, RECORDS), (15, 2, RECORDS), (16, 2, COMMIT), (20, 1, ABORT)],
                true,
            ),
        ];
        for (name, entries, batches, expected) in rows {
            assert_eq!(holds(entries, batches), *expected, "{name}");
        }
    }
}
