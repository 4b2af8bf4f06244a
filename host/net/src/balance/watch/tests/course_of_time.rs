//! Goal: a load finds its place within a second, whatever was before. Method: threads that take from their connections
//! what those have to do, as far as there is time, in steps of 10 ms.

use super::*;

const STEP: Duration = Duration::from_millis(10);

struct Threads {
    now: Instant,
    threads: Vec<(Watch, Work)>,
    connections: Vec<Simulated>,
    moves: usize,
}

struct Simulated {
    thread: usize,
    stay: Stay,
    /// The share of a thread that it needs.
    share: f64,
}

impl Threads {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let work = Work { busy: Duration::ZERO, rests: true };
        let begin = |thread| (Watch::begin(thread, std::iter::repeat_n(work, count), now), work);
        let threads = (0..count).map(begin).collect();
        Self { now, threads, connections: Vec::new(), moves: 0 }
    }

    /// Connections that are accepted at once, and need so much of a thread each.
    fn accept(&mut self, count: usize, share: f64) {
        let works: Vec<_> = self.threads.iter().map(|(_, work)| *work).collect();
        for _ in 0..count {
            let watch = &mut self.threads[0].0;
            watch.look(self.now, works.iter().copied());
            let (thread, stay) = (watch.deal(), Stay::begin(true, self.now));
            self.connections.push(Simulated { thread, stay, share });
        }
    }

    fn all_need(&mut self, share: f64) {
        self.connections.iter_mut().for_each(|connection| connection.share = share);
    }

    fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.now += STEP;
            for thread in 0..self.threads.len() {
                let share = self.needed(thread).min(1.0);
                self.threads[thread].1.busy += STEP.mul_f64(share);
            }
            let works: Vec<_> = self.threads.iter().map(|(_, work)| *work).collect();
            for connection in self.connections.iter_mut().filter(|one| one.share > 0.0) {
                let watch = &mut self.threads[connection.thread].0;
                watch.look(self.now, works.iter().copied());
                if watch.is_due(&mut connection.stay, self.now)
                    && let Some(to) = watch.way()
                {
                    watch.gone();
                    connection.thread = to;
                    connection.stay = Stay::begin(false, self.now);
                    self.moves += 1;
                }
            }
        }
    }

    /// What the connections of a thread need together.
    fn needed(&self, thread: usize) -> f64 {
        let here = self.connections.iter().filter(|connection| connection.thread == thread);
        here.map(|connection| connection.share).sum()
    }

    /// How many connections that have anything to do each thread has.
    fn at_work(&self) -> Vec<usize> {
        let at = |thread| move |one: &&Simulated| one.thread == thread && one.share > 0.0;
        let count = |thread| self.connections.iter().filter(at(thread)).count();
        (0..self.threads.len()).map(count).collect()
    }
}

#[test]
fn a_load_for_one_thread_begins_on_one_and_stays() {
    let mut threads = Threads::new(4);
    threads.accept(1, 0.0);
    threads.accept(2, 0.3);
    assert_eq!(threads.at_work(), [2, 0, 0, 0]);
    threads.run(Duration::from_secs(5));
    assert_eq!((threads.at_work(), threads.moves), (vec![2, 0, 0, 0], 0));
}

#[test]
fn a_load_for_all_threads_that_begins_at_once_has_them_soon() {
    let mut threads = Threads::new(2);
    threads.accept(4, 0.5);
    assert_eq!(threads.at_work(), [4, 0]);
    threads.run(Duration::from_millis(200));
    assert_eq!(threads.at_work(), [2, 2]);
    threads.run(Duration::from_secs(5));
    assert_eq!((threads.at_work(), threads.moves), (vec![2, 2], 2));
}

#[test]
fn of_many_that_come_at_once_each_thread_gets_as_many() {
    let mut threads = Threads::new(4);
    threads.accept(64, 0.04);
    threads.run(Duration::from_secs(5));
    assert_eq!((threads.at_work(), threads.moves), (vec![16, 16, 16, 16], 0));
}

#[test]
fn new_ones_keep_clear_of_a_thread_that_is_busy() {
    let mut threads = Threads::new(3);
    threads.accept(1, 1.0);
    threads.run(Duration::from_millis(100));
    threads.accept(2, 0.1);
    threads.run(Duration::from_secs(5));
    assert_eq!((threads.at_work(), threads.moves), (vec![1, 2, 0], 0));
}

#[test]
fn a_load_that_rises_and_falls_has_its_place_in_about_a_second() {
    let mut threads = Threads::new(2);
    threads.accept(6, 0.01);
    threads.run(Duration::from_secs(2));
    assert_eq!(threads.at_work(), [6, 0]);
    threads.all_need(0.25);
    threads.run(Duration::from_millis(200));
    assert_eq!(threads.at_work(), [3, 3]);
    threads.all_need(0.01);
    threads.run(Duration::from_millis(1_200));
    assert_eq!(threads.at_work(), [6, 0]);
}

#[test]
fn those_that_are_idle_take_nobody_s_place() {
    let mut threads = Threads::new(2);
    threads.accept(9_000, 0.0);
    threads.run(LOOK_INTERVAL);
    threads.accept(2, 0.2);
    threads.run(Duration::from_secs(5));
    assert_eq!((threads.at_work(), threads.moves), (vec![2, 0], 0));
}
