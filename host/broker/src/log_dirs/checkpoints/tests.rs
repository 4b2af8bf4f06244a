//! What is noted of a partition stays, and what damaged checkpoints mean.

use super::*;
use crate::{
    durability::tests::{append, is_committed_soon},
    log_dirs::{closing::tests::written, whose},
};

#[test]
fn what_is_noted_of_a_partition_stays_noted_when_it_goes_offline() {
    let node = written();
    let [gone, here] = &node.partitions[..] else { unreachable!() };
    gone.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    node.dir.flush(&node.partitions);
    gone.take_offline();
    assert!(is_committed_soon(here, append(here)));
    let noted = || {
        let of = |kind| checkpoint::read_offsets(&OsDisk, &node.dir.path, kind).unwrap();
        let key = (gone.topic().clone(), gone.index());
        [OffsetKind::RecoveryPoint, OffsetKind::LogStart].map(|kind| of(kind).get(&key).copied())
    };
    assert_eq!(noted(), [Some(Offset(1)); 2]);
    node.dir.flush(&node.partitions);
    assert_eq!(noted(), [Some(Offset(1)); 2], "else what was deleted is back after the next start");
    // As long as it is not deleted.
    node.dir.forget(gone.topic(), gone.index());
    node.dir.write_checkpoints(&node.partitions).unwrap();
    assert_eq!(noted(), [Some(Offset(0)), None]);
}

#[test]
fn damaged_checkpoints_say_nothing_and_the_directory_is_served() {
    let node = written();
    let [one, _] = &node.partitions[..] else { unreachable!() };
    one.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    node.dir.flush(&node.partitions);
    let (disk, path) = (OsDisk, &node.dir.path);
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
        assert_eq!(error, format!("{}, line {line}: the line has no end", file.display()));
    }
    assert_eq!(log_starts(&disk, path), PartitionOffsets::new());
    assert_eq!(cleaned_to(&disk, path), PartitionOffsets::new());
    assert_eq!(recovery_points(&disk, path), None);
    assert_eq!(whose::high_watermarks(&disk, path), (PartitionOffsets::new(), false));
}
