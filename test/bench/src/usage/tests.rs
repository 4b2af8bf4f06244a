//! Goal: the right fields of /proc are read. Method: lines with known numbers, and this process.

use super::{CpuTimes, Memory, machine_seconds, stat_seconds};

#[test]
fn user_and_system_time_are_added_whatever_the_name_is() {
    let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 1 0 100 0 0";
    assert_eq!(stat_seconds(line).unwrap(), 2.0);
    assert!(stat_seconds("7 (a) S 1").is_err());
    assert!(stat_seconds("").is_err());
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
