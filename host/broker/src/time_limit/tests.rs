//! A request waits as long as it may, and not longer; the timer is set once for many.

use std::{future::pending, time::Duration};

use tokio::{
    runtime::{Builder, LocalOptions},
    task::yield_now,
    time::{sleep, timeout},
};

use super::*;

/// Runs on a thread with a clock whose time passes when nobody has anything to do.
fn on_a_thread(test: impl Future<Output = ()>) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.unwrap().block_on(async {
        start_clock();
        yield_now().await;
        test.await;
    });
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_does_not_end_is_over_at_its_limit() {
    on_a_thread(async {
        let began = Instant::now();
        for seconds in [3, 1, 2] {
            let limit = Instant::now() + seconds * SECOND;
            assert_eq!(within(limit, pending::<()>()).await, None);
            assert!(Instant::now() - limit < SECOND / 100);
        }
        assert_eq!((Instant::now() - began).as_secs(), 6);
        // What is over already is asked once.
        assert_eq!(within(began, async { 5 }).await, Some(5));
        assert_eq!(within(began, pending::<()>()).await, None);
    });
}

#[test]
fn limits_that_come_in_any_order_are_all_kept() {
    on_a_thread(async {
        let began = Instant::now();
        let waits = [5_u32, 1, 4, 2, 3, 1].map(|seconds| {
            spawn_local(async move {
                // One that ends in time goes before it.
                let short = within(began + seconds * SECOND / 2, sleep(SECOND / 4)).await;
                assert!(short.is_some());
                within(began + seconds * SECOND, pending::<()>()).await;
                (Instant::now() - began).as_millis() / 1_000 == u128::from(seconds)
            })
        });
        for wait in waits {
            assert!(wait.await.unwrap());
        }
    });
}

#[test]
fn the_timer_stays_set_for_those_that_follow() {
    on_a_thread(async {
        let due = || CLOCK.with_borrow(|clock| clock.due);
        let first = Instant::now() + 30 * SECOND;
        assert!(within(first, yield_now()).await.is_some());
        for seconds in 31..40_u32 {
            assert!(within(Instant::now() + seconds * SECOND, yield_now()).await.is_some());
            assert_eq!(due(), Some(first));
        }
        assert!(CLOCK.with_borrow(|clock| clock.limits.is_empty()));
        // Once it has fired it is not set any more: an idle thread sleeps.
        sleep(40 * SECOND).await;
        assert_eq!(due(), None);
    });
}

#[test]
fn threads_without_a_clock_have_a_timer_for_each() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let limit = Instant::now() + SECOND;
        assert_eq!(timeout(2 * SECOND, within(limit, pending::<()>())).await, Ok(None));
    });
}
