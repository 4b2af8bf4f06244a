//! Each log directory is flushed whatever the others do, and what could not be written is not forgotten.

use std::{fs, os::unix::fs::symlink};

use dohle_base::Offset;
use dohle_log::{
    LogConfig,
    checkpoint::{self, OffsetKind},
};
use dohle_os::OsDisk;

use super::*;
use crate::{
    durability::tests::{append, is_committed_soon},
    kit::{SOON, kit},
    open_files::OpenFiles,
};

#[test]
fn a_disk_that_hangs_holds_up_no_other_directory() {
    let mut kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let [sound, hangs] = &kit.broker.log_dirs[..] else { unreachable!() };
    let partition = &kit.partitions[0];
    let inboxes = std::mem::take(&mut kit.upkeep).into_iter().zip(&kit.broker.log_dirs);
    let threads = inboxes.map(|(inbox, dir)| inbox.start(Arc::clone(&kit.broker), Arc::clone(dir)));
    let threads: Vec<_> = threads.map(Result::unwrap).collect();
    // Whatever of its flush has not come back.
    let flush = hangs.write_ahead().alone();
    for count in 1..=3 {
        assert!(is_committed_soon(partition, append(partition)));
        hangs.upkeep().urgent();
        sound.upkeep().urgent();
        let until = Instant::now() + SOON;
        while sound.noted_recovery_point(partition) < Offset(count) {
            assert!(Instant::now() < until, "the recovery point stands still at {count} records");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(flush);
    kit.broker.log_dirs.iter().for_each(|dir| dir.upkeep().stop());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn changes_are_collected_for_as_long_as_the_file_says() {
    // So much that no clock has it; as often as can be.
    for (interval, is_written) in [("9223372036854775807", false), ("1", true)] {
        let settings = format!("replica.high.watermark.checkpoint.interval.ms={interval}\n");
        let files = OpenFiles::within(1_000, 100, 2);
        let mut kit = kit(&settings, files, 1, &LogConfig::default());
        let (dir, partition) = (&kit.broker.log_dirs[0], &kit.partitions[0]);
        let thread = kit.upkeep.remove(0).start(Arc::clone(&kit.broker), Arc::clone(dir)).unwrap();
        assert!(is_committed_soon(partition, append(partition)));
        dir.upkeep().changed();
        // A disk may take its time for what is to be written.
        let until = Instant::now() + if is_written { SOON } else { Duration::from_secs(2) };
        while dir.noted_recovery_point(partition) < Offset(1) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(dir.noted_recovery_point(partition) == Offset(1), is_written, "{interval}");
        dir.upkeep().stop();
        thread.join().unwrap();
    }
}

/// However much else the thread was told since it looked last.
#[test]
fn no_change_is_passed_over_for_those_who_wait_for_log_starts() {
    let settings = "replica.high.watermark.checkpoint.interval.ms=1\n";
    let mut kit = kit(settings, OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let (dir, partition) = (&kit.broker.log_dirs[0], &kit.partitions[0]);
    let noted: Vec<_> = (0..3).map(|_| dir.upkeep().note_log_starts()).collect();
    // This tells of a change, and nothing does after it.
    assert!(is_committed_soon(partition, append(partition)));
    let thread = kit.upkeep.remove(0).start(Arc::clone(&kit.broker), Arc::clone(dir)).unwrap();
    let until = Instant::now() + SOON;
    while dir.noted_recovery_point(partition) < Offset(1) {
        assert!(Instant::now() < until, "nothing is written down any more");
        std::thread::sleep(Duration::from_millis(1));
    }
    noted.into_iter().for_each(|noted| noted.blocking_recv().unwrap().unwrap());
    dir.upkeep().stop();
    thread.join().unwrap();
}

#[test]
fn who_waits_no_longer_is_not_kept_for_a_disk_that_hangs() {
    let (upkeep, inbox) = Upkeep::new();
    (0..100).for_each(|_| drop(upkeep.note_log_starts()));
    let waits = upkeep.note_log_starts();
    assert_eq!(upkeep.shared.news().waiting.len(), 1);
    drop(inbox);
    assert!(waits.blocking_recv().is_err(), "nobody writes it any more");
    assert!(upkeep.note_log_starts().blocking_recv().is_err());
}

/// What a checkpoint goes on saying of a topic that is deleted would be taken for the one that is made again
/// under its name, of which there is nothing yet that could be lost.
#[test]
fn a_checkpoint_that_could_not_be_written_is_tried_again() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let (dir, partition) = (&kit.broker.log_dirs[0], &kit.partitions[0]);
    let told = || {
        let kinds = [OffsetKind::RecoveryPoint, OffsetKind::LogStart];
        kinds.map(|kind| checkpoint::read_offsets(&OsDisk, &dir.path, kind).unwrap().len())
    };
    assert!(is_committed_soon(partition, append(partition)));
    append(partition);
    partition.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    kit.flush();
    assert_eq!(told(), [1, 1]);
    assert!(kit.upkeep[0].is_due());
    for (kind, left) in [("recovery-point-offset", [1, 1]), ("log-start-offset", [0, 1])] {
        let obstacle = dir.path.join(format!("{kind}-checkpoint.tmp"));
        symlink("missing/x", &obstacle).unwrap();
        dir.write_checkpoints(Vec::new).unwrap_err();
        assert_eq!(told(), left);
        fs::remove_file(&obstacle).unwrap();
        assert!(kit.upkeep[0].is_due(), "{kind}");
        assert!(!kit.upkeep[0].is_due(), "once");
    }
    let obstacle = dir.path.join("log-start-offset-checkpoint.tmp");
    symlink("missing/x", &obstacle).unwrap();
    dir.write_log_starts(&[]).unwrap_err();
    assert!(kit.upkeep[0].is_due(), "what was deleted in vain");
    fs::remove_file(&obstacle).unwrap();
    dir.write_checkpoints(Vec::new).unwrap();
    assert_eq!((told(), kit.upkeep[0].is_due()), ([0, 0], false));
}
