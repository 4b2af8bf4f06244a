//! Whose files are closed, in which order, and that nothing is lost by it.

use std::sync::Arc;

use dohle_base::{LeaderEpoch, Offset};

use super::*;
use crate::{
    durability::tests::{Node, append, is_committed_soon, node_within},
    partition::State,
};

/// So many partitions with a record each, whose files are open: nothing is closed but by the test.
fn node(partitions: i32) -> Node {
    let node = node_within(OpenFiles::new(usize::MAX, || 0), partitions);
    write(&node.partitions, Offset(1));
    node
}

/// Appends a record to each, whose end is then this, and waits until nobody is at them any more.
fn write(partitions: &[Arc<Partition>], end: Offset) {
    partitions.iter().for_each(|partition| assert_eq!(append(partition), end));
    assert!(partitions.iter().all(|partition| is_committed_soon(partition, end)));
}

/// Whether its log has files open. Does not count as a use.
fn has_files(partition: &Arc<Partition>) -> bool {
    match &*partition.state() {
        State::Led(leader) => leader.log().has_open_files(),
        State::Offline | State::NotLed | State::Gone => false,
    }
}

fn open(node: &Node) -> Vec<usize> {
    let all = node.partitions.iter().enumerate();
    all.filter(|(_, partition)| has_files(partition)).map(|(index, _)| index).collect()
}

/// All rest from now on.
fn rest(node: &Node) {
    node.partitions.iter().for_each(|partition| {
        partition.close_files(Choice::Resting);
    });
}

#[test]
fn what_is_used_keeps_its_files() {
    let node = node(48);
    // Unflushed: that they rest is noted, nothing is closed.
    rest(&node);
    node.flush();
    let used: Vec<usize> = (0..48).filter(|index| index % 3 == 0).collect();
    for index in &used {
        let leader = node.partitions[*index].with_leader_in(LeaderEpoch::NONE, |_| ());
        leader.unwrap();
    }
    node.dir.open_files().make_room();
    assert_eq!(open(&node), used);
    // Not used since: now they go, too.
    node.dir.open_files().make_room();
    assert!(open(&node).is_empty());
}

#[test]
fn what_is_not_flushed_is_closed_last_and_is_synced_with_its_volume() {
    let node = node(40);
    node.flush();
    let unflushed = &node.partitions[..20];
    write(unflushed, Offset(2));
    node.dir.open_files().make_room();
    let left = open(&node);
    assert_eq!(left.len(), 40 - CLOSED_AT_ONCE);
    assert!(left.iter().all(|index| *index < 20), "{left:?}");
    for (index, partition) in unflushed.iter().enumerate() {
        let needs_volume = partition.with_leader(|leader| {
            let plan = leader.log_mut().begin_flush().unwrap().unwrap();
            leader.log_mut().give_up_flush();
            plan.needs_volume()
        });
        assert_eq!(needs_volume, Ok(!left.contains(&index)), "{index}");
    }
    node.flush();
    for partition in unflushed {
        let log = partition.with_leader(|leader| (leader.log().is_flushed(), append_end(leader)));
        assert_eq!(log, Ok((true, Offset(2))));
        // What was closed is opened again.
        assert_eq!(append(partition), Offset(3));
        assert!(has_files(partition));
    }
}

fn append_end(leader: &dohle_replication::Leader<crate::disk::NodeDisk>) -> Offset {
    leader.log().log_end_offset()
}

#[test]
fn a_log_that_somebody_is_at_is_passed_over() {
    let node = node(3);
    let at_work = node.partitions[1].state();
    node.dir.open_files().make_room();
    drop(at_work);
    assert_eq!(open(&node), [1]);
    node.dir.open_files().make_room();
    assert!(open(&node).is_empty());
}

#[test]
fn a_log_without_files_is_not_counted_among_those_that_are_closed() {
    let node = node(CLOSED_AT_ONCE as i32 + 8);
    for partition in &node.partitions[..8] {
        if let State::Led(leader) = &mut *partition.state() {
            leader.log_mut().release_files();
        }
    }
    node.dir.open_files().make_room();
    assert!(open(&node).is_empty());
}

#[test]
fn partitions_that_are_gone_leave_the_ring() {
    let files = OpenFiles::new(usize::MAX, || 0);
    let node = node(1);
    for _ in 0..100 {
        files.enter(Weak::new());
    }
    files.enter(Arc::downgrade(&node.partitions[0]));
    assert!(files.ring().len() < 10, "{files:?}");
}

#[test]
fn a_full_ring_is_not_looked_through_by_each_who_enters() {
    const ENTERED: usize = 10_000;
    let files = OpenFiles::new(usize::MAX, || 0);
    let node = node(1);
    let has_room = |ring: &VecDeque<_>| ring.len() < 1_000 || ring.len() + 1 < ring.capacity();
    while has_room(&files.ring()) {
        files.enter(Arc::downgrade(&node.partitions[0]));
    }
    // Each goes before the next one comes, and leaves one place.
    let mut looked_at = 0;
    for _ in 0..ENTERED {
        let before = files.ring().len();
        files.enter(Weak::new());
        if files.ring().len() <= before {
            looked_at += before;
        }
    }
    assert!((1..3 * ENTERED).contains(&looked_at), "{looked_at}");
}

#[test]
fn connections_have_their_handles() {
    let rows = [
        (20_000, 10_000, 2, 9_920),
        (20_000, 1_000, 2, 18_920),
        (20_000, 10_000, 64, 9_424),
        // Of few handles not all are reserved.
        (1_024, 512, 64, 384),
        (300, 150, 2, 86),
        (100, 50, 2, LIMIT_MIN),
        (usize::MAX, 0, 2, usize::MAX - 80),
    ];
    for (handles, connections_max, cores, limit) in rows {
        let files = OpenFiles::within(handles, connections_max, cores);
        assert_eq!(files.limit, limit, "{handles} on {cores}");
    }
}

#[test]
fn answers_that_hold_most_of_the_files_are_noticed() {
    let few_logs = OpenFiles::new(100, || 90);
    assert!(few_logs.are_held_by_others());
    assert!(!OpenFiles::new(200, || 90).are_held_by_others());
    let node = node(1);
    (0..60).for_each(|_| few_logs.enter(Arc::downgrade(&node.partitions[0])));
    assert!(!few_logs.are_held_by_others());
}

#[test]
fn logs_with_several_files_each_are_no_answers() {
    let files = OpenFiles::new(100, || 90);
    let node = node(1);
    (0..30).for_each(|_| files.enter(Arc::downgrade(&node.partitions[0])));
    assert!(files.are_held_by_others());
    // Those that were closed had three each: 30 logs have most of the 90.
    (0..10).for_each(|_| files.note_closed(CLOSED_AT_ONCE, 3 * CLOSED_AT_ONCE));
    assert!(!files.are_held_by_others());
    (0..20).for_each(|_| files.note_closed(CLOSED_AT_ONCE, CLOSED_AT_ONCE));
    assert!(files.are_held_by_others());
}

#[test]
fn what_a_closed_log_had_is_counted() {
    let files = node(CLOSED_AT_ONCE as i32);
    files.dir.open_files().make_room();
    assert!(open(&files).is_empty());
    // One file each, as was supposed.
    assert_eq!(files.dir.open_files().files_of_logs.load(Ordering::Relaxed), LOGS);
}
