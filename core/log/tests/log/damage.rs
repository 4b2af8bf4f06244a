//! Random damage in any file of a log directory: never a panic, never a loss that nobody is told
//! of, and an error that names the file.
//!
//! Method: a directory with everything in it, checkpoints and clean-stop file included, is damaged
//! in one file, with bits turned over, bytes replaced, cut off, zeroed or added, and opened in each
//! state that a stop can leave it in. What opens must have all batches that were appended, or say
//! where it was cut, with nothing of them left behind the damage; what does not open must name a
//! file of the directory, and leave the batches as they are.
//!
//! Not covered by a checksum, and so not by this: a batch's base offset and leader epoch, and
//! numbers in checkpoints. What is damaged below the recovery point is not read at the start but by
//! consumers, who check each batch.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dohle_base::{Offset, Rng};
use dohle_log::{
    Disk, LogError, OnDamage,
    checkpoint::{self, OffsetKind},
    sim::SimDisk,
};
use dohle_records::BatchView;

use crate::{
    kit::*,
    script::{Op, Script, start, stop},
    told::{Told, read_log},
};

const ROOT: &str = "/logs";
const CLEAN_STOP: &str = "/logs/.kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "/logs/recovery-point-offset-checkpoint";

/// How the directory was left, before the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Clean,
    /// A crash, and all of it had been flushed.
    Flushed,
    /// A crash, and nothing is known to be durable.
    Crashed,
}

/// A directory that has it all, closed, and what is in it.
fn whole() -> (SimDisk, Vec<Bytes>) {
    use Op::*;
    let (disk, mut told) = (disk(), Told::default());
    let turn = [Append(3), Produce(2), Transact(2), Append(1), End { committed: false }];
    let ops = [&turn[..], &[BeginEpoch, Transact(1)], &turn[..], &turn[..], &[Append(4)]].concat();
    Script(ops).play(&disk, &mut told).unwrap();
    stop(&disk, start(&disk, OnDamage::Refuse).unwrap()).unwrap();
    (disk, told.now.batches)
}

fn leave(disk: &SimDisk, how: Left) {
    if how != Left::Clean {
        disk.remove(Path::new(CLEAN_STOP)).unwrap();
    }
    if how == Left::Crashed {
        disk.remove(Path::new(RECOVERY_POINTS)).unwrap();
    }
}

/// All files of the log directory.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let within = |dir: &'static str| {
        let entries = disk.list(Path::new(dir)).unwrap().into_iter();
        entries.filter(|entry| !entry.is_dir).map(move |entry| Path::new(dir).join(entry.name))
    };
    within(ROOT).chain(within(DIR)).collect()
}

/// Damages some bytes.
fn damage(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = rng.below(bytes.len() as u64) as usize;
    let end = at + 1 + rng.below((bytes.len() - at) as u64) as usize;
    match rng.below(6) {
        0 | 1 => damaged[at] ^= 1 << rng.below(8),
        2 => rng.fill(&mut damaged[at..end]),
        3 => damaged[at..end].fill(0),
        4 => damaged.truncate(at),
        _ => {
            let mut more = vec![0; 1 + rng.below(300) as usize];
            rng.fill(&mut more);
            damaged.splice(at..at, more);
        }
    }
    damaged
}

/// Whether a checkpoint is well-formed still, and says what was never so.
fn says_another_number(disk: &SimDisk, path: &Path) -> bool {
    let kinds = [OffsetKind::RecoveryPoint, OffsetKind::LogStart];
    kinds.iter().filter(|kind| path.ends_with(kind.file_name())).any(|kind| {
        checkpoint::read_offsets(disk, Path::new(ROOT), *kind).is_ok_and(|read| !read.is_empty())
    })
}

/// The batch without what its checksum does not cover.
fn covered(batch: &[u8]) -> &[u8] {
    &batch[17..]
}

/// The batches in the files of segments from `path` on whose bytes are as they were, and lie wholly
/// behind `position` there.
fn intact_behind(disk: &SimDisk, batches: &[Bytes], path: &Path, position: u64) -> usize {
    let logs = files(disk).into_iter().filter(|file| file.extension().is_some_and(|e| e == "log"));
    let mut count = 0;
    for log in logs.filter(|log| log.as_path() >= path) {
        let bytes = disk.peek(&log).unwrap();
        let rest = &bytes[if log == path { position as usize } else { 0 }..];
        let is_there =
            |batch: &&Bytes| rest.windows(batch.len()).any(|window| window == &batch[..]);
        count += batches.iter().filter(is_there).count();
    }
    count
}

/// What opening a damaged directory came to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Whole,
    Cut,
    Refused,
    /// A reader sees it.
    SeenByReader,
}

fn open_damaged(disk: &SimDisk, batches: &[Bytes], left: Left) -> Result<Outcome, String> {
    let logs = |disk: &SimDisk| {
        let logs = files(disk).into_iter().filter(|f| f.extension().is_some_and(|e| e == "log"));
        logs.map(|log| disk.peek(&log)).collect::<Vec<_>>()
    };
    let before = disk.fork();
    let mut log = match start(disk, OnDamage::Refuse) {
        Ok(log) => log,
        Err(error) => {
            let names_file = error.to_string().contains("/logs/");
            if !names_file || matches!(error, LogError::Poisoned) {
                return Err(format!("which file? {error}"));
            }
            return match logs(disk) == logs(&before) {
                true => Ok(Outcome::Refused),
                false => Err(format!("refused, and changed: {error}")),
            };
        }
    };
    let _ = log.offset_for_timestamp(NOW);
    let _ = log.max_timestamp();
    let _ = log.aborted_transactions(log.log_start_offset(), log.log_end_offset());
    let Ok(read) = read_log(&mut log) else { return Ok(Outcome::SeenByReader) };
    let is_whole = |batch: &Bytes| BatchView::parse(batch).is_ok_and(|b| b.check_crc().is_ok());
    if !read.iter().all(is_whole) {
        return match left {
            Left::Crashed => Err("a damaged batch is served although all were checked".to_owned()),
            _ => Ok(Outcome::SeenByReader),
        };
    }
    if !read.iter().zip(batches).all(|(read, told)| covered(read) == covered(told)) {
        return Err("a batch that was never appended".to_owned());
    }
    if read.len() >= batches.len() {
        return Ok(Outcome::Whole);
    }
    let Some(cut) = &log.recovery().cut else {
        return Err(format!("{} of {} batches, and not a word", read.len(), batches.len()));
    };
    if left != Left::Crashed {
        return Err(format!(
            "cut at {} of {}, which was durable",
            cut.position,
            cut.path.display()
        ));
    }
    match intact_behind(&before, &batches[read.len()..], &cut.path, cut.position) {
        0 => Ok(Outcome::Cut),
        count => Err(format!("cut at {} with {count} intact batches behind", cut.position)),
    }
}

#[test]
fn whatever_is_damaged_nothing_is_lost_in_silence() {
    let (whole, batches) = whole();
    let mut seen = std::collections::BTreeMap::new();
    let mut rng = Rng::from_seed(2);
    for path in files(&whole) {
        let bytes = whole.peek(&path).unwrap();
        for round in 0..60 * u32::from(!bytes.is_empty()) {
            let damaged = damage(&bytes, &mut rng);
            for left in [Left::Clean, Left::Flushed, Left::Crashed] {
                let disk = whole.fork();
                leave(&disk, left);
                if disk.peek(&path).is_none() {
                    continue;
                }
                disk.plant(&path, &damaged);
                if says_another_number(&disk, &path) {
                    continue;
                }
                let outcome = open_damaged(&disk, &batches, left).unwrap_or_else(|complaint| {
                    panic!("{} in round {round}, {left:?}: {complaint}", path.display())
                });
                *seen.entry(outcome).or_insert(0) += 1;
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.len() == 4, "all outcomes are tried: {seen:?}");
}

/// Without a checksum that is wrong there is no damage, but what was synced is missed.
#[test]
fn a_log_that_is_shorter_than_it_was_says_so() {
    let (whole, batches) = whole();
    let path = files(&whole).into_iter().rfind(|f| f.extension().is_some_and(|e| e == "log"));
    let path = path.unwrap();
    let bytes = whole.peek(&path).unwrap();
    let kept = bytes.len() - batches.last().unwrap().len();
    for left in [Left::Clean, Left::Flushed, Left::Crashed] {
        let disk = whole.fork();
        leave(&disk, left);
        disk.plant(&path, &bytes[..kept]);
        let opened = start(&disk, OnDamage::Refuse);
        if left == Left::Crashed {
            assert_eq!(opened.unwrap().log_end_offset(), Offset(28));
            continue;
        }
        let error = opened.unwrap_err().to_string();
        let expected = format!("{} is damaged at {kept}: ", path.display());
        assert!(
            error.starts_with(&expected) && error.contains("28") && error.contains("32"),
            "{error}"
        );
    }
}

#[test]
fn damage_where_the_log_was_synced_is_named_with_all_that_is_known() {
    let (disk, batches) = whole();
    leave(&disk, Left::Flushed);
    let path = files(&disk).into_iter().rfind(|f| f.extension().is_some_and(|e| e == "log"));
    let path = path.unwrap();
    let size = disk.peek(&path).unwrap().len();
    let position = size - batches.last().unwrap().len();
    disk.flip(&path, 8 * (size as u64 - 3));
    let error = start(&disk, OnDamage::Refuse).unwrap_err().to_string();
    let expected = format!("{} is damaged at {position}: checksum", path.display());
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.ends_with("; all before offset 32 had been synced"), "{error}");
    assert!(start(&disk, OnDamage::Cut).is_err(), "what was durable is never cut off");
}

/// The batches are read for the epochs. What had been synced before is synced still, and a high
/// watermark need not go back for that.
#[test]
fn without_its_epochs_a_log_is_as_durable_as_it_was() {
    let (disk, _) = whole();
    disk.plant(&Path::new(DIR).join("leader-epoch-checkpoint"), b"rubbish");
    for left in [Left::Clean, Left::Flushed] {
        let disk = disk.fork();
        leave(&disk, left);
        let log = start(&disk, OnDamage::Refuse).unwrap();
        assert_eq!((log.recovery_point(), log.log_end_offset()), (Offset(32), Offset(32)));
        assert_eq!(log.epochs().len(), 2);
    }
}
