//! What moves the high watermark.

use super::*;

fn leader(epoch_start: i64) -> Leader {
    Leader::new(LeaderEpoch(2), Offset(epoch_start), [BrokerId(1)].into())
}

fn voters(count: i32) -> VoterSet {
    let text: Vec<String> = (1..=count).map(|id| format!("{id}@a:{id}")).collect();
    VoterSet::from_static(&text.join(","), "C").unwrap()
}

/// Each row: who got how far, and the high watermark that this led to.
fn play(leader: &mut Leader, voters: &VoterSet, rows: &[(i32, i64, Option<i64>)]) {
    for row in rows {
        let (id, end, moved) = *row;
        let result = leader.replicated(BrokerId(id), Offset(end), voters);
        assert_eq!(result, moved.map(Offset), "{row:?}");
    }
}

#[test]
fn one_voter_commits_what_it_has() {
    play(
        &mut leader(10),
        &voters(1),
        &[(1, 10, None), (1, 11, Some(11)), (1, 11, None), (1, 40, Some(40))],
    );
}

#[test]
fn older_epochs_are_committed_by_a_record_of_this_one() {
    let rows = [(1, 11, None), (2, 10, None), (3, 9, None), (2, 11, Some(11)), (3, 11, None)];
    play(&mut leader(10), &voters(3), &rows);
}

#[test]
fn observers_commit_nothing() {
    let rows = [(1, 12, None), (7, 12, None), (8, 12, None), (2, 12, Some(12))];
    play(&mut leader(10), &voters(3), &rows);
}

#[test]
fn it_never_goes_back() {
    let (mut leader, three) = (leader(0), voters(3));
    play(&mut leader, &three, &[(1, 9, None), (2, 7, Some(7)), (2, 3, None), (3, 8, Some(8))]);
    assert_eq!(leader.replicated(BrokerId(1), Offset(9), &voters(5)), None);
    assert_eq!(leader.high_watermark(), Some(Offset(8)));
}
