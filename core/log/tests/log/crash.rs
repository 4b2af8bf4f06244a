//! Whatever call the power is cut behind, the log that is opened next has all that was flushed, and
//! nothing that was not appended.
//!
//! Method: a run of appends, rolls, flushes and cuts is repeated and cut after each of its disk
//! calls in turn, several times with other luck about what the disk keeps. The log is opened as
//! the checkpoint that survived says. A log that opens must be a prefix of what was appended, not
//! shorter than what was flushed, and go on; one that does not must name damage with valid data
//! behind it, which only what was not flushed may have.

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{
    AppendError, Log, LogError, OnDamage, OpenLog, Origin,
    sim::{Faults, SimDisk},
};

use crate::kit::*;

/// What a run has been told is so.
#[derive(Clone, Debug, Default)]
struct Told {
    /// The values in the log, by offset.
    values: Vec<String>,
    /// Values that an append which failed may have left.
    maybe: Vec<String>,
    /// How many of the values are durable.
    flushed: usize,
}

fn fails(error: AppendError) -> LogError {
    match error {
        AppendError::Log(error) => error,
        other => panic!("not the disk's fault: {other}"),
    }
}

impl Told {
    fn append(&mut self, log: &mut Log<SimDisk>, count: usize, epoch: i32) -> Result<(), LogError> {
        let start = self.values.len();
        let mut spec = records(count);
        spec.values = (start..start + count).map(|index| format!("{epoch}: {index}")).collect();
        self.maybe = spec.values.clone();
        log.append_as_leader(&spec.bytes(), LeaderEpoch(epoch), Origin::Client, NOW)
            .map_err(fails)?;
        self.values.append(&mut self.maybe);
        Ok(())
    }

    fn flush(&mut self, log: &mut Log<SimDisk>) -> Result<(), LogError> {
        log.flush()?;
        self.flushed = log.recovery_point().0 as usize;
        assert_eq!(self.flushed, self.values.len());
        Ok(())
    }
}

/// Everything that a log does on a disk.
fn run(disk: &SimDisk, told: &mut Told) -> Result<(), LogError> {
    let mut log = open(disk, small())?;
    for step in 0..12 {
        told.append(&mut log, 1 + step % 4, 0)?;
        if step % 5 == 4 {
            told.flush(&mut log)?;
        }
    }
    log.begin_leader_epoch(LeaderEpoch(1))?;
    told.append(&mut log, 3, 1)?;
    log.roll(NOW)?;
    told.append(&mut log, 2, 1)?;
    told.flush(&mut log)?;
    let kept = told.values.len() - 4;
    // From here on what is behind may be gone.
    told.flushed = kept - 1;
    let end = log.truncate_to(Offset(kept as i64), NOW)?.0 as usize;
    told.values.truncate(end);
    told.flushed = end;
    for _ in 0..4 {
        told.append(&mut log, 5, 2)?;
    }
    told.flush(&mut log)?;
    told.append(&mut log, 2, 2)?;
    log.close()?;
    told.flushed = told.values.len();
    Ok(())
}

/// Opens what is left and holds it against what the run was told.
fn check(disk: &SimDisk, told: &Told, before: &[String], context: &str) {
    // The checkpoint is written after a flush, so it never says more than was flushed.
    for recovery_point in [0, told.flushed as i64] {
        let disk = disk.fork();
        let recovery_point = Offset(recovery_point);
        let how = OpenLog { recovery_point, ..OpenLog::default() };
        let mut log = match open_how(&disk, small(), how) {
            Ok(log) => log,
            Err(LogError::Corrupt(corruption)) => {
                assert!(corruption.valid_at.is_some(), "{context}: {corruption}");
                let how = OpenLog { on_damage: OnDamage::Cut, ..how };
                open_how(&disk, small(), how).unwrap_or_else(|e| panic!("{context}: {e}"))
            }
            Err(error) => panic!("{context}: {error}"),
        };
        let read = read_values(&mut log);
        assert!(read.len() >= told.flushed, "{context}: {} of {}", read.len(), told.flushed);
        for (index, (offset, value)) in read.iter().enumerate() {
            assert_eq!(*offset, index as i64, "{context}");
            let appended = told.values.iter().chain(&told.maybe).nth(index);
            let known = appended == Some(value) || before.get(index) == Some(value);
            assert!(known, "{context}: {value} at {index}, {told:?}");
        }
        assert_eq!(log.log_end_offset(), Offset(read.len() as i64), "{context}");
        let epoch = log.latest_epoch().0.max(3);
        log.append_as_leader(&records(1).bytes(), LeaderEpoch(epoch), Origin::Client, NOW)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let end = log.close().unwrap_or_else(|error| panic!("{context}: {error}"));
        disk.restart(0);
        let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
        let log = open_how(&disk, small(), how).unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!((log.log_end_offset(), log.recovery().segments_scanned), (end, 0), "{context}");
    }
}

#[test]
fn a_power_cut_after_any_call_loses_nothing_that_was_flushed() {
    let whole = disk();
    let mut all = Told::default();
    run(&whole, &mut all).unwrap();
    let calls = whole.changes();
    assert!(calls > 100, "{calls}");
    for power_after in 0..=calls {
        for seed in 0..8 {
            let disk = disk();
            disk.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
            let mut told = Told::default();
            let done = run(&disk, &mut told);
            assert_eq!(done.is_ok(), power_after == calls);
            let before = epoch_one_values(&told);
            disk.restart(seed);
            check(&disk, &told, &before, &format!("after call {power_after} with seed {seed}"));
        }
    }
}

/// What was at the end before the log was cut, should the cut not have reached the disk.
fn epoch_one_values(told: &Told) -> Vec<String> {
    let mut values = told.values.clone();
    for index in values.len()..values.len() + 8 {
        values.push(format!("1: {index}"));
    }
    values
}

#[test]
fn an_error_at_any_call_loses_nothing_that_was_flushed() {
    let whole = disk();
    run(&whole, &mut Told::default()).unwrap();
    for io_error_at in 1..=whole.changes() {
        let disk = disk();
        disk.set_faults(Faults { io_error_at: Some(io_error_at), ..Faults::default() });
        let mut told = Told::default();
        // The run ends at the error, as a directory does that is dead.
        run(&disk, &mut told).unwrap_err();
        let before = epoch_one_values(&told);
        disk.restart(io_error_at % 4);
        check(&disk, &told, &before, &format!("error at call {io_error_at}"));
    }
}

#[test]
fn a_disk_that_is_full_anywhere_loses_nothing() {
    for bytes_free in (0..6_000).step_by(41) {
        let disk = disk();
        disk.set_faults(Faults { bytes_free: Some(bytes_free), ..Faults::default() });
        let mut told = Told::default();
        let done = run(&disk, &mut told);
        if let Err(LogError::Io(error)) = &done {
            assert!(error.is_full(), "{error}");
        }
        let before = epoch_one_values(&told);
        disk.restart(1);
        check(&disk, &told, &before, &format!("with {bytes_free} bytes"));
    }
}

#[test]
fn the_same_luck_leaves_the_same_disk() {
    let image = |seed| {
        let disk = disk();
        disk.set_faults(Faults { power_after: Some(70), ..Faults::default() });
        let _ = run(&disk, &mut Told::default());
        disk.restart(seed);
        disk
    };
    assert_eq!(format!("{:?}", image(5)), format!("{:?}", image(5)));
    assert_ne!(format!("{:?}", image(5)), format!("{:?}", image(6)));
}
