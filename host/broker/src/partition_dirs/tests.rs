//! A topic that was made again is not taken for the one that had its name, whatever a crash has left of that one.

use std::path::Path;

use dohle_base::{LeaderEpoch, Offset, Rng};
use dohle_log::{
    Log, LogConfig, OpenLog, Origin,
    checkpoint::{self, OffsetKind},
    wal::{OpenWal, Wal},
};
use dohle_os::OsDisk;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;
use crate::{
    kit::{Kit, kit_in, log_dir, make_topic, no_topics},
    metadata::Published,
    open_files::OpenFiles,
    publisher::Publisher,
};

const FORMER: TopicId = TopicId(Uuid(9));
const NAMED: TopicId = TopicId(Uuid(10));
const DELETED: &str = "r-0.00000000000000000000000000000001-delete";

/// Makes a partition's directory with so many records, durably that of a topic.
fn leave(dir: &Path, topic: TopicId, records: usize) {
    std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let how = OpenLog { topic_id: Some(topic), ..OpenLog::default() };
    let config = LogConfig::default();
    let mut log = Log::open(OsDisk, dir.to_owned(), config, how, Timestamp(0)).unwrap();
    for _ in 0..records {
        let mut batch = BatchBuilder::new(BatchSpec::default());
        batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
        let (batch, epoch) = (batch.finish(), LeaderEpoch(0));
        log.append_as_leader(&batch, epoch, Origin::Client, Timestamp(0)).unwrap();
    }
    log.flush().unwrap();
}

fn note(dir: &Path, kind: OffsetKind, offset: i64) {
    let offsets = [(("r".into(), PartitionId(0)), Offset(offset))].into();
    checkpoint::write_offsets(&OsDisk, dir, kind, &offsets).unwrap();
}

fn noted(dir: &Path, kind: OffsetKind) -> Option<i64> {
    let offsets = checkpoint::read_offsets(&OsDisk, dir, kind).unwrap();
    offsets.get(&("r".into(), PartitionId(0))).map(|offset| offset.0)
}

/// A start for which the topic `r` is [`NAMED`], on a log directory that was left so.
fn start(leave: impl FnOnce(&Path)) -> Kit {
    let root = tempfile::tempdir().unwrap();
    leave(&root.path().join("a"));
    let kit = kit_in(root, "", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut state = no_topics();
    make_topic(&mut state, "r", NAMED, 1, Uuid(7));
    let image = state.image().clone();
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    publisher.publish(Published { image, ..Published::default() });
    kit
}

/// From where up to where the partition goes; `None` if it is offline.
fn range(kit: &Kit) -> Option<(i64, i64)> {
    let partition = kit.broker.partitions.get(NAMED, PartitionId(0)).unwrap();
    let range = partition.with_leader(|leader| {
        let log = leader.log();
        (log.log_start_offset().0, log.log_end_offset().0)
    });
    range.ok()
}

/// The power was cut before the former one had another name.
#[test]
fn recovery_points_of_a_directory_that_is_set_aside_are_not_those_of_the_new_topic() {
    let kit = start(|dir| {
        leave(&dir.join("r-0"), FORMER, 2);
        note(dir, OffsetKind::RecoveryPoint, 2);
    });
    assert_eq!(range(&kit), Some((0, 0)));
    let dir = &kit.broker.log_dirs[0].path;
    assert_eq!(noted(dir, OffsetKind::RecoveryPoint), Some(0), "no later start believes it");
}

/// Nor before the checkpoints were written anew. The directory of the new one says whose it is before they are.
#[test]
fn what_is_forgotten_is_written_down_where_its_name_is_used_again() {
    let kit = start(|dir| {
        leave(&dir.join(DELETED), FORMER, 2);
        note(dir, OffsetKind::RecoveryPoint, 2);
        note(dir, OffsetKind::LogStart, 1);
    });
    assert_eq!(range(&kit), Some((0, 0)));
    let dir = &kit.broker.log_dirs[0].path;
    assert_eq!(noted(dir, OffsetKind::RecoveryPoint), Some(0));
    assert_eq!(noted(dir, OffsetKind::LogStart), None);
}

/// The former one lies there for a minute.
#[test]
fn checkpoints_of_the_new_topic_count_while_the_former_one_waits_to_be_removed() {
    let kit = start(|dir| {
        leave(&dir.join(DELETED), FORMER, 2);
        leave(&dir.join("r-0"), NAMED, 4);
        note(dir, OffsetKind::RecoveryPoint, 4);
        note(dir, OffsetKind::LogStart, 3);
    });
    assert_eq!(range(&kit), Some((3, 4)), "what a client has deleted stays deleted");
    let dir = &kit.broker.log_dirs[0];
    let partition = kit.broker.partitions.get(NAMED, PartitionId(0)).unwrap();
    assert_eq!(dir.noted_recovery_point(&partition), Offset(4), "what was flushed is known to be");
}

/// A move notes the recovery point in the new directory first, and may get no further for a while.
#[test]
fn what_a_move_has_noted_of_a_topic_is_forgotten_when_that_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let kit = kit_in(root, "", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, "r", NAMED, 1, Uuid(7));
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    let target = &kit.broker.log_dirs[1];
    target.note_recovery_point(("r".into(), PartitionId(0)), Offset(4)).unwrap();
    publisher.publish(Published { image: no_topics().image().clone(), ..Published::default() });
    assert_eq!(noted(&target.path, OffsetKind::RecoveryPoint), None);
}

/// Its checkpoints could not be written when the partition left it, and the topic is deleted before they are.
#[test]
fn what_a_directory_tells_of_a_partition_that_has_left_it_is_forgotten_when_the_topic_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let kit = kit_in(root, "", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, "r", NAMED, 1, Uuid(7));
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    let [other, left] = &kit.broker.log_dirs[..] else { unreachable!() };
    left.note_recovery_point(("r".into(), PartitionId(0)), Offset(4)).unwrap();
    left.forget(&"r".into(), PartitionId(0));
    assert!(left.tells_of(&"r".into(), PartitionId(0)), "its checkpoint does");
    assert!(!other.tells_of(&"r".into(), PartitionId(0)));
    publisher.publish(Published { image: no_topics().image().clone(), ..Published::default() });
    assert_eq!(noted(&left.path, OffsetKind::RecoveryPoint), None);
    assert!(!left.tells_of(&"r".into(), PartitionId(0)));
}

/// Leaves a partition of the named topic that says in vain whose it is, and a log directory that was ours when the
/// power was cut.
fn leave_without_owner(dir: &Path, flushed_to: i64) {
    leave(&dir.join("r-0"), NAMED, 2);
    std::fs::write(dir.join("r-0").join(OWNER), "").unwrap();
    let ours = log_dir(Uuid(7), dir);
    ours.write_checkpoints(Vec::new).unwrap();
    drop(ours);
    note(dir, OffsetKind::RecoveryPoint, flushed_to);
    let how = OpenWal { capacity: 1 << 20, left_clean: false, boot: 1, salt: [1; 12] };
    let (wal, _) = Wal::open(&OsDisk, dir, how).unwrap();
    wal.cache_trust().give().unwrap();
    wal.handover(&OsDisk).unwrap().take().unwrap();
}

/// What says whose it is was flushed with it, so it is damaged and not lost: the name tells.
#[test]
fn a_directory_is_nobodys_only_if_nothing_of_it_was_flushed() {
    for (flushed_to, served) in [(0, (0, 0)), (2, (0, 2))] {
        let kit = start(|dir| leave_without_owner(dir, flushed_to));
        let dir = &kit.broker.log_dirs[0];
        assert!(dir.has_lost_cache());
        assert_eq!(range(&kit), Some(served), "flushed to {flushed_to}");
        let entries = std::fs::read_dir(&dir.path).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        let is_aside =
            names.iter().any(|name| name.to_str().is_some_and(|name| name.ends_with("-stray")));
        assert_eq!(is_aside, flushed_to == 0, "{names:?}");
    }
}
