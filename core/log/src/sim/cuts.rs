//! Cutting a run of operations at each of its disk calls in turn.
//!
//! How to test an operation of yours, be it a cleaning, a retention or a file that is recycled:
//! write a `Run` that does it on a `SimDisk` and notes in `Told` what its callers may rely on, each
//! thing at the moment from which they may. `check` opens what is left and holds it against that.
//! `at_each_call` repeats the run for each of its calls, lets the fault happen there, takes the
//! power away, and checks; then, from the same disk, takes the power away once more in the middle
//! of `restart`, which is what a start does, and checks again.
//!
//! ```
//! use std::path::Path;
//! use dohle_log::{disk::{read_file, replace_file}, sim::{SimDisk, cuts::{Fault, Run, at_each_call}}};
//!
//! /// A file that is replaced is the old or the new one, and the new one once that was said.
//! struct Replacing;
//!
//! impl Run for Replacing {
//!     type Told = bool;
//!
//!     fn disk(&self) -> SimDisk {
//!         let disk = SimDisk::new();
//!         disk.plant(Path::new("/d/f"), b"old");
//!         disk
//!     }
//!
//!     fn run(&self, disk: &SimDisk, told: &mut bool) -> Result<(), String> {
//!         replace_file(disk, Path::new("/d/f"), b"new").map_err(|error| error.to_string())?;
//!         *told = true;
//!         Ok(())
//!     }
//!
//!     fn check(&self, disk: &SimDisk, told: &bool) -> Result<(), String> {
//!         match read_file(disk, Path::new("/d/f"), 9).unwrap().as_deref() {
//!             Some(b"new") => Ok(()),
//!             Some(b"old") if !told => Ok(()),
//!             other => Err(format!("{other:?}")),
//!         }
//!     }
//! }
//!
//! at_each_call(&Replacing, Fault::PowerCut, &[0, 1, 2, 3]).unwrap();
//! ```

use std::fmt;

use dohle_base::Rng;

use super::{Faults, SimDisk};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes off behind a change, and so all later calls fail.
    PowerCut,
    /// A change fails with `EIO`; what the run does about it is done, then the power goes off.
    ChangeError,
    /// For a change there is no room; the run goes on, then the power goes off.
    ChangeFull,
    /// As a change that fails, for a read.
    ReadError,
    /// A file cannot be opened, for there are too many open; the run goes on, then the power goes off.
    NoHandle,
}

/// Of so many calls `once_at_each_call` takes one to cut the start behind it. Not a divisor of how often anything is
/// done there, so that no kind of call is left out.
const ONE_IN: u64 = 3;

/// Something that is done on a disk, and what must be true of the disk afterwards.
pub trait Run {
    /// What the run has been told is so.
    type Told: Default;

    /// The disk before the run.
    fn disk(&self) -> SimDisk {
        SimDisk::new()
    }

    /// Does all of it, and notes what may be relied on.
    ///
    /// # Errors
    /// The fault's. Whoever uses a disk ends at the first.
    fn run(&self, disk: &SimDisk, told: &mut Self::Told) -> Result<(), String>;

    /// What a start does to the disk: the power may go off there, too.
    fn restart(&self, _disk: &SimDisk, _told: &Self::Told) {}

    /// Whether what is left is as it was told.
    ///
    /// # Errors
    /// What is not.
    fn check(&self, disk: &SimDisk, told: &Self::Told) -> Result<(), String>;
}

/// Where a run was cut so that it broke what it had told.
#[derive(Clone, Debug)]
pub struct Broken {
    fault: Fault,
    /// The number of the call.
    call: u64,
    /// The call, and on what; nothing for a power cut before the first.
    what: String,
    /// What chose the unsynced changes that were kept.
    seed: u64,
    /// The call of the start behind which the power went off once more.
    again: Option<u64>,
    complaint: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, call, what, seed, again, complaint } = self;
        write!(f, "{fault:?} at call {call}{what}, seed {seed}")?;
        if let Some(again) = again {
            write!(f, ", power cut again behind {again} calls of the start")?;
        }
        write!(f, ": {complaint}")
    }
}

impl std::error::Error for Broken {}

/// Lets `fault` happen at each call of the run in turn, once for each of the seeds; says how many
/// calls there are.
///
/// # Errors
/// The first that the run does not bear.
///
/// # Panics
/// If the run fails without a fault, or does not notice that the power is off.
pub fn at_each_call<R: Run>(run: &R, fault: Fault, seeds: &[u64]) -> Result<u64, Broken> {
    at_each_call_with(run, fault, |call| Drawn {
        seeds,
        // Once for each call is enough to find what there is, in half the time.
        again: Some((call % seeds.len() as u64) as usize),
    })
}

/// The same for long runs in which each call has many of its like: once for each call, with the seeds in turn; and
/// behind one in [`ONE_IN`] of them the start is cut, too.
///
/// # Errors
/// The first that the run does not bear.
///
/// # Panics
/// As `at_each_call`.
pub fn once_at_each_call<R: Run>(run: &R, fault: Fault, seeds: &[u64]) -> Result<u64, Broken> {
    at_each_call_with(run, fault, |call| {
        let turn = (call % seeds.len() as u64) as usize;
        Drawn { seeds: &seeds[turn..=turn], again: call.is_multiple_of(ONE_IN).then_some(0) }
    })
}

/// What is drawn for a call.
struct Drawn<'a> {
    seeds: &'a [u64],
    /// With which of them the power is cut once more, in the middle of the start.
    again: Option<usize>,
}

fn at_each_call_with<'a, R: Run>(
    run: &R,
    fault: Fault,
    draw: impl Fn(u64) -> Drawn<'a>,
) -> Result<u64, Broken> {
    let whole = run.disk();
    let before = calls(&whole, fault);
    run.run(&whole, &mut R::Told::default()).expect("a run without a fault");
    let count = calls(&whole, fault) - before;
    // Without power from the start nothing happens: what is left must do all the same.
    let first = u64::from(fault != Fault::PowerCut);
    let mut was_spared = false;
    for call in first..=count {
        let (disk, mut told) = (run.disk(), R::Told::default());
        disk.set_faults(fault.at(before + call));
        let done = run.run(&disk, &mut told);
        let is_cut = fault == Fault::PowerCut && call < count;
        assert!(!(is_cut && done.is_ok()), "a run goes on without power after call {call}");
        // A call that needs no room succeeds, and so the run is the same each time.
        let is_spared = fault == Fault::ChangeFull && disk.last_fault().is_none();
        if is_spared && std::mem::replace(&mut was_spared, true) {
            continue;
        }
        let failed = disk.last_fault().or_else(|| disk.last_call());
        let what = failed.map_or(String::new(), |(operation, path)| {
            format!(" ({operation} {})", path.display())
        });
        let Drawn { seeds, again } = draw(call);
        for (index, &seed) in seeds.iter().enumerate() {
            let broken = |again, complaint| {
                let what = what.clone();
                Broken { fault, call, what, seed, again, complaint }
            };
            let left = disk.fork();
            left.restart(seed);
            run.check(&left, &told).map_err(|complaint| broken(None, complaint))?;
            if again == Some(index) {
                let (again, twice) = cut_again(run, (&left, &told), seed.wrapping_add(call));
                run.check(&twice, &told).map_err(|complaint| broken(Some(again), complaint))?;
            }
        }
    }
    Ok(count)
}

impl Fault {
    fn at(self, call: u64) -> Faults {
        match self {
            Self::PowerCut => Faults { power_after: Some(call), ..Faults::default() },
            Self::ChangeError => Faults { io_error_at: Some(call), ..Faults::default() },
            Self::ChangeFull => Faults { full_at: Some(call), ..Faults::default() },
            Self::ReadError => Faults { read_error_at: Some(call), ..Faults::default() },
            Self::NoHandle => Faults { no_handle_at: Some(call), ..Faults::default() },
        }
    }
}

fn calls(disk: &SimDisk, fault: Fault) -> u64 {
    match fault {
        Fault::ReadError => disk.reads(),
        Fault::NoHandle => disk.opens(),
        Fault::PowerCut | Fault::ChangeError | Fault::ChangeFull => disk.changes(),
    }
}

/// Takes the power away in the middle of a start.
fn cut_again<R: Run>(run: &R, (left, told): (&SimDisk, &R::Told), seed: u64) -> (u64, SimDisk) {
    let (whole, twice) = (left.fork(), left.fork());
    run.restart(&whole, told);
    let behind = Rng::from_seed(seed).below(whole.changes() - left.changes() + 1);
    twice.set_faults(Fault::PowerCut.at(left.changes() + behind));
    run.restart(&twice, told);
    twice.restart(seed);
    (behind, twice)
}
