//! A machine that adds numbers shows the order of things: logged, applied, and shown only when
//! committed.

use super::*;

#[derive(Default)]
struct Sum {
    total: i64,
}

enum Command {
    Add(i64),
    Read,
}

impl Machine for Sum {
    type Command = Command;
    type Record = i64;
    type Effect = i64;
    type Session = u32;
    type Soft = ();

    fn decide(&self, _: &u32, _: Now, command: Command) -> Decision<i64, (), i64> {
        match command {
            Command::Add(n) => {
                Decision { records: vec![n], soft: vec![()], effects: vec![self.total + n] }
            }
            Command::Read => Decision::effect(self.total),
        }
    }

    fn tick(&self, _: &u32, _: Now) -> Decision<i64, (), i64> {
        Decision::default()
    }

    fn apply(&mut self, _: Offset, record: &i64) {
        self.total += record;
    }

    fn apply_soft(&self, session: &mut u32, _: Now, (): ()) {
        *session += 1;
    }

    fn deadline(&self, _: &u32) -> Option<Instant> {
        None
    }
}

#[derive(Default)]
struct Log {
    records: Vec<i64>,
    full: bool,
}

impl Journal<i64> for Log {
    type Error = &'static str;

    fn append(&mut self, records: &[i64]) -> Result<Offset, &'static str> {
        if self.full {
            return Err("full");
        }
        let first = Offset(self.records.len() as i64);
        self.records.extend(records);
        Ok(first)
    }
}

#[test]
fn effects_wait_for_the_high_watermark() {
    let (mut runtime, mut log) = (Runtime::<Sum>::default(), Log::default());
    runtime.handle(Now::default(), Command::Add(5), &mut log).unwrap();
    assert_eq!(runtime.machine().total, 5, "applied as soon as it is in the log");
    assert_eq!(runtime.poll_effect(), None);
    runtime.handle_high_watermark(Offset(1));
    assert_eq!(runtime.poll_effect(), Some(5));
    assert_eq!(runtime.poll_effect(), None);
}

#[test]
fn a_read_waits_for_what_it_saw() {
    let (mut runtime, mut log) = (Runtime::<Sum>::default(), Log::default());
    runtime.handle(Now::default(), Command::Add(5), &mut log).unwrap();
    runtime.handle(Now::default(), Command::Read, &mut log).unwrap();
    assert_eq!(runtime.poll_effect(), None);
    runtime.handle_high_watermark(Offset(1));
    assert_eq!([runtime.poll_effect(), runtime.poll_effect()], [Some(5), Some(5)]);
    runtime.handle(Now::default(), Command::Read, &mut log).unwrap();
    assert_eq!(runtime.poll_effect(), Some(5), "nothing uncommitted was seen");
}

#[test]
fn an_effect_that_waits_for_too_long_is_given_up_and_what_it_rests_on_is_not() {
    let (mut runtime, mut log) = (Runtime::<Sum>::default(), Log::default());
    assert_eq!(runtime.held_since(), None);
    let at = |ns| Now { instant: Instant(ns), ..Now::default() };
    for (ns, n) in [(10, 1), (20, 2), (30, 4)] {
        runtime.handle(at(ns), Command::Add(n), &mut log).unwrap();
    }
    assert_eq!(runtime.held_since(), Some(Instant(10)));
    let limit = Duration::from_nanos(5);
    let overdue = [24, 25, 25].map(|ns| runtime.poll_overdue(Instant(ns), limit));
    assert_eq!(overdue, [Some(1), Some(3), None]);
    assert_eq!((runtime.held_since(), runtime.awaited()), (Some(Instant(30)), Some(Offset(3))));
    assert_eq!(runtime.machine().total, 7);
    runtime.handle_high_watermark(Offset(3));
    assert_eq!(runtime.poll_effect(), Some(7));
}

#[test]
fn a_refused_append_changes_nothing() {
    let mut runtime = Runtime::<Sum>::default();
    let mut log = Log { full: true, ..Log::default() };
    let rejected = runtime.handle(Now::default(), Command::Add(5), &mut log).unwrap_err();
    assert_eq!((rejected.error, rejected.effects), ("full", vec![5]));
    assert_eq!((runtime.machine().total, *runtime.session()), (0, 0));
}

#[test]
fn replay_leads_to_the_same_state() {
    let (mut live, mut log) = (Runtime::<Sum>::default(), Log::default());
    for n in [3, -1, 7] {
        live.handle(Now::default(), Command::Add(n), &mut log).unwrap();
    }
    let mut again = Runtime::<Sum>::default();
    for (offset, record) in (0..).zip(&log.records) {
        again.replay(Offset(offset), record);
    }
    assert_eq!(again.machine().total, live.machine().total);
    assert_eq!(again.applied_end(), live.applied_end());
}
