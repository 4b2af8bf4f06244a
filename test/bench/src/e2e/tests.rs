//! Goal: no message is early, late or left out on the schedule. Method: arithmetic on both of its
//! directions.

use std::time::{Duration, Instant};

use super::{Counted, Schedule, Tally};

#[test]
fn what_is_due_at_a_time_is_due_by_it_and_not_before() {
    let start = Instant::now();
    for rate in [1, 3, 1_000, 20_000, 999_999] {
        let schedule = Schedule { start, rate, counted: Counted::NOTHING_YET };
        for message in [0, 1, 2, 1_000, 123_457] {
            // Both directions round down to whole nanoseconds.
            let due_at = schedule.due_at(message) + Duration::from_nanos(1);
            assert_eq!(schedule.due_by(due_at), message + 1, "message {message} at {rate}/s");
        }
        assert_eq!(schedule.due_by(start - Duration::from_secs(1)), 0);
    }
}

#[test]
fn a_message_counts_if_it_was_due_in_the_phase_whenever_it_comes() {
    let start = Instant::now();
    let schedule = Schedule { start, rate: 1_000, counted: Counted { start: 10, end: 20 } };
    assert_eq!(schedule.due_by(start + Duration::from_secs(9)), 20, "nothing is due behind it");
    let mut tally = Tally::new();
    tally.back(12, schedule, start + Duration::from_millis(12));
    assert_eq!(tally.latencies.report()["count"], 2);
    // A stall of a second at its end.
    tally.back(25, schedule, start + Duration::from_millis(1_019));
    let report = tally.latencies.report();
    assert_eq!(report["count"], 10);
    assert!(report["p50"].as_u64().unwrap() >= 999_000, "{report}");
    tally.back(30, schedule, start + Duration::from_secs(2));
    assert_eq!(tally.latencies.report()["count"], 10);
}
