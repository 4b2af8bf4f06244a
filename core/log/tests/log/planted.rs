//! The tests of power cuts find the faults that they are there for: each is planted in turn, and
//! some script must go red.
//!
//! Faults are planted between the log and the disk, or in the one who plays a script, so that no
//! code that is given out knows of them. A new kind is a variant of `Planted` and a row of `KINDS`.

use std::{
    io::IoSlice,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use dohle_log::{
    Disk, DiskFile, IoError, LogError, OnDamage, OpenLog,
    disk::{DirEntry, OpenMode},
    sim::{
        SimDisk,
        cuts::{Fault, Run, at_each_call},
    },
};

use crate::{
    kit::{DIR, disk, open_how, small},
    script::{Op, Script, start},
    told::Told,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    /// Nothing: what all others are held against.
    Nothing,
    /// Batches are acknowledged without a sync.
    NoSyncOfBatches,
    /// A directory is not synced after names were made in it.
    NoSyncOfNames,
    /// Side files are put in place without a sync.
    NoSyncOfSideFiles,
    /// A sync that failed is tried again, and believed.
    SyncAgain,
    /// What is taken away at the end of a log stays there.
    NoTruncate,
    /// The next start finds that the last stop was clean although it was not.
    CleanStopStays,
    /// Segments that are taken away keep their names.
    NoRetire,
}

/// How each is found. Those of cleans, which need no power cut, are `compact::planted`'s.
const KINDS: [(Planted, Fault); 7] = [
    (Planted::NoSyncOfBatches, Fault::PowerCut),
    (Planted::NoSyncOfNames, Fault::PowerCut),
    (Planted::NoSyncOfSideFiles, Fault::PowerCut),
    (Planted::SyncAgain, Fault::ChangeError),
    (Planted::NoTruncate, Fault::PowerCut),
    (Planted::CleanStopStays, Fault::PowerCut),
    (Planted::NoRetire, Fault::PowerCut),
];

/// How many scripts may pass before a fault is found.
const SCRIPTS_MAX: u64 = 30;

/// A disk with a fault before it.
#[derive(Clone)]
struct Faulty {
    disk: SimDisk,
    planted: Planted,
}

#[derive(Clone)]
struct FaultyFile {
    file: <SimDisk as Disk>::File,
    planted: Planted,
}

impl Planted {
    fn skips_sync_of(self, path: &Path) -> bool {
        let is_batches = path.extension().is_some_and(|extension| extension == "log");
        let is_side = path.extension().is_some_and(|extension| extension == "tmp");
        (self == Self::NoSyncOfBatches && is_batches)
            || (self == Self::NoSyncOfSideFiles && is_side)
    }
}

/// Does it again once if it fails.
fn again<R>(act: impl Fn() -> Result<R, IoError>) -> Result<R, IoError> {
    act().or_else(|_| act())
}

impl Disk for Faulty {
    type File = FaultyFile;

    fn open(&self, path: &Path, mode: OpenMode) -> Result<FaultyFile, IoError> {
        Ok(FaultyFile { file: self.disk.open(path, mode)?, planted: self.planted })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        let is_retired = to.to_string_lossy().ends_with(".log.deleted");
        if self.planted == Planted::NoRetire && is_retired {
            return Ok(());
        }
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        let is = |name: &str| path.to_string_lossy().ends_with(name);
        match self.planted {
            Planted::CleanStopStays if is(".kafka_cleanshutdown") => Ok(()),
            _ => self.disk.remove(path),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<(), IoError> {
        self.disk.remove_dir(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), IoError> {
        self.disk.create_dir(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        match self.planted {
            Planted::NoSyncOfNames => Ok(()),
            Planted::SyncAgain => again(|| self.disk.sync_dir(dir)),
            _ => self.disk.sync_dir(dir),
        }
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        self.file.write_at(buffers, position)
    }

    fn size(&self) -> Result<u64, IoError> {
        self.file.size()
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        if self.planted == Planted::NoTruncate { Ok(()) } else { self.file.truncate(size) }
    }

    fn sync(&self) -> Result<(), IoError> {
        match self.planted {
            planted if planted.skips_sync_of(self.path()) => Ok(()),
            Planted::SyncAgain => again(|| self.file.sync()),
            _ => self.file.sync(),
        }
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

/// A script with a fault.
struct WithFault(Script, Planted);

impl Run for WithFault {
    type Told = Told;

    fn disk(&self) -> SimDisk {
        disk()
    }

    fn run(&self, disk: &SimDisk, told: &mut Told) -> Result<(), String> {
        let disk = Faulty { disk: disk.clone(), planted: self.1 };
        self.0.play(&disk, told).map_err(|error| error.to_string())
    }

    fn restart(&self, disk: &SimDisk, _told: &Self::Told) {
        let _ = start(&Faulty { disk: disk.clone(), planted: self.1 }, OnDamage::Refuse);
    }

    fn check(&self, disk: &SimDisk, told: &Told) -> Result<(), String> {
        told.check(disk)
    }
}

/// The first script that finds the fault, and how.
fn found(planted: Planted, fault: Fault) -> Option<(u64, String)> {
    (0..SCRIPTS_MAX).find_map(|seed| {
        let run = WithFault(Script::random(seed), planted);
        // A player whom the fault hits at once panics: that is found, too.
        let sweep = AssertUnwindSafe(|| at_each_call(&run, fault, &[seed, 1_000 + seed]));
        match catch_unwind(sweep) {
            Ok(Ok(_)) => None,
            Ok(Err(broken)) => Some((seed, broken.to_string())),
            Err(_) => Some((seed, "the player saw it".to_owned())),
        }
    })
}

#[test]
fn each_planted_fault_is_found() {
    for (planted, fault) in KINDS {
        let found = found(planted, fault);
        let (scripts, how) = found.unwrap_or_else(|| panic!("{planted:?} was not found"));
        println!("{planted:?}: script {scripts}, {}", how.lines().next().unwrap_or_default());
    }
}

/// No power cut damages what was flushed, so the damage is planted, too; and a log that is told how far
/// it is durable is never cut before, so the one who opens it keeps that to himself.
#[test]
fn a_start_that_cuts_in_the_middle_is_found() {
    let (disk, mut told) = (disk(), Told::default());
    let script = [Op::Append(2), Op::Append(2), Op::Append(2), Op::Flush, Op::Checkpoint];
    Script(script.to_vec()).play(&disk, &mut told).unwrap();
    let path = Path::new(DIR).join("00000000000000000000.log");
    let mut bytes = disk.peek(&path).unwrap();
    bytes[80] ^= 1;
    disk.plant(&path, &bytes);
    let refused = start(&disk.fork(), OnDamage::Refuse);
    assert!(matches!(refused, Err(LogError::Corrupt(_))), "{:?}", refused.err());
    let planted = OpenLog { on_damage: OnDamage::Cut, ..OpenLog::default() };
    let mut cut = open_how(&disk.fork(), small(), planted).unwrap();
    let broken = told.admits(&mut cut).unwrap_err();
    assert!(broken.contains("6 was durable"), "{broken}");
}

#[test]
fn without_a_fault_nothing_is_found() {
    let script = Script(vec![Op::Append(2), Op::Roll, Op::Append(2), Op::Flush, Op::Kill]);
    let run = WithFault(script, Planted::Nothing);
    at_each_call(&run, Fault::PowerCut, &[0, 2]).unwrap_or_else(|broken| panic!("{broken}"));
}
