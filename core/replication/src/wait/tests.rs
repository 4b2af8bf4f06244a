//! Counting wakers stand for tasks.

use std::{
    sync::atomic::AtomicUsize,
    task::{Context, Wake},
};

use super::*;

#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(wait: &Arc<Wait>, counting: &Arc<Counting>) -> Poll<()> {
    let waker = Waker::from(counting.clone());
    Pin::new(&mut Satisfied(wait.clone())).poll(&mut Context::from_waker(&waker))
}

fn woken(counting: &Counting) -> usize {
    counting.0.load(Ordering::SeqCst)
}

#[test]
fn a_fetch_is_woken_once_when_enough_has_arrived() {
    let (wait, counting) = (Wait::new(100), Arc::new(Counting::default()));
    let (mut one, mut other) = (Waiting::default(), Waiting::default());
    one.park(&wait);
    other.park(&wait);
    assert_eq!(poll(&wait, &counting), Poll::Pending);
    one.arrived(60);
    assert_eq!((woken(&counting), poll(&wait, &counting)), (0, Poll::Pending));
    other.arrived(40);
    assert_eq!((woken(&counting), poll(&wait, &counting)), (1, Poll::Ready(())));
    one.arrived(1_000);
    assert_eq!(woken(&counting), 1, "a satisfied wait is not woken again");
}

#[test]
fn what_arrives_before_the_first_poll_counts() {
    let (wait, counting) = (Wait::new(1), Arc::new(Counting::default()));
    let mut waiting = Waiting::default();
    waiting.park(&wait);
    waiting.arrived(1);
    assert_eq!(poll(&wait, &counting), Poll::Ready(()));
}

#[test]
fn an_interruption_wakes_whatever_is_missing() {
    let (wait, counting) = (Wait::new(i64::MAX), Arc::new(Counting::default()));
    let mut waiting = Waiting::default();
    waiting.park(&wait);
    assert_eq!(poll(&wait, &counting), Poll::Pending);
    waiting.interrupt();
    assert_eq!((woken(&counting), poll(&wait, &counting)), (1, Poll::Ready(())));
}

#[test]
fn forgotten_waits_do_not_pile_up() {
    let mut waiting = Waiting::default();
    for _ in 0..10_000 {
        waiting.park(&Wait::new(1));
    }
    assert!(waiting.waits.len() <= SWEEP_AT_MIN, "{}", waiting.waits.len());
}

#[test]
fn a_park_costs_the_same_however_many_wait() {
    const COUNT: usize = 2_000;
    let (mut waiting, mut live, mut looks) = (Waiting::default(), Vec::new(), 0);
    for _ in 0..COUNT {
        let wait = Wait::new(1);
        // One that is forgotten at once goes in each sweep, which shows that there was one.
        for parked in [&wait, &Wait::new(1)] {
            let before = waiting.waits.len();
            waiting.park(parked);
            looks += if waiting.waits.len() <= before { before } else { 0 };
        }
        live.push(wait);
    }
    assert!(looks > 0 && looks <= 4 * COUNT, "{looks} looks at waits for {COUNT} that stay");
    assert!(waiting.waits.len() <= 2 * COUNT, "{}", waiting.waits.len());
    waiting.arrived(1);
    assert!(live.iter().all(|wait| wait.is_satisfied()));
    // The many are gone, and with them the reason to tolerate as many forgotten ones.
    for _ in 0..COUNT {
        waiting.park(&Wait::new(1));
    }
    assert!(waiting.waits.len() <= SWEEP_AT_MIN, "{}", waiting.waits.len());
}
