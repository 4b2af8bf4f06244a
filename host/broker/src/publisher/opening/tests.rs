//! As many threads for each directory as are set.

use std::{
    sync::Condvar,
    time::{Duration, Instant},
};

use dohle_log::LogConfig;

use super::*;
use crate::{kit::kit, open_files::OpenFiles};

/// How many are acted on at once, of so many in each of two groups.
fn at_once(items: usize, threads: usize) -> usize {
    let (acting, changed) = (Mutex::new((0, 0)), Condvar::new());
    // Who acts stays until all threads that there may be act, or too many do.
    let end = Instant::now() + Duration::from_secs(20);
    let act = |_| {
        let mut state = acting.lock().unwrap();
        state.0 += 1;
        state.1 = state.0.max(state.1);
        changed.notify_all();
        while state.1 < 2 * threads.min(items) && Instant::now() < end {
            state = changed.wait_timeout(state, Duration::from_millis(10)).unwrap().0;
        }
        state.0 -= 1;
    };
    let all: Vec<_> = (0..2 * items).collect();
    let done = for_each_group(all, |item| Uuid(*item as u128 % 2), threads, act);
    assert_eq!(done.len(), 2 * items);
    acting.lock().unwrap().1
}

#[test]
fn so_many_threads_work_for_each_directory() {
    assert_eq!(at_once(20, 1), 2);
    assert_eq!(at_once(20, 3), 6);
    assert_eq!(at_once(2, 8), 4);
}

#[test]
fn the_number_of_threads_is_what_is_set() {
    let threads = |settings: &str| {
        let kit = kit(settings, OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
        kit.broker.threads_per_dir()
    };
    assert_eq!(threads(""), 2);
    assert_eq!(threads("num.recovery.threads.per.data.dir=5\n"), 5);
}
