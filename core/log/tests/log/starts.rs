//! Where a log starts, by two files: the checkpoint, and where its first epoch begins. What clients have
//! deleted stays deleted, however the process ends; after a clean stop a start that the epochs contradict
//! deletes nothing.

use std::path::Path;

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{
    Log, OnDamage,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    sim::SimDisk,
};

use crate::{
    kit::*,
    script::{key, start, stop},
};

const ROOT: &str = "/logs";

fn note_start(disk: &SimDisk, offset: i64) {
    let starts = PartitionOffsets::from([(key(), Offset(offset))]);
    checkpoint::write_offsets(disk, Path::new(ROOT), OffsetKind::LogStart, &starts).unwrap();
}

/// Sixty records of two epochs, in some segments, of which those before `deleted` were deleted.
fn filled(deleted: i64) -> (SimDisk, Log<SimDisk>) {
    let disk = disk();
    let mut log = start(&disk, OnDamage::Refuse).unwrap();
    for epoch in [1, 2] {
        log.begin_leader_epoch(LeaderEpoch(epoch)).unwrap();
        (0..10).for_each(|_| records(3).append_in(&mut log, epoch));
    }
    log.flush().unwrap();
    log.advance_log_start(Offset(deleted)).unwrap();
    (disk, log)
}

fn open_at(disk: &SimDisk) -> (i64, Log<SimDisk>) {
    let log = start(disk, OnDamage::Refuse).unwrap();
    assert_eq!(log.log_end_offset(), Offset(60));
    (log.log_start_offset().0, log)
}

#[test]
fn a_start_that_the_epochs_contradict_after_a_clean_stop_deletes_nothing() {
    for (deleted, told) in [(0, 7), (0, 59), (0, 60), (7, 8), (7, 37), (31, 51), (31, 60)] {
        let (disk, log) = filled(deleted);
        stop(&disk, log).unwrap();
        note_start(&disk, told);
        let (start, log) = open_at(&disk);
        assert_eq!(start, deleted, "{told}");
        let wrong = log.recovery().wrong_start.as_ref().expect("it is told of").to_string();
        let line = "/logs/log-start-offset-checkpoint, line 3:";
        assert!(wrong.contains(line), "{wrong}");
        assert!(wrong.contains(&format!("offset {told} ")), "{wrong}");
        assert!(wrong.contains(&format!("offset {deleted} ")), "{wrong}");
        assert!(wrong.contains("/logs/t-0/leader-epoch-checkpoint"), "{wrong}");
        // With what is written down then the next start has nothing to say.
        stop(&disk, log).unwrap();
        let (start, log) = open_at(&disk);
        assert_eq!((start, &log.recovery().wrong_start), (deleted, &None), "{told}");
    }
}

#[test]
fn what_was_deleted_stays_deleted_however_the_process_ends() {
    for deleted in [1, 7, 30, 31, 59, 60] {
        // A clean stop right behind it.
        let (disk, log) = filled(deleted);
        stop(&disk, log).unwrap();
        let (start, log) = open_at(&disk);
        assert_eq!((start, &log.recovery().wrong_start), (deleted, &None));

        // A crash before the epochs are written down, and then a clean stop at once.
        let (disk, log) = filled(deleted);
        note_start(&disk, deleted);
        drop(log);
        disk.restart(1);
        let (start, log) = open_at(&disk);
        assert_eq!((start, &log.recovery().wrong_start), (deleted, &None));
        stop(&disk, log).unwrap();
        let (start, log) = open_at(&disk);
        assert_eq!((start, &log.recovery().wrong_start), (deleted, &None));

        // While a flush was under way, which had the epochs as they were before.
        let (disk, mut log) = filled(0);
        records(3).append_in(&mut log, 3);
        let plan = log.begin_flush().unwrap().unwrap();
        log.advance_log_start(Offset(deleted)).unwrap();
        let done = plan.run().unwrap();
        log.finish_flush(done);
        stop(&disk, log).unwrap();
        let log = start_of(&disk);
        assert_eq!((log.log_start_offset().0, &log.recovery().wrong_start), (deleted, &None));
    }
}

fn start_of(disk: &SimDisk) -> Log<SimDisk> {
    start(disk, OnDamage::Refuse).unwrap()
}
