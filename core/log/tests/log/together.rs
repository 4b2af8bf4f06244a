//! A write-ahead log, a log, its flushes and its checkpoint together, as a node has them, through the
//! end of a process, its next one in the same run of the machine, and a power cut behind that.
//!
//! Method: the first process ends at each of its disk calls in turn: it is killed there, or the call
//! fails and the process does what a node does then. The second one starts on what the system caches,
//! goes on, and has the power cut somewhere. Whatever was acknowledged by either, or shown by the second
//! when it had started, is there for the third, and what was deleted is not.

mod damaged;
mod planted;

use std::path::{Path, PathBuf};

use dohle_base::{LeaderEpoch, Offset, PartitionId, Rng, TopicId, Uuid};
use dohle_log::{
    IoError, Log, LogConfig, OnDamage, OpenLog, Origin, Pace, ReadRange, Synced,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    disk::Operation,
    sim::{Faults, SimDisk, SimFile},
    wal::{self, CacheTrust, Frame, OpenWal, Wal},
};

use crate::{compact::kit::MEMORY, kit::*};

const LOGS: &str = "/logs";
const TOPIC: TopicId = TopicId(Uuid(77));
const PARTITION: PartitionId = PartitionId(0);

/// A process with one partition.
struct Node {
    disk: SimDisk,
    wal: Wal<SimFile>,
    cache: CacheTrust<SimFile>,
    log: Log<SimDisk>,
    /// The recovery point that is written down.
    noted: Offset,
    /// The leader epoch of what is appended.
    epoch: i32,
    /// How many records it has been given.
    count: usize,
    name: &'static str,
}

/// What a process does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Append,
    /// Three records in a batch.
    AppendThree,
    /// One that no frame takes: its segments are synced instead.
    AppendLarge,
    Flush,
    Clean,
    /// All but the last two records are deleted: the log then starts within a batch, if that has three.
    Delete,
    /// It leads in the next epoch.
    BeginEpoch,
    /// The log goes to another directory, is written and cleaned there, and comes back. The frames of before
    /// are kept.
    CleanElsewhere,
    /// A flush that does not come to write down how far it is.
    Sync,
}

use planted::Planted;

use Step::{
    Append, AppendLarge, AppendThree, BeginEpoch, Clean, CleanElsewhere, Delete, Flush, Sync,
};

/// What clients were told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Offsets and values that are in the log.
    values: Vec<(i64, String)>,
    /// What lies before has been deleted.
    log_start: Offset,
}

/// Three records make a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes_max: 300, ..LogConfig::default() }
}

fn compacted() -> LogConfig {
    LogConfig { compacted: true, ..config() }
}

fn say(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Node {
    /// Starts in a run of the machine, and notes what it shows.
    fn start(
        disk: &SimDisk,
        (name, boot): (&'static str, u128),
        config: LogConfig,
        told: &mut Told,
    ) -> Result<Self, String> {
        let how = OpenWal { capacity: 1 << 18, left_clean: false, boot, salt: [9; 12] };
        let (wal, unflushed) = Wal::open(disk, Path::new(LOGS), how).map_err(say)?;
        let noted_as = |kind| {
            let offsets = checkpoint::read_offsets(disk, Path::new(LOGS), kind).map_err(say)?;
            Ok::<_, String>(offsets.get(&("t".into(), PARTITION)).copied().unwrap_or(Offset::ZERO))
        };
        let noted = noted_as(OffsetKind::RecoveryPoint)?;
        let how = OpenLog {
            recovery_point: noted,
            log_start: noted_as(OffsetKind::LogStart)?,
            synced: unflushed.synced(TOPIC, PARTITION),
            reached: unflushed.reached(TOPIC, PARTITION),
            on_damage: unflushed.lost_cache().map_or(OnDamage::Refuse, |_| OnDamage::Cut),
            topic_id: Some(TOPIC),
            distrust_cache: unflushed.disk_failed(),
            ..OpenLog::default()
        };
        let mut log = open_how(disk, config, how).map_err(say)?;
        log.cut_at_loss(unflushed.of(TOPIC, PARTITION), NOW).map_err(say)?;
        let mut synced = log.recovery_point();
        for run in unflushed.of(TOPIC, PARTITION) {
            synced = synced.max(log.redo(&run.map_err(say)?, NOW).map_err(say)?);
        }
        if synced < log.log_end_offset() {
            // No frame may go behind what none has.
            log.flush().map_err(say)?;
        }
        let cache = wal.cache_trust();
        cache.give().map_err(say)?;
        wal.handover(disk).map_err(say)?.take().map_err(say)?;
        told.values.extend(read_values(&mut log));
        told.log_start = log.log_start_offset();
        let epoch = log.latest_epoch().0.max(EPOCH.0);
        Ok(Self { disk: disk.clone(), wal, cache, log, noted, epoch, count: 0, name })
    }

    fn play(&mut self, steps: &[Step], told: &mut Told) -> Result<(), String> {
        steps.iter().try_for_each(|step| match step {
            Append | AppendThree | AppendLarge => self.append(*step, told),
            Flush => self.flush(),
            Clean => self.clean(self.noted, told),
            Delete => self.delete(told),
            Sync => self.log.flush().map_err(say),
            BeginEpoch => {
                self.epoch += 1;
                self.log.begin_leader_epoch(LeaderEpoch(self.epoch)).map_err(say)
            }
            CleanElsewhere => {
                self.append(CleanElsewhere, told)?;
                // Before it is there.
                self.note().map_err(say)?;
                self.clean(self.log.active_base_offset(), told)
            }
        })
    }

    fn append(&mut self, step: Step, told: &mut Told) -> Result<(), String> {
        let count = if step == AppendThree { 3 } else { 1 };
        let values = (1..=count).map(|index| format!("{} {}", self.name, self.count + index));
        let values: Vec<_> = values.collect();
        // The first one stays whatever is cleaned.
        let key = Some(if self.count == 0 { "one" } else { "key" }.to_owned());
        self.count += count;
        let batch = Spec { values: values.clone(), key, ..records(count) };
        let from = self.log.log_end_offset();
        let (batch, epoch) = (batch.bytes(), LeaderEpoch(self.epoch));
        self.log.append_as_leader(&batch, epoch, Origin::Client, NOW).map_err(say)?;
        let values = (from.0..).zip(values);
        let (up_to, mut frame) = (self.log.log_end_offset(), Frame::default());
        if step == CleanElsewhere {
            self.log.flush().map_err(say)?;
            told.values.extend(values);
            return Ok(());
        }
        if step == AppendLarge {
            if planted::is(Planted::FrameBehindHole) {
                return Ok(());
            }
            if !planted::is(Planted::NoSyncOfLarge) {
                self.log.flush().map_err(say)?;
            }
            let synced = Synced { end: up_to, epoch: self.log.latest_epoch() };
            assert!(frame.push_synced((TOPIC, PARTITION), synced));
        } else {
            let range = ReadRange { from, up_to, size_max: 1 << 20, at_least_one: true };
            let batch = self.log.read(range).unwrap().unwrap().read().map_err(say)?;
            assert!(frame.push((TOPIC, PARTITION), &[std::io::IoSlice::new(&batch)]));
        }
        assert!(self.wal.append(&mut frame).map_err(say)?, "there is room for all");
        if !planted::is(Planted::NoSyncOfFrames) {
            self.wal.sync().map_err(say)?;
        }
        told.values.extend(values);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        let position = self.wal.end();
        if planted::is(Planted::ReleaseBeforeFlush) {
            return self.wal.release(position).map_err(say);
        }
        if planted::is(Planted::NoSyncBeforeNote) {
            self.note_at(self.log.log_end_offset()).map_err(say)?;
            return self.wal.release(position).map_err(say);
        }
        if let Some(plan) = self.log.begin_flush().map_err(say)? {
            self.log.finish_flush(plan.run().map_err(say)?);
        }
        self.note().map_err(say)?;
        // As the next round does it, before its frame, which shares the sync.
        self.wal.release(position).map_err(say)
    }

    /// Writes the recovery point down.
    fn note(&mut self) -> Result<(), IoError> {
        self.note_at(self.log.recovery_point())
    }

    fn note_at(&mut self, point: Offset) -> Result<(), IoError> {
        let points = [(("t".into(), PARTITION), point)];
        let (kind, points) = (OffsetKind::RecoveryPoint, PartitionOffsets::from(points));
        checkpoint::write_offsets(&self.disk, Path::new(LOGS), kind, &points)?;
        self.noted = point;
        Ok(())
    }

    /// Cleans as far as it may. All records have the same key: what lies before `to` may go.
    fn clean(&mut self, to: Offset, told: &mut Told) -> Result<(), String> {
        told.values.retain(|(offset, _)| *offset >= to.0);
        let go: &mut Pace<'_> = &mut |_| true;
        let plan = self.log.begin_clean(self.log.log_end_offset(), to, NOW).map_err(say)?;
        let Some(plan) = plan else { return Ok(()) };
        let mut cleaning = plan.index(MEMORY, go).map_err(say)?;
        while let Some(replacement) = cleaning.next(go).map_err(say)? {
            assert!(self.log.swap_in(replacement, NOW).map_err(say)?);
        }
        self.log.finish_clean(cleaning.finish());
        Ok(())
    }

    /// As DeleteRecords does it.
    fn delete(&mut self, told: &mut Told) -> Result<(), String> {
        if self.log.has_unsaved_topic() {
            // Nobody believes a start of which it is not known whose it is.
            self.log.flush().map_err(say)?;
        }
        let start = Offset((self.log.log_end_offset().0 - 2).max(0));
        let start = start.max(self.log.log_start_offset());
        self.log.advance_log_start(start).map_err(say)?;
        // From here on they may be gone, and once it is written down they are.
        told.values.retain(|(offset, _)| *offset >= start.0);
        let starts = PartitionOffsets::from([(("t".into(), PARTITION), start)]);
        let kind = OffsetKind::LogStart;
        checkpoint::write_offsets(&self.disk, Path::new(LOGS), kind, &starts).map_err(say)?;
        told.log_start = self.log.log_start_offset();
        self.log.remove_old_segments(NOW).map_err(say)?;
        Ok(())
    }
}

/// How the first process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Behind a call.
    Killed,
    /// A call fails, and it says so to the next.
    Failed,
    /// A call fails, and it is killed before it can say so.
    FailedAndKilled,
}

/// The first flush is at the end of a segment.
const FIRST: &[Step] =
    &[Append, Append, Append, Flush, Append, Append, Append, Append, Flush, Append, Append, Append];

/// The first process up to its end, which is at a change of this number, if there is one.
fn first_life(end: End, at: u64) -> (SimDisk, Told) {
    life(config(), FIRST, end, at)
}

fn life(config: LogConfig, steps: &[Step], end: End, at: u64) -> (SimDisk, Told) {
    let (disk, mut told) = (disk(), Told::default());
    let faults = match end {
        End::Killed => Faults { power_after: Some(at), ..Faults::default() },
        End::Failed | End::FailedAndKilled => Faults { io_error_at: Some(at), ..Faults::default() },
    };
    disk.set_faults(faults);
    let node = Node::start(&disk, ("first", 1), config, &mut told);
    if let Ok(mut node) = node
        && node.play(steps, &mut told).is_err()
        && end == End::Failed
    {
        node.cache.withdraw().unwrap();
    }
    disk.kill();
    disk.set_faults(Faults::default());
    (disk, told)
}

/// Plays two lives, the first with each end, and says what the third lacks.
fn lives(end: End, second: &[Step]) -> u64 {
    let (whole, all) = first_life(End::Killed, u64::MAX);
    assert_eq!(all.values.len(), 10);
    let (mut rng, mut count) = (Rng::from_seed(9), 0);
    for at in 1..=whole.changes() {
        let (disk, told) = first_life(end, at);
        let (operation, path) = change(at);
        let is_wal = path.ends_with(wal::FILE_NAME);
        if end != End::Killed && operation == Operation::SyncDir
            // A file system that cannot write its journal takes no more writes.
            || end == End::FailedAndKilled && !is_wal
        {
            continue;
        }
        count += 1;
        for seed in 0..6 {
            let (disk, mut told) = (disk.fork(), told.clone());
            let context = format!("{end:?} at {at}, {operation} {}, seed {seed}", path.display());
            let node = Node::start(&disk, ("second", 1), config(), &mut told);
            let mut node = node.unwrap_or_else(|error| panic!("{context}: {error}"));
            if seed > 2 {
                let power_after = Some(disk.changes() + rng.below(60));
                disk.set_faults(Faults { power_after, ..Faults::default() });
            }
            let done = node.play(second, &mut told);
            assert!(done.is_ok() || seed > 2, "{context}: {done:?}");
            disk.restart(seed);
            check(&disk, config(), &told).unwrap_or_else(|lost| panic!("{context}: {lost}"));
        }
    }
    count
}

/// Starts in the next run of the machine, and looks for what was acknowledged.
fn check(disk: &SimDisk, config: LogConfig, told: &Told) -> Result<(), String> {
    let mut node = Node::start(disk, ("third", 2), config, &mut Told::default())?;
    let start = node.log.log_start_offset();
    if start < told.log_start {
        return Err(format!("starts at {start}, and all before {} was deleted", told.log_start));
    }
    let values = read_values(&mut node.log);
    let lost: Vec<_> = told.values.iter().filter(|value| !values.contains(value)).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("lost {lost:?} of {values:?}")) }
}

/// The change of this number of the first process.
fn change(at: u64) -> (Operation, PathBuf) {
    first_life(End::Killed, at).0.last_call().unwrap()
}

#[test]
fn a_flush_that_failed_is_not_forgiven_by_the_next_process() {
    assert!(lives(End::Failed, &[Flush, Append, Append, Flush, Append]) > 40);
}

#[test]
fn nor_by_one_that_appends_first() {
    assert!(lives(End::Failed, &[Append, Append]) > 40);
}

#[test]
fn a_frame_whose_sync_failed_counts_for_nothing_or_is_on_the_disk() {
    assert!(lives(End::FailedAndKilled, &[Append, Append]) > 10);
    assert!(lives(End::FailedAndKilled, &[Append, Flush, Append, Append]) > 10);
}

#[test]
fn what_a_killed_process_had_not_synced_is_synced_by_the_next() {
    assert!(lives(End::Killed, &[Flush, Append, Append, Flush, Append]) > 60);
    assert!(lives(End::Killed, &[Append, Append]) > 60);
}

/// A process that has the power cut behind each of its calls, and no other before that.
fn cut(config: &LogConfig, steps: &[Step]) -> u64 {
    let (whole, _) = life(config.clone(), steps, End::Killed, u64::MAX);
    for at in 0..=whole.changes() {
        let (disk, told) = life(config.clone(), steps, End::Killed, at);
        for seed in 0..16 {
            let left = disk.fork();
            left.restart(seed);
            check(&left, config.clone(), &told)
                .unwrap_or_else(|lost| panic!("{steps:?} behind {at}, seed {seed}: {lost}"));
        }
    }
    whole.changes()
}

/// Several segments between two flushes: the end of one may be lost and the next one not. The first one
/// is not: its name is durable before another is made.
const LONG: &[Step] = &[
    Append, Append, Append, Flush, Append, Append, Append, Append, Append, Append, Append, Append,
    Flush, Append, Append, Append, Append,
];

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    assert!(cut(&config(), LONG) > 60);
}

#[test]
fn nor_of_a_compacted_log_where_it_looks_as_if_it_had_been_cleaned() {
    assert!(cut(&compacted(), LONG) > 60);
}

#[test]
fn what_has_been_cleaned_is_no_loss() {
    let steps = [
        [Append; 3].as_slice(),
        &[Flush],
        &[Append; 5],
        // Durable as far as it goes, but nobody has written that down.
        &[AppendLarge, Append, Clean, Append, Append, Flush, Clean],
        &[Append, AppendLarge, Append, Clean, Append],
    ];
    assert!(cut(&compacted(), &steps.concat()) > 60);
}

/// Of the first records of an epoch no frame is whole, but they are there, and what is missing before them
/// is in the frames.
#[test]
fn nor_where_the_first_frame_of_a_leader_epoch_is_torn() {
    let steps = [
        [Append; 3].as_slice(),
        &[Flush],
        &[Append; 3],
        &[BeginEpoch, Append, Append],
        &[Append, BeginEpoch, Append],
    ];
    assert!(cut(&compacted(), &steps.concat()) > 40);
}

/// What frames that were kept have is gone, for it was cleaned where they do not count.
#[test]
fn what_has_been_cleaned_in_another_directory_is_no_loss() {
    let kept = [[Append; 3].as_slice(), &[Sync], &[Append; 5], &[CleanElsewhere]].concat();
    for then in [&[][..], &[Append, Append], &[AppendLarge, Append], &[Append, Flush, Append]] {
        assert!(cut(&compacted(), &[&kept[..], then].concat()) > 40);
    }
}

/// The segments end before the log's start, and what lies behind it is in a frame that begins before.
#[test]
fn nor_what_is_left_of_a_batch_of_which_some_was_deleted() {
    let middle = [Append, AppendThree, Delete];
    assert!(cut(&config(), &middle) > 20);
    let behind = [&middle[..], &[AppendThree, Append]].concat();
    assert!(cut(&config(), &behind) > 20);
    let flushed = [&[Append, AppendThree, Flush, AppendThree, Delete], &behind[..]].concat();
    assert!(cut(&config(), &flushed) > 40);
    // Several frames lie before the start, and some behind it.
    let far = [AppendThree, Flush, AppendThree, AppendThree, AppendThree, Delete, AppendThree];
    assert!(cut(&config(), &far) > 40);
}

/// Where the log begins only the name of its first segment says, if that is where it starts.
#[test]
fn nor_what_lies_in_the_segment_behind_one_that_was_removed() {
    let long = [AppendThree, Append, Delete, Append, AppendThree, Append, Delete];
    let steps = [&[Delete][..], &long, &[Append, Delete, AppendThree, Delete]].concat();
    assert!(cut(&config(), &steps) > 40);
}

/// Where the log begins only the name of its first segment says, and that of the next may survive alone.
#[test]
fn nor_what_lies_in_a_first_segment_that_was_rolled_before_its_first_flush() {
    assert!(cut(&config(), &[Append; 8]) > 20);
}

#[test]
fn nor_whatever_is_appended_flushed_and_deleted_in_whatever_order() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let steps = [Append, Append, AppendThree, AppendThree, AppendLarge, Flush, Delete, Delete];
        let steps: Vec<_> =
            (0..12).map(|_| steps[rng.below(steps.len() as u64) as usize]).collect();
        assert!(cut(&config(), &steps) > 20);
    }
}
