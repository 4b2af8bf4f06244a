//! Goal: connections are together while little is to do, apart while there is much, and stay in between.
//! Method: shares of the time made up, and what each thread would do about them.

use super::*;

const STAY: Course = Course { to: 0, connections: 0 };

/// All that take a turn.
const ALL: usize = usize::MAX;

#[test]
fn threads_with_little_to_do_join_one_before_them() {
    assert_eq!(course(1, &[0.1, 0.1], 3), Course { to: 0, connections: ALL });
    assert_eq!(course(0, &[0.1, 0.1], 3), STAY, "nobody is before it");
    assert_eq!(course(2, &[0.35, 0.2, 0.1], 3), Course { to: 1, connections: ALL });
    assert_eq!(course(1, &[0.3, 0.3], 3), STAY, "together it would be much");
}

#[test]
fn a_thread_with_too_much_to_do_gives_the_idlest_what_makes_both_alike() {
    assert_eq!(course(0, &[1.0, 0.0], 8), Course { to: 1, connections: 4 });
    assert_eq!(course(0, &[0.8, 0.3, 0.2], 8), Course { to: 2, connections: 3 });
    assert_eq!(course(1, &[0.0, 0.9], 2), Course { to: 0, connections: 1 });
    assert_eq!(course(0, &[0.7, 0.0], 8), STAY, "that is not too much yet");
}

#[test]
fn what_would_help_nobody_is_not_done() {
    assert_eq!(course(0, &[1.0, 0.6], 8), STAY, "the other has enough to do itself");
    assert_eq!(course(0, &[1.0, 0.0], 1), STAY, "one connection is as much of a load elsewhere");
    assert_eq!(course(0, &[1.0], 8), STAY);
}

#[test]
fn what_was_joined_is_not_relieved_at_once() {
    for share in 0..=100 {
        for other in 0..=100 {
            let shares = [f64::from(share) / 100.0, f64::from(other) / 100.0];
            if course(1, &shares, 9) == (Course { to: 0, connections: ALL }) {
                let joined = [shares[0] + shares[1], 0.0];
                assert_eq!(course(0, &joined, 9), STAY, "{shares:?}");
            }
        }
    }
}
