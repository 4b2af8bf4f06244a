//! What is noted of a partition stays, and what damaged checkpoints mean.

use std::{sync::TryLockError, thread, time::Duration};

use dohle_log::LogConfig;

use super::*;
use crate::{
    disk::either::OS,
    durability::tests::{append, is_committed_soon},
    kit::kit,
    log_dirs::{closing::tests::written, whose},
    open_files::OpenFiles,
    partition::State,
};

#[test]
fn what_is_noted_of_a_partition_stays_noted_when_it_goes_offline() {
    let node = written();
    let [gone, here] = &node.partitions[..] else { unreachable!() };
    gone.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    node.flush();
    gone.take_offline();
    assert!(is_committed_soon(here, append(here)));
    let noted = || {
        let of = |kind| checkpoint::read_offsets(&OS, &node.dir.path, kind).unwrap();
        let key = (gone.topic().clone(), gone.index());
        [OffsetKind::RecoveryPoint, OffsetKind::LogStart].map(|kind| of(kind).get(&key).copied())
    };
    assert_eq!(noted(), [Some(Offset(1)); 2]);
    node.flush();
    assert_eq!(noted(), [Some(Offset(1)); 2], "else what was deleted is back after the next start");
    // As long as it is not deleted.
    node.dir.forget(gone.topic(), gone.index());
    node.dir.write_checkpoints(|| node.partitions.clone()).unwrap();
    assert_eq!(noted(), [Some(Offset(0)), None]);
}

/// A flush waits for the one before, and partitions are made meanwhile.
#[test]
fn what_is_noted_of_a_new_partition_stays_noted() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 2, &LogConfig::default());
    let [_, new] = &kit.partitions[..] else { unreachable!() };
    let (dir, partitions) = (&kit.broker.log_dirs[0], &kit.broker.partitions);
    let (topic, index) = new.key();
    partitions.remove(topic, index).unwrap();
    let noted = || {
        let starts = checkpoint::read_offsets(&OS, &dir.path, OffsetKind::LogStart).unwrap();
        starts.get(&key_of(new)).copied()
    };
    thread::scope(|scope| {
        let alone = dir.write_ahead().alone();
        let flush = scope.spawn(|| dir.flush(|| partitions.all()));
        // It has some time to get to where it waits.
        thread::sleep(Duration::from_millis(50));
        partitions.insert([Arc::clone(new)]);
        assert!(is_committed_soon(new, append(new)));
        new.with_leader(|leader| leader.delete_records(Offset(1))).unwrap().unwrap();
        let answer = dir.upkeep().note_log_starts();
        dir.upkeep().step_log_starts(&kit.broker, dir);
        answer.blocking_recv().unwrap().unwrap();
        assert_eq!(noted(), Some(Offset(1)));
        drop(alone);
        flush.join().unwrap();
    });
    assert_eq!(noted(), Some(Offset(1)), "else what was deleted is back after a crash");
}

#[test]
fn damaged_checkpoints_say_nothing_and_the_directory_is_served() {
    let node = written();
    let [one, _] = &node.partitions[..] else { unreachable!() };
    one.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    node.flush();
    let (disk, path) = (OS, &node.dir.path);
    let key = (one.topic().clone(), one.index());
    let cleaned = PartitionOffsets::from([(key.clone(), Offset(1))]);
    checkpoint::write_offsets(&disk, path, OffsetKind::CleanerPoint, &cleaned).unwrap();
    assert_eq!(log_starts(&disk, path).get(&key), Some(&Offset(1)));
    assert_eq!(cleaned_to(&disk, path), cleaned);
    for kind in OffsetKind::ALL {
        // A line that is cut in its last number.
        let file = path.join(kind.file_name());
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.trim_end()).unwrap();
        let error = checkpoint::read_offsets(&disk, path, kind).unwrap_err().to_string();
        let line = text.lines().count();
        assert_eq!(error, format!("{}, line {line}: expected an end of the line", file.display()));
    }
    assert_eq!(log_starts(&disk, path), PartitionOffsets::new());
    assert_eq!(cleaned_to(&disk, path), PartitionOffsets::new());
    assert_eq!(recovery_points(&disk, path), None);
    assert_eq!(whose::high_watermarks(&disk, path), (PartitionOffsets::new(), false));
}

/// Its copy is flushed further than what it was, and that may be found by the next start.
#[test]
fn nothing_is_noted_of_a_copy_in_the_directory_that_a_partition_leaves() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let [partition] = &kit.partitions[..] else { unreachable!() };
    let [old, new] = &kit.broker.log_dirs[..] else { unreachable!() };
    assert!(is_committed_soon(partition, append(partition)));
    kit.flush();
    assert!(is_committed_soon(partition, append(partition)));
    let noted = || {
        let points = checkpoint::read_offsets(&OS, &old.path, OffsetKind::RecoveryPoint);
        points.unwrap().get(&key_of(partition)).copied()
    };
    assert_eq!(noted(), Some(Offset(1)));
    thread::scope(|scope| {
        let mut state = partition.state();
        let writing = scope.spawn(|| old.write_checkpoints(|| kit.partitions.clone()));
        while !matches!(old.checkpoints.try_lock(), Err(TryLockError::WouldBlock)) {
            thread::yield_now();
        }
        // It has some time to get to the partition's lock.
        thread::sleep(Duration::from_millis(50));
        let State::Led(leader) = &mut *state else { unreachable!() };
        leader.log_mut().flush().unwrap();
        partition.move_to(Arc::clone(new));
        drop(state);
        writing.join().unwrap().unwrap();
    });
    assert_eq!(noted(), Some(Offset(1)));
}
