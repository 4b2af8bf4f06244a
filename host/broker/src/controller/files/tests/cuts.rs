//! Topics, snapshots and removals, with the power cut or an error at each disk call in turn.

use dohle_log::sim::{
    Faults, SimDisk,
    cuts::{Fault, Run, at_each_call},
};

use super::stage::*;
use super::*;

/// Topics, snapshots and removals; then the node is started anew, and goes on.
struct Shortening;

#[derive(Default)]
struct Told {
    answered: usize,
    asked: usize,
}

impl Run for Shortening {
    type Told = Told;

    fn disk(&self) -> SimDisk {
        formatted()
    }

    fn run(&self, disk: &SimDisk, told: &mut Told) -> Result<(), String> {
        shorten(disk, told).map_err(|error| error.to_string())
    }

    fn restart(&self, disk: &SimDisk, _told: &Self::Told) {
        // Whether it starts is for `check` to say.
        let _ = Running::start(disk, &settings(), 100_000);
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        check_for_kafka(disk)?;
        // Each start draws other ids.
        let again = Running::start(disk, &settings(), 200_000 + disk.changes());
        let mut node = again.map_err(|error| error.to_string())?;
        // A check before may have left its own.
        let topics = node.topics().into_iter().filter(|topic| topic.starts_with("topic-"));
        let topics = topics.collect::<Vec<_>>();
        let expected = (0..topics.len()).map(name).collect::<Vec<_>>();
        if topics != expected || !(told.answered..=told.asked).contains(&topics.len()) {
            return Err(format!("{} answered, {} asked: {topics:?}", told.answered, told.asked));
        }
        let goes_on = node.create(&format!("another-{}", node.node.raft().log_end()));
        goes_on.and_then(|()| node.clean()).map_err(|error| error.to_string())?;
        check_for_kafka(disk)
    }
}

fn shorten(disk: &SimDisk, told: &mut Told) -> Result<(), FilesError> {
    for life in 1..=2 {
        let mut node = Running::start(disk, &settings(), life * 10_000)?;
        for _ in 0..10 {
            told.asked += 1;
            node.create(&name(told.answered))?;
            told.answered += 1;
            if told.answered.is_multiple_of(3) {
                node.clean()?;
            }
        }
        node.clean()?;
    }
    Ok(())
}

#[test]
fn a_power_cut_after_any_call_loses_nothing() {
    let whole = formatted();
    shorten(&whole, &mut Told::default()).unwrap();
    let (bases, ends) = (bases(&whole), ends(&whole));
    assert!(bases[0] > 0 && ends[0] > 0, "{bases:?}, {ends:?}");
    let calls = at_each_call(&Shortening, Fault::PowerCut, &[0, 1, 2]);
    let calls = calls.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(calls > 150, "{calls}");
}

#[test]
fn nor_does_an_error_at_any_call() {
    for fault in [Fault::ChangeError, Fault::ChangeFull, Fault::ReadError] {
        at_each_call(&Shortening, fault, &[2]).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

#[test]
fn what_could_not_be_removed_is_removed_the_next_time() {
    let whole = formatted();
    let removals = removals_with(&whole, None);
    assert!(removals.end - removals.start > 5, "{removals:?}");
    // The state of producers before a segment may go with the next segment.
    let but_snapshots = |disk: &SimDisk| {
        let names = names(disk).into_iter();
        names.filter(|name| !name.ends_with(".snapshot")).collect::<Vec<_>>()
    };
    let gone = but_snapshots(&whole);
    for call in removals {
        let disk = formatted();
        removals_with(&disk, Some(call));
        assert_eq!(but_snapshots(&disk), gone, "error at call {call}");
    }
}

/// Shortens a log once, with an error at one call, and then again; the calls of the first time.
fn removals_with(disk: &SimDisk, io_error_at: Option<u64>) -> std::ops::Range<u64> {
    let mut node = Running::start(disk, &settings(), 1).unwrap();
    (0..20).for_each(|index| node.create(&name(index)).unwrap());
    let before = disk.changes();
    disk.set_faults(Faults { io_error_at, ..Faults::default() });
    let cleaned = node.clean();
    let calls = before + 1..disk.changes() + 1;
    match cleaned {
        Err(error) => assert!(io_error_at.is_some() && !error.may_pass(), "{error}"),
        Ok(()) => assert!(io_error_at.is_none()),
    }
    disk.set_faults(Faults::default());
    node.clean().unwrap();
    node.clean().unwrap();
    calls
}
