//! Goal: the right fields of /proc and the right clock are read. Method: lines with known numbers, and this process.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{CpuTimes, Memory, machine_seconds};

#[test]
fn work_of_a_millisecond_shows_also_of_a_thread_that_has_ended() {
    let pid = std::process::id();
    let before = CpuTimes::now(Some(pid)).unwrap();
    let worked = thread::spawn(|| {
        let until = Instant::now() + Duration::from_millis(1);
        while Instant::now() < until {}
    });
    worked.join().unwrap();
    let used = CpuTimes::now(Some(pid)).unwrap().since(before);
    let broker = used.broker.unwrap();
    // Far less than a tick; other tests run in this process.
    assert!(broker > 0.0 && used.client >= broker / 2.0, "{used:?}");
    assert!((broker * 100.0).fract() > 1e-6, "{broker} is no number of ticks");
}

#[test]
fn idle_time_is_not_work_and_steal_is_apart() {
    let (busy, steal) =
        machine_seconds("cpu  100 100 100 5000 700 50 50 30 0 0\ncpu0 1\n").unwrap();
    assert_eq!((busy, steal), (4.0, 0.3));
    assert!(machine_seconds("cpu 1 2 3\n").is_err());
}

#[test]
fn this_process_is_found() {
    let pid = std::process::id();
    let memory = Memory::of(pid).unwrap();
    assert!(memory.resident >= memory.anonymous && memory.peak >= memory.resident);
    let times = CpuTimes::now(Some(pid)).unwrap();
    assert!(times.machine > 0.0);
    assert!(CpuTimes::now(Some(u32::MAX)).is_err());
}
