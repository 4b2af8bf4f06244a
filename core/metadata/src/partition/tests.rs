//! The merge rules of a change, field by field. Source: interop C.1.

use super::*;

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn partition() -> Partition {
    Partition {
        replicas: ids(&[1, 2, 3]),
        directories: vec![Uuid(101), Uuid(102), Uuid(103)],
        isr: ids(&[1, 2]),
        elr: ids(&[3]),
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(4),
        partition_epoch: 9,
        ..Partition::default()
    }
}

fn merged(change: PartitionChangeRecord) -> Partition {
    partition().merge(&change).unwrap()
}

#[test]
fn an_empty_change_is_a_change_all_the_same() {
    let expected = Partition { partition_epoch: 10, ..partition() };
    assert_eq!(merged(PartitionChangeRecord::default()), expected);
}

#[test]
fn naming_a_leader_begins_an_epoch() {
    for leader in [1, 2, -1] {
        let leader = BrokerId(leader);
        let after = merged(PartitionChangeRecord { leader, ..Default::default() });
        assert_eq!((after.leader, after.leader_epoch), (leader, LeaderEpoch(5)));
    }
    let after = merged(PartitionChangeRecord { isr: Some(ids(&[1])), ..Default::default() });
    assert_eq!((after.isr, after.leader_epoch), (ids(&[1]), LeaderEpoch(4)));
}

#[test]
fn directories_follow_their_replicas() {
    let change = |replicas: &[i32], directories: Option<Vec<Uuid>>| {
        merged(PartitionChangeRecord {
            replicas: Some(ids(replicas)),
            directories,
            ..Default::default()
        })
    };
    assert_eq!(change(&[3, 4], None).directories, [Uuid(103), Uuid::UNASSIGNED_DIR]);
    let given = vec![Uuid(7), Uuid(8)];
    assert_eq!(change(&[3, 4], Some(given.clone())).directories, given);
}

#[test]
fn the_elr_is_set_and_emptied() {
    let change = |elr: &[i32]| {
        merged(PartitionChangeRecord {
            eligible_leader_replicas: Some(ids(elr)),
            last_known_elr: Some(ids(&[2])),
            ..Default::default()
        })
    };
    assert_eq!(change(&[]).elr, ids(&[]));
    assert_eq!((change(&[1]).elr, change(&[1]).last_known_elr), (ids(&[1]), ids(&[2])));
}

#[test]
fn contradictions_are_refused() {
    let directories = Some(vec![Uuid(1)]);
    let error = partition().merge(&PartitionChangeRecord { directories, ..Default::default() });
    assert_eq!(error, Err(Contradiction { field: "Directories" }));
    let change = PartitionChangeRecord { leader_recovery_state: 2, ..Default::default() };
    let error = partition().merge(&change);
    assert_eq!(error, Err(Contradiction { field: "LeaderRecoveryState" }));
    let worn = Partition { partition_epoch: i32::MAX, ..partition() };
    let error = worn.merge(&PartitionChangeRecord::default());
    assert_eq!(error, Err(Contradiction { field: "PartitionEpoch" }));
}

#[test]
fn a_record_makes_the_partition_again() {
    let record = partition().to_record(TopicId::METADATA, PartitionId(5), MetadataVersion::LATEST);
    assert_eq!(Partition::from_record(&record), Ok(partition()));
    let old = partition().to_record(TopicId::METADATA, PartitionId(5), MetadataVersion(16));
    let without = Partition::from_record(&old).unwrap();
    assert_eq!((without.elr, without.directories), (vec![], vec![Uuid::MIGRATING_DIR; 3]));
}
