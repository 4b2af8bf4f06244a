//! Random damage in any file of a log directory: never a panic, never a loss that nobody is told
//! of, and an error that names the file.
//!
//! Method: a directory with everything in it, checkpoints and clean-stop file included, is damaged
//! in one file, with bits turned over, bytes replaced, cut off, zeroed or added, and opened in each
//! state that a stop can leave it in. What opens must have all batches that were appended, or say
//! where it was cut, with nothing of them left behind the damage; what does not open must name a
//! file of the directory, and leave the batches as they are.
//!
//! Not covered by a checksum, and so not by this: a batch's base offset and leader epoch. Of the numbers
//! in checkpoints one that can be true is believed; where the log starts by it after a crash, it starts. What is damaged below the recovery point is not read at the start but by
//! consumers, who check each batch.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Rng};
use dohle_log::{
    AppendError, Disk, Log, LogError, OnDamage, Origin,
    checkpoint::{self, OffsetKind},
    sim::SimDisk,
};
use dohle_records::BatchView;

use crate::{
    kit::*,
    script::{Op, Script, key, start_in, stop},
    told::{Told, read_log},
};

/// The epoch in which the partition is led.
const LED_IN: LeaderEpoch = LeaderEpoch(1);
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

fn start(disk: &SimDisk, on_damage: OnDamage) -> Result<Log<SimDisk>, LogError> {
    start_in(disk, on_damage, Some(LED_IN))
}

/// Whether who leads can append, or is told where the segment is damaged.
fn takes_an_append(log: &mut Log<SimDisk>) -> Result<(), String> {
    match log.append_as_leader(&records(1).bytes(), LED_IN, Origin::Client, NOW) {
        Ok(_) | Err(AppendError::Log(LogError::Corrupt(_))) => Ok(()),
        Err(error) => Err(format!("nothing can be appended: {error}")),
    }
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

/// Where the log starts by the checkpoint.
fn told_start(disk: &SimDisk) -> Offset {
    let starts = checkpoint::read_offsets(disk, Path::new(ROOT), OffsetKind::LogStart);
    starts.ok().and_then(|starts| starts.get(&key()).copied()).unwrap_or(Offset::ZERO)
}

/// The batches that are to be there: all, but for those that were deleted if the log can start where it
/// is said to.
fn behind_start(batches: &[Bytes], start: Offset) -> &[Bytes] {
    let next = |batch: &Bytes| BatchView::parse(batch).unwrap().next_offset();
    let deleted = batches.iter().take_while(|batch| next(batch) <= start).count();
    batches.get(deleted..).filter(|_| start <= next(batches.last().unwrap())).unwrap_or(batches)
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
    let batches = match left {
        // The epochs tell where it starts, too.
        Left::Clean => batches,
        Left::Flushed | Left::Crashed => behind_start(batches, told_start(disk)),
    };
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
    let read = read_log(&mut log);
    takes_an_append(&mut log)?;
    let Ok(read) = read else { return Ok(Outcome::SeenByReader) };
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

/// It is as if the end of the log were lost. Who reads it is told of both files.
#[test]
fn a_recovery_point_behind_the_end_is_named_with_its_file() {
    let (whole, _) = whole();
    for (point, left) in [(33, Left::Clean), (320, Left::Flushed), (i64::MAX, Left::Flushed)] {
        let disk = whole.fork();
        leave(&disk, left);
        plant_offset(&disk, OffsetKind::RecoveryPoint, point);
        let error = start(&disk, OnDamage::Refuse).unwrap_err().to_string();
        let told = format!("before offset {point} had been synced, says {RECOVERY_POINTS}");
        assert!(error.contains("ends at offset 32") && error.ends_with(&told), "{error}");
    }
}

/// One digit of a text file must not delete all that there is.
#[test]
fn a_start_behind_the_end_empties_no_log() {
    let (whole, batches) = whole();
    for (left, on_damage) in [
        (Left::Clean, OnDamage::Refuse),
        (Left::Flushed, OnDamage::Refuse),
        (Left::Flushed, OnDamage::Cut),
        (Left::Crashed, OnDamage::Cut),
    ] {
        let disk = whole.fork();
        leave(&disk, left);
        plant_offset(&disk, OffsetKind::LogStart, 97);
        let error = start(&disk, on_damage).unwrap_err().to_string();
        let expected = "/logs/log-start-offset-checkpoint is damaged at 4: the log is said to start at offset 97, expected its end 32";
        assert!(error.starts_with(expected), "{left:?}: {error}");
        plant_offset(&disk, OffsetKind::LogStart, 17);
        let mut log = start(&disk, on_damage).unwrap();
        let left = read_log(&mut log).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(17), Offset(32)));
        assert_eq!(left, behind_start(&batches, Offset(17)));
    }
}

/// Nor may it let damage be cut off that lies where the log was synced.
#[test]
fn nor_is_what_was_synced_cut_off_for_such_a_start() {
    let (disk, batches) = whole();
    leave(&disk, Left::Flushed);
    plant_offset(&disk, OffsetKind::LogStart, 97);
    let path = files(&disk).into_iter().rfind(|f| f.extension().is_some_and(|e| e == "log"));
    let path = path.unwrap();
    let bytes = disk.peek(&path).unwrap();
    disk.flip(&path, 8 * (bytes.len() - batches.last().unwrap().len() + 70) as u64);
    let damaged = disk.peek(&path);
    assert!(start(&disk, OnDamage::Cut).is_err());
    assert_eq!(disk.peek(&path), damaged);
}

fn plant_epochs(disk: &SimDisk, entries: &str) {
    let text = format!("0\n{}\n{entries}\n", entries.lines().count());
    disk.plant(&Path::new(DIR).join("leader-epoch-checkpoint"), text.as_bytes());
}

/// It would keep every leader from appending, and what the write-ahead log has from being taken in.
#[test]
fn an_epoch_that_is_none_is_not_believed() {
    let (disk, _) = whole();
    let right = start(&disk.fork(), OnDamage::Refuse).unwrap();
    let (epochs, second) = (right.epochs().to_vec(), right.epochs()[1].start);
    // Nobody has led in it; or the batches are of another one.
    let rows = [
        (format!("0 0\n7 {second}"), LED_IN.0, 4),
        (format!("7 0\n8 {second}"), LED_IN.0, 3),
        (format!("0 0\n7 {second}"), 9, 4),
        (format!("5 0\n7 {second}"), 9, 4),
        // They do not ascend.
        (format!("2 0\n1 {second}"), 9, 4),
        (format!("0 {second}\n1 {second}"), 9, 4),
        // After a crash the file may well be older than the batches.
        ("0 0".to_owned(), 9, 3),
        ("1 32".to_owned(), 9, 3),
    ];
    let lefts = [Left::Clean, Left::Flushed, Left::Crashed];
    for (index, (entries, led_in, line)) in rows.into_iter().enumerate() {
        for left in lefts.into_iter().take(if index < 6 { 3 } else { 1 }) {
            let disk = disk.fork();
            leave(&disk, left);
            plant_epochs(&disk, &entries);
            let led_in = LeaderEpoch(led_in);
            let log = start_in(&disk, OnDamage::Refuse, Some(led_in));
            let mut log = log.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(log.epochs(), epochs, "{entries:?} after {left:?}");
            if left == Left::Clean {
                let wrong = log.recovery().wrong_epochs.as_ref().unwrap().to_string();
                let expected = format!("{DIR}/leader-epoch-checkpoint, line {line}: ");
                assert!(wrong.starts_with(&expected), "{entries:?}: {wrong}");
            }
            records(1).append_in(&mut log, LED_IN.0);
            // What is taken in from the write-ahead log is of the epochs that were.
            let lacking = records(1).from(log.log_end_offset(), LED_IN);
            assert_eq!(log.redo(&lacking, NOW), Ok(log.log_end_offset()));
            log.flush().unwrap();
            drop(log);
            let log = start(&disk, OnDamage::Refuse).unwrap();
            assert_eq!((log.epochs(), &log.recovery().wrong_epochs), (&epochs[..], &None));
        }
    }
}

/// It is not under the checksum either.
#[test]
fn nor_is_that_of_a_batch() {
    let (disk, batches) = whole();
    let path = files(&disk).into_iter().rfind(|f| f.extension().is_some_and(|e| e == "log"));
    let path = path.unwrap();
    let last = disk.peek(&path).unwrap().len() - batches.last().unwrap().len();
    disk.flip(&path, 8 * (last as u64 + 12));
    for left in [Left::Clean, Left::Flushed, Left::Crashed] {
        let disk = disk.fork();
        leave(&disk, left);
        let mut log = start(&disk, OnDamage::Refuse).unwrap();
        assert_eq!(log.latest_epoch(), LED_IN);
        records(1).append_in(&mut log, LED_IN.0);
    }
}

fn plant_offset(disk: &SimDisk, kind: OffsetKind, offset: i64) {
    let text = format!("0\n1\nt 0 {offset}\n");
    disk.plant(&Path::new(ROOT).join(kind.file_name()), text.as_bytes());
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
    let told_by =
        "; all before offset 32 had been synced, says /logs/recovery-point-offset-checkpoint";
    assert!(error.ends_with(told_by), "{error}");
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
