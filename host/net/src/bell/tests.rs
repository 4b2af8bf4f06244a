//! Nobody's wake-up is lost, and many cost one ring.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

struct Thread {
    bell: Arc<Bell>,
    rung: Arc<Count>,
    tasks: Vec<Arc<Count>>,
    connections: Vec<Waker>,
}

/// A thread with two connections, whose bell's task is asleep.
fn thread() -> Thread {
    let bell = Bell::here();
    let tasks = vec![Arc::<Count>::default(), Arc::default()];
    let connections = tasks.iter().map(|task| connection_waker(&bell, &Arc::clone(task).into()));
    let thread = Thread { rung: Arc::default(), connections: connections.collect(), tasks, bell };
    thread.turn();
    thread
}

impl Thread {
    /// Its bell's task runs.
    fn turn(&self) {
        let task = Waker::from(Arc::clone(&self.rung));
        assert!(self.bell.poll(&Context::from_waker(&task)).is_pending());
    }

    fn woken(&self) -> Vec<usize> {
        self.tasks.iter().map(|task| task.0.load(Ordering::Acquire)).collect()
    }

    fn rung(&self) -> usize {
        self.rung.0.load(Ordering::Acquire)
    }
}

fn elsewhere(act: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap());
}

#[test]
fn on_its_own_thread_a_connection_is_woken_at_once() {
    let thread = thread();
    wake_together(|| {
        thread.connections[0].wake_by_ref();
        assert_eq!(thread.woken(), [1, 0]);
    });
    assert_eq!(thread.rung(), 0);
}

#[test]
fn what_is_woken_before_the_thread_has_looked_is_rung_for_once() {
    let thread = thread();
    elsewhere(|| {
        thread.connections[0].wake_by_ref();
        thread.connections[1].wake_by_ref();
    });
    assert_eq!((thread.rung(), thread.woken()), (1, vec![0, 0]));
    thread.turn();
    assert_eq!(thread.woken(), [1, 1]);
    elsewhere(|| thread.connections[1].wake_by_ref());
    assert_eq!(thread.rung(), 2);
    thread.turn();
    assert_eq!(thread.woken(), [1, 2]);
}

#[test]
fn what_is_woken_together_is_rung_for_at_the_end() {
    let (one, other) = (thread(), thread());
    elsewhere(|| {
        wake_together(|| {
            one.connections[0].wake_by_ref();
            wake_together(|| other.connections[0].wake_by_ref());
            one.connections[1].wake_by_ref();
            assert_eq!((one.rung(), other.rung()), (0, 0));
        });
    });
    assert_eq!((one.rung(), other.rung()), (1, 1));
    one.turn();
    other.turn();
    assert_eq!((one.woken(), other.woken()), (vec![1, 1], vec![1, 0]));
}

#[test]
fn a_panic_rings_too() {
    let thread = thread();
    elsewhere(|| {
        let panicked = std::panic::catch_unwind(|| {
            wake_together(|| {
                thread.connections[0].wake_by_ref();
                panic!("as if by a bug");
            })
        });
        assert!(panicked.is_err());
    });
    assert_eq!(thread.rung(), 1);
}
