//! A copy that has caught up takes the place of the log that it is a copy of.

use std::path::{Path, PathBuf};

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{Disk, Log, LogConfig, OpenLog, Origin, ReadRange, sim::SimDisk};

use crate::kit::*;

const COPY: &str = "/logs/t-0.copy-future";
const PLACE: &str = "/logs/u-0";

/// A log of several segments and epochs, with a producer and a start within a batch.
fn source() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(LogConfig { file_delete_delay_ms: 10, ..small() });
    for index in 0..20_i32 {
        let batch = records(2).by(5, 0, index * 2).bytes();
        let epoch = LeaderEpoch(index / 8);
        log.append_as_leader(&batch, epoch, Origin::Client, NOW).unwrap();
    }
    log.advance_log_start(Offset(7)).unwrap();
    (disk, log)
}

/// Follows the log to its end, a batch at a time.
fn copy_of(source: &mut Log<SimDisk>, disk: &SimDisk) -> Log<SimDisk> {
    let how = OpenLog { log_start: source.log_start_offset(), ..OpenLog::default() };
    let mut copy = Log::open(disk.clone(), PathBuf::from(COPY), small(), how, NOW).unwrap();
    while copy.log_end_offset() < source.log_end_offset() {
        let (from, up_to) = (copy.log_end_offset(), source.log_end_offset());
        let range = ReadRange { from, up_to, size_max: 1, at_least_one: true };
        let slice = source.read(range).unwrap().unwrap();
        if slice.base_offset < from {
            copy.truncate_fully_and_start_at(slice.base_offset, NOW).unwrap();
        }
        let epoch = LeaderEpoch(9);
        copy.append_as_follower(&slice.read().unwrap(), epoch, NOW).unwrap();
    }
    copy.advance_log_start(source.log_start_offset()).unwrap();
    copy
}

#[test]
fn a_copy_goes_on_as_the_log_would_have() {
    let (disk, mut source) = source();
    let mut copy = copy_of(&mut source, &disk);
    assert_eq!(read_values(&mut copy), read_values(&mut source));
    assert_eq!(copy.epochs(), source.epochs());
    copy.flush().unwrap();
    disk.rename(Path::new(COPY), Path::new(PLACE)).unwrap();
    copy.take_place_of(&source, PathBuf::from(PLACE));
    assert_eq!((copy.dir(), copy.config()), (Path::new(PLACE), source.config()));

    let sequence = copy.producer(5.into()).unwrap().last_sequence();
    assert_eq!(sequence, 39);
    let batch = records(2).by(5, 0, 40).bytes();
    copy.append_as_leader(&batch, LeaderEpoch(3), Origin::Client, NOW).unwrap();
    copy.roll(NOW).unwrap();
    records(1).append_in(&mut copy, 3);
    copy.flush().unwrap();
    assert_eq!(read_values(&mut copy).len(), 37);

    // What it had set aside before is found under the new name.
    while let Some(due) = copy.next_unlink() {
        copy.begin_unlink(due).unwrap().run().unwrap();
    }
    let names = disk.list(Path::new(PLACE)).unwrap();
    assert!(names.iter().all(|entry| !entry.name.ends_with(".deleted")), "{names:?}");
    drop(copy);
    disk.restart(0);
    let how = OpenLog { log_start: Offset(7), ..OpenLog::default() };
    let mut again = Log::open(disk, PathBuf::from(PLACE), small(), how, NOW).unwrap();
    assert_eq!(read_values(&mut again).len(), 37);
    assert_eq!(again.log_end_offset(), Offset(43));
}

#[test]
fn a_flush_of_the_old_log_says_nothing_about_the_new_one() {
    let (disk, mut source) = source();
    let mut copy = copy_of(&mut source, &disk);
    let plan = source.begin_flush().unwrap().unwrap();
    disk.rename(Path::new(COPY), Path::new(PLACE)).unwrap();
    copy.take_place_of(&source, PathBuf::from(PLACE));
    let done = plan.run().unwrap();
    let before = copy.recovery_point();
    copy.finish_flush(done);
    assert_eq!(copy.recovery_point(), before);
    assert!(before < copy.log_end_offset(), "nothing of the copy was flushed");
}

#[test]
#[should_panic(expected = "the copy has caught up")]
fn a_copy_that_is_behind_does_not_take_its_place() {
    let (disk, mut source) = source();
    let mut copy = copy_of(&mut source, &disk);
    records(1).append_in(&mut source, 3);
    copy.take_place_of(&source, PathBuf::from(PLACE));
}
