//! Goal: no message is early, late or left out on the schedule. Method: arithmetic on both of its
//! directions.

use std::time::{Duration, Instant};

use super::Schedule;

#[test]
fn what_is_due_at_a_time_is_due_by_it_and_not_before() {
    let start = Instant::now();
    for rate in [1, 3, 1_000, 20_000, 999_999] {
        let schedule = Schedule { start, rate };
        for message in [0, 1, 2, 1_000, 123_457] {
            // Both directions round down to whole nanoseconds.
            let due_at = schedule.due_at(message) + Duration::from_nanos(1);
            assert_eq!(schedule.due_by(due_at), message + 1, "message {message} at {rate}/s");
        }
        assert_eq!(schedule.due_by(start - Duration::from_secs(1)), 0);
    }
}
