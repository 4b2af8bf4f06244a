//! What was noted of a partition stays.

use super::*;
use crate::{
    disk::either::OS,
    durability::tests::{append, is_committed_soon},
    log_dirs::closing::tests::written,
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
        let of = |kind| checkpoint::read_offsets(&OS, &node.dir.path, kind).unwrap();
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
