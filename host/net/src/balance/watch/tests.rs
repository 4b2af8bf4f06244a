//! Goal: connections are together while little is to do, apart while there is much, and stay in between.
//! Method: shares of the time made up, and what each thread would do about them; threads that are simulated.

use super::*;

mod course_of_time;

const STAY: Course = Course { to: 0, connections: 0 };

fn to(to: usize, connections: usize) -> Course {
    Course { to, connections }
}

/// Whether nothing moves, wherever it would have gone.
fn stays(course: Course) -> bool {
    course.connections == 0
}

#[test]
fn a_thread_with_little_to_do_joins_one_before_it() {
    assert_eq!(course(1, &[0.1, 0.1], 3), to(0, ALL));
    assert_eq!(course(0, &[0.1, 0.1], 3), STAY, "nobody is before it");
    assert_eq!(course(2, &[0.35, 0.2, 0.1], 3), to(1, ALL));
    assert_eq!(course(1, &[0.3, 0.3], 3), STAY, "together it would be much");
}

#[test]
fn a_thread_with_too_much_to_do_gives_the_idlest_what_makes_both_alike() {
    assert_eq!(course(0, &[1.0, 0.0], 8), to(1, 4));
    assert_eq!(course(0, &[0.8, 0.3, 0.2], 8), to(2, 3));
    assert_eq!(course(1, &[0.0, 0.9], 2), to(0, 1));
    assert_eq!(course(0, &[1.0, 0.5], 8), to(1, 2));
    assert!(stays(course(0, &[0.7, 0.0], 8)), "that is not too much yet");
}

#[test]
fn what_would_help_nobody_is_not_done() {
    assert!(stays(course(0, &[1.0, 0.8], 8)), "the other has enough to do itself");
    assert!(stays(course(0, &[1.0, 0.0], 1)), "one connection is as much of a load elsewhere");
    assert!(stays(course(0, &[0.8, 0.5], 2)), "it would be relieved of too much");
    assert!(stays(course(0, &[1.0], 8)));
}

#[test]
fn of_all_that_could_one_acts() {
    let shares = [0.05, 0.3, 0.3, 0.3, 0.3];
    let join: Vec<_> = (0..5).map(|thread| course(thread, &shares, 9)).collect();
    assert_eq!(join, [STAY, STAY, STAY, STAY, to(0, ALL)]);
    let shares = [1.0, 1.0, 0.9, 0.1];
    let relieve: Vec<_> = (0..4).map(|thread| stays(course(thread, &shares, 8))).collect();
    assert_eq!(relieve, [false, true, true, true]);
}

/// Whatever the threads have to do: after all of them have acted on it, none has so much more that it must be
/// relieved of what it was just given.
#[test]
fn what_was_moved_does_not_move_back() {
    let levels = [0.0, 0.05, 0.15, 0.2, 0.3, 0.37, 0.4, 0.6, 0.74, 0.76, 0.9, 1.0];
    let count = levels.len();
    for number in 0..count.pow(4) {
        let before: Vec<f64> = (0..4).map(|at| levels[number / count.pow(at) % count]).collect();
        let mut after = before.clone();
        for thread in 0..4 {
            let Course { to, connections } = course(thread, &before, 8);
            let given = before[thread] * connections.min(8) as f64 / 8.0;
            after[thread] -= given;
            after[to] += given;
        }
        for thread in 0..4 {
            let Course { to, connections } = course(thread, &after, 8);
            let was_given = after[thread] > before[thread];
            let gave = after[to] < before[to];
            assert!(!(was_given && gave) || connections == 0, "{before:?}, then {after:?}");
        }
    }
}

#[test]
fn who_is_at_something_since_the_last_look_is_busy() {
    let (second, half) = (Duration::from_secs(1), Duration::from_millis(500));
    let share = |busy, rests| Work { busy, rests }.share(second, second);
    assert_eq!(share(second, true), 0.0);
    assert_eq!(share(second, false), 1.0, "a sync of which the runtime knows nothing yet");
    assert_eq!(share(second + half, false), 0.5);
    assert_eq!(share(second * 20, true), 1.0, "that of an earlier window, too");
}

#[test]
fn one_quiet_window_may_be_chance() {
    let (mut busy, mut now) = (Duration::ZERO, Instant::now());
    let works = |own| [Duration::ZERO, own].map(|busy| Work { busy, rests: true }).into_iter();
    let mut watch = Watch::begin(1, works(busy), now);
    let ways = [0.1, 0.5, 0.1, 0.1].map(|share| {
        now += LOOK_INTERVAL;
        busy += LOOK_INTERVAL.mul_f64(share);
        watch.look(now, works(busy));
        watch.way()
    });
    assert_eq!(ways, [None, None, None, Some(0)]);
}
