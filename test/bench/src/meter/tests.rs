//! Goal: nothing of the warm-up is in the result. Method: phases bounded by requests.

use std::time::{Duration, Instant};

use super::Meter;
use crate::cli::Phases;

#[test]
fn only_the_second_phase_is_reported() {
    let phases = Phases {
        warm_up_seconds: Duration::MAX,
        warm_up_requests: 10,
        seconds: Duration::MAX,
        requests: 5,
    };
    let mut meter = Meter::start(&phases, Some(std::process::id()));
    meter.count(9, 900);
    assert!(meter.turn(Instant::now()).unwrap().is_none());
    assert!(!meter.measuring());
    meter.count(1, 100);
    assert!(meter.turn(Instant::now()).unwrap().is_none());
    assert!(meter.measuring());
    meter.count(4, 4_000);
    assert!(meter.turn(Instant::now()).unwrap().is_none());
    meter.count(2, 2_000);
    let measured = meter.turn(Instant::now()).unwrap().expect("both phases are over");
    assert_eq!((measured.requests, measured.bytes), (6, 6_000));
    assert!(!meter.measuring(), "the rest counts nowhere");
    assert!(measured.cpu.broker.is_some() && measured.memory.resident > 0);
}

#[test]
fn time_ends_a_phase_as_well() {
    let phases = Phases {
        warm_up_seconds: Duration::ZERO,
        warm_up_requests: u64::MAX,
        seconds: Duration::ZERO,
        requests: u64::MAX,
    };
    let mut meter = Meter::start(&phases, None);
    assert!(meter.turn(Instant::now()).unwrap().is_none());
    assert!(meter.turn(Instant::now()).unwrap().is_some());
}
