//! The start-up table: what was kept, what the log says, what follows.

use dohle_base::Uuid;

use super::*;

fn start(
    epoch: i32,
    leader: Option<i32>,
    voted: Option<i32>,
    log_epoch: i32,
) -> (&'static str, i32) {
    let directory = Uuid(0x99);
    let election = ElectionState {
        epoch: LeaderEpoch(epoch),
        leader: leader.map(BrokerId),
        voted: voted.map(|id| ReplicaKey::new(BrokerId(id), directory)),
    };
    let own = ReplicaKey::new(BrokerId(1), directory);
    let role = Role::at_start(&election, LeaderEpoch(log_epoch), &own);
    let name = match &role {
        Role::Unattached(_) => "unattached",
        Role::Prospective(_) => "prospective",
        Role::Candidate(_) => "candidate",
        Role::Leader(_) => "leader",
        Role::Resigned(_) => "resigned",
    };
    (name, role.epoch().0)
}

#[test]
fn what_was_kept_decides_the_role() {
    let rows = [
        // epoch, leader, voted, epoch of the log
        ((0, None, None, 0), ("unattached", 0)),
        ((3, None, None, 5), ("unattached", 5)),
        ((3, Some(1), None, 5), ("unattached", 5)),
        ((3, None, Some(1), 5), ("unattached", 5)),
        ((3, Some(1), None, 3), ("resigned", 3)),
        ((3, Some(1), Some(1), 2), ("resigned", 3)),
        ((3, None, Some(1), 2), ("candidate", 3)),
        ((3, None, Some(2), 2), ("unattached", 3)),
        ((3, Some(2), None, 3), ("unattached", 3)),
    ];
    for (given, expected) in rows {
        let (epoch, leader, voted, log_epoch) = given;
        assert_eq!(start(epoch, leader, voted, log_epoch), expected, "{given:?}");
    }
}

#[test]
fn a_vote_for_the_replica_that_had_another_disk_is_not_its_own() {
    let voted = Some(ReplicaKey::new(BrokerId(1), Uuid(0x98)));
    let election = ElectionState { epoch: LeaderEpoch(3), leader: None, voted };
    let own = ReplicaKey::new(BrokerId(1), Uuid(0x99));
    assert!(matches!(Role::at_start(&election, LeaderEpoch(0), &own), Role::Unattached(_)));
}
