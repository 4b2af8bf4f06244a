//! An index of aborted transactions has no checksum. Whatever a wrong bit makes of it, no committed record
//! is lost by it, and no aborted one is served for good: the batches tell what is true.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dohle_base::{Offset, Rng};
use dohle_log::{AbortedTransaction, Disk, Log, LogConfig, OpenLog, sim::SimDisk};

use super::kit::*;
use crate::kit::*;

/// The bytes of an entry.
const ENTRY: usize = 34;
/// Where an entry has the first offset, and where the last stable one.
const FIRST: std::ops::Range<usize> = 10..18;

/// A log that was closed, and what a consumer makes of it.
struct Closed {
    disk: SimDisk,
    end: Offset,
    folded: BTreeMap<String, String>,
}

/// Transactions of three producers on a few keys, of one or two batches; the first of them by turns.
fn closed(seed: u64, batches_max: u64) -> Closed {
    let (disk, mut log) = empty(compacted());
    let mut rng = Rng::from_seed(seed);
    for round in 0..12 {
        put(&mut log, &[(["k", "l"][round % 2], Some("plain"))]);
        let mut begun = Vec::new();
        for id in 1..4 {
            if rng.below(3) > 0 {
                begun.push(id);
            }
        }
        for _ in 0..=rng.below(batches_max) {
            for id in &begun {
                let key = ["a", "b", "c", "d"][rng.below(4) as usize];
                put_in_transaction(&mut log, *id, &[(key, Some(&format!("{round} of {id}")))]);
            }
        }
        for id in begun {
            append_marker(&mut log, id, rng.below(2) > 0);
        }
    }
    roll(&mut log);
    put(&mut log, &[("k", Some("last"))]);
    let folded = folded(&mut log);
    let end = log.close().unwrap();
    Closed { disk, end, folded }
}

/// Whatever its indexes tell.
fn clean_damaged(log: &mut Log<SimDisk>) {
    let end = log.log_end_offset();
    clean_with(log, end, NOW, MEMORY).unwrap().unwrap();
}

fn indexes(disk: &SimDisk) -> Vec<PathBuf> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    let names = entries.into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(".txnindex")).map(|name| Path::new(DIR).join(name)).collect()
}

impl Closed {
    fn open(&self, disk: &SimDisk) -> Log<SimDisk> {
        let how = OpenLog { clean: true, recovery_point: self.end, ..OpenLog::default() };
        open_how(disk, compacted(), how).unwrap()
    }

    /// With each bit of each index turned in turn.
    fn each_flip(&self, mut check: impl FnMut(&SimDisk, &str, usize)) {
        let indexes = indexes(&self.disk);
        assert!(indexes.len() > 3);
        for path in indexes {
            let size = self.disk.peek(&path).unwrap().len();
            for bit in (0..size * 8).step_by(3) {
                let disk = self.disk.fork();
                disk.flip(&path, bit as u64);
                let context = format!("{} byte {} bit {}", path.display(), bit / 8, bit % 8);
                check(&disk, &context, bit / 8 % ENTRY);
            }
        }
    }
}

#[test]
fn a_wrong_bit_makes_no_clean_drop_what_was_committed_nor_keep_what_was_not() {
    for (seed, batches_max) in [(1, 1), (2, 2)] {
        let closed = closed(seed, batches_max);
        closed.each_flip(|disk, context, _| {
            let mut log = closed.open(disk);
            clean_damaged(&mut log);
            assert_eq!(folded(&mut log), closed.folded, "{context}");
        });
    }
}

#[test]
fn a_wrong_bit_hides_nothing_from_readers_and_shows_them_nothing_more() {
    for (seed, batches_max) in [(3, 1), (4, 2)] {
        let closed = closed(seed, batches_max);
        let mut unnoticed = 0;
        closed.each_flip(|disk, context, byte| {
            let mut log = closed.open(disk);
            let found = folded(&mut log);
            // Where a transaction began segments ago its beginning may move to a later batch of it.
            if found != closed.folded && batches_max > 1 && FIRST.contains(&byte) {
                unnoticed += 1;
                return;
            }
            assert_eq!(found, closed.folded, "{context}");
        });
        assert!(unnoticed < 8, "{unnoticed}");
    }
}

#[test]
fn what_is_missing_from_an_index_is_noticed_by_a_clean() {
    let closed = closed(5, 2);
    for path in indexes(&closed.disk) {
        let bytes = closed.disk.peek(&path).unwrap();
        for size in (0..bytes.len()).step_by(ENTRY) {
            let disk = closed.disk.fork();
            disk.plant(&path, &bytes[..size]);
            let mut log = closed.open(&disk);
            clean_damaged(&mut log);
            assert_eq!(folded(&mut log), closed.folded, "{} {size}", path.display());
        }
        let disk = closed.disk.fork();
        disk.remove(&path).unwrap();
        let mut log = closed.open(&disk);
        clean_damaged(&mut log);
        assert_eq!(folded(&mut log), closed.folded, "{} is gone", path.display());
    }
}

/// What cleans leave of transactions, entries without their batches among them, is nothing wrong.
#[test]
fn a_cleaned_log_keeps_its_indexes_as_they_are() {
    let closed = closed(6, 2);
    let mut log = closed.open(&closed.disk);
    for round in 1..6 {
        clean(&mut log, later(round * RETENTION)).unwrap();
        assert_eq!(folded(&mut log), closed.folded);
        put(&mut log, &[("k", Some("last"))]);
        roll(&mut log);
        let end = log.close().unwrap();
        let told = |disk: &SimDisk| {
            let all = indexes(disk).into_iter();
            all.map(|path| (path.clone(), disk.peek(&path).unwrap())).collect::<Vec<_>>()
        };
        let before = told(&closed.disk);
        let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
        log = open_how(&closed.disk, compacted(), how).unwrap();
        assert_eq!(folded(&mut log), closed.folded);
        assert_eq!(told(&closed.disk), before, "{round}");
    }
}

/// One segment of so many transactions of one producer, one after another, all of them aborted.
fn short_transactions(count: i64) -> (SimDisk, Offset) {
    let (disk, mut log) = empty(LogConfig::default());
    for _ in 0..count {
        put_in_transaction(&mut log, 1, &[("k", Some("value"))]);
        append_marker(&mut log, 1, false);
    }
    let end = log.close().unwrap();
    (disk, end)
}

/// However many there are, each part of the segment is read once or twice.
#[test]
fn a_check_of_many_short_transactions_takes_no_longer_than_the_segment_is() {
    let (disk, end) = short_transactions(3_000);
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let mut log = open_how(&disk, LogConfig::default(), how).unwrap();
    let pages = log.size() / 4096;
    let before = disk.reads();
    assert_eq!(log.aborted_transactions(Offset(0), end).unwrap().len(), 3_000);
    let reads = disk.reads() - before;
    assert!(reads < 3 * pages, "{reads} reads of {pages} pages");
}

/// A reader who goes through a segment is told of the transactions there that concern it, without a look
/// at all others each time.
#[test]
fn what_concerns_a_reader_is_found_without_reading_all_of_the_index() {
    let (disk, end) = short_transactions(3_000);
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let mut log = open_how(&disk, LogConfig::default(), how).unwrap();
    let all = log.aborted_transactions(Offset(0), end).unwrap();
    for (from, up_to) in
        [(0, 1), (0, 2), (2_999, 3_010), (3_000, 3_001), (5_999, 6_000), (5, 6_000)]
    {
        let (from, up_to) = (Offset(from), Offset(up_to));
        let concern = all.iter().filter(|t| t.last_offset >= from && t.first_offset < up_to);
        let expected = concern.copied().collect::<Vec<_>>();
        let before = disk.bytes_read();
        assert_eq!(log.aborted_transactions(from, up_to).unwrap(), expected, "{from}..{up_to}");
        let read = disk.bytes_read() - before;
        let told = (expected.len() * ENTRY) as u64;
        assert!(read < told + 8 * 4096, "{read} bytes for {told}");
    }
}

/// Between transactions that are far apart the batches are passed over, and each is looked at all the same.
#[test]
fn transactions_that_are_far_apart_are_each_looked_at() {
    let (disk, mut log) = empty(LogConfig::default());
    let large = "x".repeat(10_000);
    for id in 1..4 {
        for _ in 0..200 {
            put(&mut log, &[("k", Some(&large))]);
        }
        // Of two that overlap one is committed.
        put_in_transaction(&mut log, id, &[("a", Some("no"))]);
        put_in_transaction(&mut log, 9, &[("b", Some("yes"))]);
        put_in_transaction(&mut log, id, &[("a", Some("no"))]);
        append_marker(&mut log, id, false);
        append_marker(&mut log, 9, true);
    }
    put(&mut log, &[("k", Some("last"))]);
    let end = log.close().unwrap();
    let open = |disk: &SimDisk| {
        let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
        open_how(disk, LogConfig::default(), how).unwrap()
    };
    let mut log = open(&disk);
    let before = disk.reads();
    let all = log.aborted_transactions(Offset(0), end).unwrap();
    let reads = disk.reads() - before;
    assert_eq!(all.iter().map(|t| t.producer_id.0).collect::<Vec<_>>(), [1, 2, 3]);
    // Of six hundred large batches.
    assert!(reads < 200, "{reads} reads");
    let path = &indexes(&disk)[0];
    for entry in 0..3 {
        // The producer, where it begins, where it ends, and up to where it was stable then.
        for (at, bit) in [(9, 3), (9, 0), (17, 0), (17, 1), (16, 0), (25, 0), (25, 1), (33, 1)] {
            let disk = disk.fork();
            disk.flip(path, ((entry * ENTRY + at) * 8 + bit) as u64);
            let told = open(&disk).aborted_transactions(Offset(0), end).unwrap();
            let same = |t: &dohle_log::AbortedTransaction| (t.producer_id, t.first_offset);
            assert_eq!(
                told.iter().map(same).collect::<Vec<_>>(),
                all.iter().map(same).collect::<Vec<_>>(),
                "entry {entry} byte {at} bit {bit}"
            );
        }
    }
}

/// A segment of so many large transactions, most of them aborted, and its end.
fn large_transactions(count: i64) -> (SimDisk, Offset) {
    let (disk, mut log) = empty(LogConfig::default());
    let large = "x".repeat(10_000);
    for round in 0..count {
        for _ in 0..3 {
            put_in_transaction(&mut log, 1, &[("k", Some(&large))]);
        }
        append_marker(&mut log, 1, round % 5 == 0);
    }
    let end = log.close().unwrap();
    (disk, end)
}

fn opened(disk: &SimDisk, end: Offset) -> Log<SimDisk> {
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    open_how(disk, LogConfig::default(), how).unwrap()
}

/// Others wait for the partition meanwhile. Who goes through all of it has it checked once all the same.
#[test]
fn a_first_reader_has_no_more_checked_than_it_needs() {
    let (disk, end) = large_transactions(1_000);
    let pages = 4_000;
    for from in [0, 1, 2_000, 3_990] {
        let mut log = opened(&disk, end);
        let before = disk.reads();
        let told = log.aborted_transactions(Offset(from), Offset(from + 8)).unwrap();
        assert!(!told.is_empty());
        let reads = disk.reads() - before;
        assert!(reads < pages / 4, "{reads} reads of {pages} pages from {from}");
        // Again it costs a look into the index.
        let before = disk.reads();
        assert_eq!(log.aborted_transactions(Offset(from), Offset(from + 8)).unwrap(), told);
        let reads = disk.reads() - before;
        assert!(reads < 8, "{reads} reads again from {from}");
    }
    let mut log = opened(&disk, end);
    let before = disk.reads();
    let steps = (0..end.0).step_by(8);
    let count = steps.clone().count() as u64;
    for from in steps {
        log.aborted_transactions(Offset(from), Offset(from + 8)).unwrap();
    }
    let reads = disk.reads() - before;
    assert!(reads < 8 * count + 2 * pages, "{reads} reads for {pages} pages and {count} fetches");
}

/// Whatever is wrong with an entry, who reads a part first is told what the batches bear out, though the entry
/// then says that it does not concern the part, or that no later one does.
#[test]
fn a_wrong_bit_hides_nothing_from_who_reads_a_part_first() {
    let (disk, mut log) = empty(LogConfig::default());
    let large = "x".repeat(10_000);
    let plain = |log: &mut Log<SimDisk>, count| {
        for _ in 0..count {
            put(log, &[("k", Some(&large))]);
        }
    };
    plain(&mut log, 20);
    put_in_transaction(&mut log, 1, &[("a", Some("no"))]);
    plain(&mut log, 20);
    put_in_transaction(&mut log, 1, &[("a", Some("no"))]);
    plain(&mut log, 40);
    put_in_transaction(&mut log, 2, &[("a", Some("no"))]);
    append_marker(&mut log, 2, false);
    plain(&mut log, 10);
    put_in_transaction(&mut log, 3, &[("a", Some("no"))]);
    plain(&mut log, 50);
    append_marker(&mut log, 1, false);
    plain(&mut log, 20);
    put_in_transaction(&mut log, 3, &[("a", Some("no"))]);
    append_marker(&mut log, 3, false);
    let end = log.close().unwrap();
    let all = opened(&disk, end).aborted_transactions(Offset(0), end).unwrap();
    assert_eq!(all.len(), 3);
    let path = &indexes(&disk)[0];
    let wrong =
        (0..all.len()).flat_map(|entry| (0..4).map(move |field| entry * ENTRY + 2 + field * 8));
    for (byte, bit) in
        wrong.flat_map(|field| (0..16).map(move |bit| (field + 7 - bit / 8, bit % 8)))
    {
        for from in [0, 20, 38, 80, 132, 160] {
            // What a reader finds is mended for the next one.
            let disk = disk.fork();
            disk.flip(path, (byte * 8 + bit) as u64);
            let (from, up_to) = (Offset(from), Offset(from + 8));
            let told = opened(&disk, end).aborted_transactions(from, up_to).unwrap();
            let concerns =
                |t: &&AbortedTransaction| t.last_offset >= from && t.first_offset < up_to;
            // As a reader takes it, who sees nothing of the records before.
            let seen = |t: &AbortedTransaction| (t.producer_id, t.first_offset.max(from));
            let expected = all.iter().filter(concerns).map(seen).collect::<Vec<_>>();
            let told = told.iter().map(seen).collect::<Vec<_>>();
            assert_eq!(told, expected, "byte {byte} bit {bit}, {from}..{up_to}");
        }
    }
}
