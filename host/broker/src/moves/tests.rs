//! What clients may have noted of partitions that are not there.

use super::*;

const DIRECTORY: Uuid = Uuid(7);

fn noted(moves: &Moves) -> usize {
    moves.shared.state().preferred.len()
}

#[test]
fn no_more_is_noted_of_partitions_that_are_not_there_than_there_is_room_for() {
    let moves = Moves::default();
    for index in 0..20_000 {
        moves.prefer("t".into(), PartitionId(index), DIRECTORY);
    }
    assert_eq!(noted(&moves), PREFERRED_MAX);
    // Who was noted may think again, and makes room when it is made.
    moves.prefer("t".into(), PartitionId(0), Uuid(8));
    assert_eq!(moves.preferred(&"t".into(), PartitionId(0)), Some(Uuid(8)));
    moves.prefer("u".into(), PartitionId(0), DIRECTORY);
    assert_eq!(moves.preferred(&"u".into(), PartitionId(0)), Some(DIRECTORY));
}

#[test]
fn nothing_is_noted_of_partitions_that_can_never_be() {
    let moves = Moves::default();
    let long = "x".repeat(250);
    for (name, index) in [("t", -1), ("", 0), ("..", 0), ("a/b", 0), (&*long, 0)] {
        moves.prefer(name.into(), PartitionId(index), DIRECTORY);
    }
    assert_eq!(noted(&moves), 0);
}
