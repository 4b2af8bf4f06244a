//! A note outlasts a power cut, whatever room there was for it.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;
use crate::{
    Log, LogConfig, LogError, OnDamage, OpenLog, Origin,
    sim::{Faults, SimDisk},
};

const WHY: &str = "damaged";

/// A disk with a partition's directory and room for so many bytes.
fn disk(bytes_free: Option<u64>) -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/t-0/00000000000000000000.log"), b"");
    disk.set_faults(Faults { bytes_free, ..Faults::default() });
    disk
}

/// What a note says after a power cut that takes all that is not durable; `None` if there is none.
fn noted_with(bytes_free: Option<u64>) -> Option<String> {
    let (disk, dir) = (disk(bytes_free), Path::new("/logs/t-0"));
    note(&disk, dir, WHY).unwrap();
    disk.restart(0);
    let bytes = disk.peek(&dir.join(FILE_NAME));
    assert_eq!(is_noted(&disk, dir), Ok(bytes.is_some()));
    Some(String::from_utf8(bytes?).unwrap())
}

#[test]
fn a_note_says_why() {
    assert_eq!(noted_with(None).as_deref(), Some("damaged\n"));
}

#[test]
fn a_full_volume_takes_a_note_without_the_reason() {
    for bytes_free in 0..=WHY.len() as u64 {
        assert_eq!(noted_with(Some(bytes_free)).as_deref(), Some(""), "{bytes_free}");
    }
    assert_eq!(noted_with(Some(WHY.len() as u64 + 1)).as_deref(), Some("damaged\n"));
}

fn open(disk: &SimDisk, on_damage: OnDamage) -> Result<Log<SimDisk>, LogError> {
    let how = OpenLog { on_damage, ..OpenLog::default() };
    Log::open(disk.clone(), "/logs/t-0".into(), LogConfig::default(), how, Timestamp(0))
}

/// Why a note stays until then. Another process wrote the log, and only the cache has it.
#[test]
fn a_log_that_has_opened_can_still_lose_its_middle_until_it_is_durable() {
    let disk = disk(None);
    let mut log = open(&disk, OnDamage::Refuse).unwrap();
    for _ in 0..3 {
        let mut batch = BatchBuilder::new(BatchSpec::default());
        batch.append(&NewRecord { value: Some(&[7; 9_000]), ..NewRecord::default() }).unwrap();
        let (batch, epoch) = (batch.finish(), LeaderEpoch(0));
        log.append_as_leader(&batch, epoch, Origin::Client, Timestamp(0)).unwrap();
    }
    disk.kill();
    let mut log = open(&disk, OnDamage::Refuse).unwrap();
    assert_eq!(log.log_end_offset(), Offset(3));
    let refused =
        |disk: &SimDisk| matches!(open(disk, OnDamage::Refuse), Err(LogError::Corrupt(_)));
    let cut = (0..40).find_map(|seed| {
        let disk = disk.fork();
        disk.restart(seed);
        refused(&disk.fork()).then(|| open(&disk, OnDamage::Cut).unwrap().log_end_offset())
    });
    assert!(cut.is_some_and(|end| end < Offset(3)), "what is behind the hole is there");
    log.flush().unwrap();
    for seed in 0..40 {
        let disk = disk.fork();
        disk.restart(seed);
        assert_eq!(open(&disk, OnDamage::Cut).unwrap().log_end_offset(), Offset(3));
    }
}
