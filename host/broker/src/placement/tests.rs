//! Where a partition is served from, for each state that a move can leave behind.

use std::{
    io::{self, IoSlice},
    path::Path,
};

use dohle_base::{Offset, Rng, TopicId};
use dohle_log::{
    IoError, LogConfig,
    disk::Operation,
    partition_metadata,
    wal::{Frame, OpenWal, Wal},
};
use dohle_metadata::MetadataState;
use dohle_os::OsDisk;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};
use tempfile::TempDir;

use super::*;
use crate::{
    kit::{Kit, kit, kit_in, make_topic},
    metadata::Published,
    open_files::OpenFiles,
    publisher::Publisher,
};

const A: Uuid = Uuid(7);
const B: Uuid = Uuid(8);
const TOPIC: TopicId = TopicId(Uuid(3));
const CURRENT: &str = "u-0";
const FUTURE: &str = "u-0.00000000000000000000000000000001-future";
const DELETED: &str = "u-0.00000000000000000000000000000001-delete";

type Names = &'static [&'static str];
type Placed = (&'static str, Option<Uuid>);

/// A broker with the directories A and B, which have these names in them; and one of them has failed.
fn broker_with(names: [Names; 2], failed: Option<Uuid>) -> Kit {
    broker_in(tempfile::tempdir().unwrap(), names, failed)
}

fn broker_in(root: TempDir, names: [Names; 2], failed: Option<Uuid>) -> Kit {
    let kit = kit_in(root, "", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    for (dir, names) in kit.broker.log_dirs.iter().zip(names) {
        names.iter().for_each(|name| std::fs::create_dir(dir.path.join(name)).unwrap());
        if failed == Some(dir.id) {
            let source = io::Error::from_raw_os_error(5);
            dir.judge(&IoError::new(Operation::Write, &dir.path, &source));
        }
    }
    kit
}

/// Where the partition is placed that is assigned so.
fn place(kit: &Kit, assigned: Uuid, is_new: bool) -> Placed {
    let topic = Topic { name: "u".into(), id: TOPIC, partitions: Default::default() };
    let known = known_in(assigned);
    let mut placement = Placement::of(&kit.broker);
    match placement.place(&kit.broker, &topic, PartitionId(0), &known, is_new) {
        Place::In(dir) => ("in", Some(dir.id)),
        Place::Chosen(dir) => ("chosen", Some(dir.id)),
        Place::Withheld(dirs) => ("withheld", dirs.first().map(|dir| dir.id)),
        Place::Several(_) => ("several", None),
        Place::Offline => ("offline", None),
    }
}

#[test]
fn what_a_move_left_behind_is_served_only_if_nothing_can_be_missing() {
    // (in A, in B, assigned, failed) => place
    let table: [(Names, Names, Uuid, Option<Uuid>, Placed); 14] = [
        // From A to B, with both there, step by step.
        (&[CURRENT], &[FUTURE], A, None, ("in", Some(A))),
        (&[CURRENT], &[FUTURE], B, None, ("chosen", Some(A))),
        (&[CURRENT], &[CURRENT], B, None, ("several", None)),
        (&[DELETED], &[CURRENT], B, None, ("in", Some(B))),
        // B is missing: A may have a part of it only, unless it is named.
        (&[CURRENT], &[FUTURE], A, Some(B), ("in", Some(A))),
        (&[CURRENT], &[FUTURE], B, Some(B), ("withheld", Some(A))),
        (&[CURRENT], &[CURRENT], B, Some(B), ("withheld", Some(A))),
        (&[DELETED], &[CURRENT], B, Some(B), ("offline", None)),
        // A is missing: B has all of it once it is renamed, and nothing is made anew beside the copy.
        (&[CURRENT], &[FUTURE], A, Some(A), ("offline", None)),
        (&[CURRENT], &[FUTURE], B, Some(A), ("offline", None)),
        (&[CURRENT], &[CURRENT], B, Some(A), ("in", Some(B))),
        (&[DELETED], &[CURRENT], B, Some(A), ("in", Some(B))),
        // One that was not made before the crash is made, where it was to be.
        (&[], &[], B, Some(A), ("in", Some(B))),
        // Nobody knows where it was to be: it may lie in A.
        (&[], &[], Uuid::UNASSIGNED_DIR, Some(A), ("offline", None)),
    ];
    for (row, (a, b, assigned, failed, wanted)) in table.into_iter().enumerate() {
        let kit = broker_with([a, b], failed);
        assert_eq!(place(&kit, assigned, false), wanted, "row {row}");
    }
}

/// A write-ahead log that has the partition's first record.
fn leave_frame(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    let how = OpenWal { capacity: 65_536, left_clean: false, boot: 1, salt: [9; 12] };
    let (mut wal, _) = Wal::open(&OsDisk, dir, how).unwrap();
    let mut batch = BatchBuilder::new(BatchSpec::default());
    batch.append(&NewRecord { value: Some(b"v"), ..NewRecord::default() }).unwrap();
    let mut frame = Frame::default();
    assert!(frame.push((TOPIC, PartitionId(0)), &[IoSlice::new(&batch.finish())]));
    assert!(wal.append(&mut frame).unwrap());
    wal.sync().unwrap();
}

/// The metadata was not told yet where a partition was made, and a power cut has taken the name of its
/// directory. What was acknowledged is in the frames of one directory.
#[test]
fn a_partition_that_was_not_assigned_yet_is_where_its_frames_are() {
    // (B has frames, has failed) => place
    let table = [
        (false, None, ("chosen", Some(A))),
        (true, None, ("chosen", Some(B))),
        (true, Some(A), ("chosen", Some(B))),
        (true, Some(B), ("offline", None)),
    ];
    for (has_frames, failed, wanted) in table {
        let root = tempfile::tempdir().unwrap();
        if has_frames {
            leave_frame(&root.path().join("b"));
        }
        let kit = broker_in(root, [&[], &[]], failed);
        let placed = place(&kit, Uuid::UNASSIGNED_DIR, false);
        assert_eq!(placed, wanted, "frames: {has_frames}, failed: {failed:?}");
    }
}

#[test]
fn what_frames_have_of_a_partition_that_was_not_assigned_yet_is_served() {
    let root = tempfile::tempdir().unwrap();
    leave_frame(&root.path().join("b"));
    let kit = broker_in(root, [&[], &[]], None);
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let image = kit.broker.metadata().image.clone();
    let mut state = MetadataState::new(image);
    make_topic(&mut state, "u", TOPIC, 1, Uuid::UNASSIGNED_DIR);
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    let partition = kit.broker.partitions.get(TOPIC, PartitionId(0)).unwrap();
    let end = partition.with_leader(|leader| leader.log().log_end_offset());
    assert_eq!((partition.directory(), end), (B, Ok(Offset(1))));
    assert_eq!(publisher.take_assignments(), [(TOPIC, PartitionId(0), B)]);
}

/// B has frames of the partition, of a former stay there, or of this one.
#[test]
fn a_copy_counts_beside_frames_unless_it_is_a_former_topics() {
    let (this, former) = (Some(TOPIC), Some(TopicId(Uuid(4))));
    let made = ("in", Some(B));
    // (in B, whose it says that it is) => place
    let table: [(Names, Option<TopicId>, Placed); 7] = [
        (&[], None, made),
        (&[FUTURE], this, ("offline", None)),
        (&[FUTURE], None, ("offline", None)),
        (&[FUTURE], former, made),
        // A copy that was not wanted any more, and the metadata was not told.
        (&[DELETED], this, ("offline", None)),
        (&[DELETED], None, made),
        (&[DELETED], former, made),
    ];
    for (row, (names, owner, wanted)) in table.into_iter().enumerate() {
        for has_frames in [false, true] {
            let root = tempfile::tempdir().unwrap();
            if has_frames {
                leave_frame(&root.path().join("b"));
            }
            let kit = broker_in(root, [&[], names], Some(A));
            let b = &kit.broker.log_dirs[1];
            assert_eq!(b.redo(TOPIC, PartitionId(0), |_| ()).is_some(), has_frames);
            if let Some(owner) = owner {
                partition_metadata::write(b.disk(), &b.path.join(names[0]), owner).unwrap();
            }
            assert_eq!(place(&kit, B, false), wanted, "row {row}, frames: {has_frames}");
        }
    }
}

/// A start could not give it another name.
#[test]
fn a_directory_of_a_former_topic_is_set_aside_or_passed_over() {
    let unique = broker_with([&[], &[]], None).broker.random_id();
    let stray = PartitionDir { role: DirRole::Stray, ..PartitionDir::parse(CURRENT).unwrap() };
    for (can_be_named, wanted) in [(true, ("in", Some(A))), (false, ("chosen", Some(B)))] {
        let kit = broker_with([&[CURRENT], &[]], None);
        let a = &kit.broker.log_dirs[0];
        let current = a.path.join(CURRENT);
        partition_metadata::write(a.disk(), &current, TopicId(Uuid(4))).unwrap();
        if !can_be_named {
            // What is made up next is made up already.
            std::fs::create_dir_all(a.path.join(stray.name(unique)).join("x")).unwrap();
        }
        assert_eq!(place(&kit, A, true), wanted);
        assert_eq!(current.exists(), !can_be_named);
    }
}

#[test]
fn a_new_partition_is_made_while_a_directory_is_missing() {
    let kit = broker_with([&[], &[]], Some(A));
    assert_eq!(place(&kit, Uuid::UNASSIGNED_DIR, true), ("chosen", Some(B)));
    assert_eq!(place(&kit, B, true), ("in", Some(B)));
}

/// A partition of this broker's that lies in a directory, by the metadata.
fn known_in(assigned: Uuid) -> Partition {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let published = kit.broker.metadata();
    let topic = published.image.topics.named("t").unwrap();
    let known = (*topic.partitions[&PartitionId(0)]).clone();
    Partition { directories: vec![assigned], ..known }
}
