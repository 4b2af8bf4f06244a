//! Scripts of everything that is done to a log, and one who plays them as a broker does: with the
//! checkpoints and the clean-stop file of the directory.
//!
//! An operation of a new kind is a variant of `Op`, its part in `Player::play`, which notes in
//! `Told` what may be relied on, and its place in `Script::random`.

use std::path::Path;

use bytes::Bytes;
use dohle_base::{
    LeaderEpoch, Offset, PartitionId, ProducerId, Rng, Str, Timestamp, TopicId, Uuid,
};
use dohle_log::{
    AppendError, Disk, Log, LogConfig, LogError, OnDamage, OpenLog, Origin,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    clean_stop,
};

use crate::{
    kit::*,
    told::{History, Told},
};

/// The log directory.
const ROOT: &str = "/logs";
/// Whose partition it is.
const TOPIC: TopicId = TopicId(Uuid(77));

/// Something that is done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Records of nobody in particular.
    Append(usize),
    /// Records of an idempotent producer.
    Produce(usize),
    /// Records in a transaction, which is begun if it is not.
    Transact(usize),
    /// The transaction is ended.
    End {
        committed: bool,
    },
    /// A batch as a follower gets it.
    Replicate(usize),
    BeginEpoch,
    Roll,
    Flush,
    /// A flush that is begun, an append, and then its end.
    FlushBehind,
    /// The checkpoints of the directory are written.
    Checkpoint,
    /// The last records are taken away.
    Truncate(i64),
    /// All records are taken away, and the log goes on further ahead.
    StartAnew,
    /// The log's start moves forward and what lies before is removed.
    Retain(i64),
    /// What is more than retention allows is removed, and unlinked.
    Expire,
    /// A clean stop and a start.
    Reopen,
    /// The process is killed, and another one starts.
    Kill,
}

/// A script: a seed is as good as its text.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) Vec<Op>);

impl Script {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut ops = Vec::new();
        for _ in 0..24 {
            let some = 1 + rng.below(4) as usize;
            ops.push(match rng.below(26) {
                0..4 => Op::Append(some),
                4..8 => Op::Produce(some),
                8..11 => Op::Transact(some),
                11..13 => Op::End { committed: rng.below(2) == 0 },
                13 => Op::Replicate(some),
                14 => Op::BeginEpoch,
                15 => Op::Roll,
                16..18 => Op::Flush,
                18 => Op::FlushBehind,
                19 => Op::Checkpoint,
                20..22 => Op::Truncate(1 + rng.below(12) as i64),
                22 => Op::Retain(1 + rng.below(12) as i64),
                23 => [Op::StartAnew, Op::Expire, Op::Expire][rng.below(3) as usize],
                24 => Op::Reopen,
                _ => Op::Kill,
            });
        }
        Self(ops)
    }

    /// Plays it to its end or to the first error.
    pub(crate) fn play<D: Disk>(&self, disk: &D, told: &mut Told) -> Result<(), LogError> {
        let mut player = Player { disk, log: Some(start(disk, OnDamage::Refuse)?), told };
        self.0.iter().try_for_each(|op| player.play(*op))
    }
}

/// One who plays a script, and notes what may be relied on.
pub(crate) struct Player<'a, D: Disk> {
    pub(crate) disk: &'a D,
    pub(crate) log: Option<Log<D>>,
    pub(crate) told: &'a mut Told,
}

impl<D: Disk> Player<'_, D> {
    pub(crate) fn log(&mut self) -> &mut Log<D> {
        self.log.as_mut().expect("open between operations")
    }

    pub(crate) fn play(&mut self, op: Op) -> Result<(), LogError> {
        match op {
            Op::Append(count) => self.append(&self.values(count).bytes(), Origin::Client),
            Op::Produce(count) => {
                let next = self.next_sequence(1);
                self.append(&self.values(count).by(1, 0, next).bytes(), Origin::Client)
            }
            Op::Transact(count) => {
                let next = self.next_sequence(2);
                let batch = self.values(count).by(2, 0, next).in_transaction();
                self.append(&batch.bytes(), Origin::Verified)
            }
            Op::End { committed } => {
                let open = self.log().producer(ProducerId(2));
                if open.is_none_or(|state| state.transaction_start.is_none()) {
                    return Ok(());
                }
                let origin = Origin::Marker { transaction_version: 0 };
                self.append(&marker(2, 0, committed), origin)
            }
            Op::Replicate(count) => self.replicate(count),
            Op::BeginEpoch => {
                let epoch = LeaderEpoch(self.epoch().0 + 1);
                self.log().begin_leader_epoch(epoch)
            }
            Op::Roll => self.log().roll(NOW),
            Op::Flush => self.flush(false),
            Op::FlushBehind => self.flush(true),
            Op::Checkpoint => self.write_checkpoints(),
            Op::Truncate(count) => self.truncate(count),
            Op::StartAnew => self.start_anew(),
            Op::Retain(count) => self.retain(count),
            Op::Expire => self.expire(),
            Op::Reopen => {
                let log = self.log.take().expect("open between operations");
                stop(self.disk, log)?;
                self.told.flushed = self.told.now.end();
                self.told.start_kept = self.told.now.start;
                self.open()
            }
            Op::Kill => {
                self.log = None;
                self.open()
            }
        }
    }

    /// Opens the log again: all must be there, as no power was lost.
    fn open(&mut self) -> Result<(), LogError> {
        let mut log = start(self.disk, OnDamage::Refuse)?;
        let found = crate::told::read_log(&mut log).map_err(read_fails)?;
        let told = self.told.now.batches.len();
        assert!(self.told.now.batches.ends_with(&found), "{} of {told} are there", found.len());
        assert_eq!(log.log_end_offset(), self.told.now.end());
        // The start of the log may be what the last checkpoint says.
        self.told.now.start = log.log_start_offset();
        self.log = Some(log);
        Ok(())
    }

    fn epoch(&mut self) -> LeaderEpoch {
        LeaderEpoch(self.log().latest_epoch().0.max(0))
    }

    fn next_sequence(&mut self, id: i64) -> i32 {
        let state = self.log().producer(ProducerId(id));
        state.map_or(0, |state| state.next_sequence())
    }

    /// Records that no other batch has.
    fn values(&self, count: usize) -> Spec {
        let made = self.told.made;
        let values = (0..count).map(|index| format!("batch {made}, record {index}")).collect();
        Spec { values, ..records(count) }
    }

    fn append(&mut self, batch: &[u8], origin: Origin) -> Result<(), LogError> {
        let epoch = self.epoch();
        self.told.made += 1;
        let stored = as_stored(batch, self.log().log_end_offset(), epoch);
        self.told.doubt = Some(self.told.now.and(stored));
        let log = self.log();
        log.append_as_leader(batch, epoch, origin, NOW).map_err(append_fails)?;
        self.settle();
        Ok(())
    }

    fn replicate(&mut self, count: usize) -> Result<(), LogError> {
        let (epoch, end) = (self.epoch(), self.log().log_end_offset());
        let stored = as_stored(&self.values(count).bytes(), end, epoch);
        self.told.made += 1;
        self.told.doubt = Some(self.told.now.and(stored.clone()));
        self.log().append_as_follower(&stored, epoch, NOW).map_err(append_fails)?;
        self.settle();
        Ok(())
    }

    /// What was in doubt is so.
    fn settle(&mut self) {
        if let Some(now) = self.told.doubt.take() {
            self.told.now = now;
        }
    }

    fn flush(&mut self, append_between: bool) -> Result<(), LogError> {
        let plan = self.log().begin_flush()?;
        if append_between {
            self.play(Op::Append(2))?;
        }
        if let Some(plan) = plan {
            let done = plan.run()?;
            self.log().finish_flush(done);
        }
        self.told.flushed = self.log().recovery_point();
        Ok(())
    }

    fn write_checkpoints(&mut self) -> Result<(), LogError> {
        let log = self.log.as_ref().expect("open between operations");
        checkpoint(self.disk, OffsetKind::RecoveryPoint, log.recovery_point())?;
        checkpoint(self.disk, OffsetKind::LogStart, log.log_start_offset())?;
        self.told.start_kept = self.told.now.start;
        Ok(())
    }

    fn truncate(&mut self, count: i64) -> Result<(), LogError> {
        let (start, end) = (self.log().log_start_offset(), self.log().log_end_offset());
        let end = Offset((end.0 - count).max(start.0));
        let cut = self.told.now.up_to(end);
        self.lower(cut.end().min(end))?;
        self.told.doubt = Some(cut);
        self.log().truncate_to(end, NOW)?;
        self.settle();
        Ok(())
    }

    fn start_anew(&mut self) -> Result<(), LogError> {
        let start = self.log().log_end_offset().plus(10);
        self.lower(Offset::ZERO)?;
        self.told.doubt = Some(History { start, batches: Vec::new() });
        self.log().truncate_fully_and_start_at(start, NOW)?;
        self.settle();
        (self.told.flushed, self.told.start_kept) = (start, start);
        Ok(())
    }

    /// Nothing from `end` on is relied on any more: the recovery point is taken back first.
    fn lower(&mut self, end: Offset) -> Result<(), LogError> {
        let recovery_point = self.log().recovery_point().min(end);
        checkpoint(self.disk, OffsetKind::RecoveryPoint, recovery_point)?;
        self.told.flushed = self.told.flushed.min(end);
        Ok(())
    }

    fn retain(&mut self, count: i64) -> Result<(), LogError> {
        let log = self.log();
        let start = log.log_start_offset().plus(count).min(log.log_end_offset());
        // Before a start is written down, the directory must say whose it is.
        self.flush(false)?;
        self.told.now.start = start;
        self.log().advance_log_start(start).map_err(read_fails)?;
        self.write_checkpoints()?;
        self.log().remove_old_segments(NOW)?;
        self.unlink()
    }

    fn expire(&mut self) -> Result<(), LogError> {
        let (flushed, config) = (self.told.flushed, self.log().config().clone());
        let retention_bytes_max = Some(u64::from(config.segment_bytes_max));
        self.log().set_config(LogConfig { retention_bytes_max, ..config.clone() });
        // Where the segments end that go the log knows; not behind what is durable.
        let start = self.told.now.start;
        self.told.now.start = flushed.max(start);
        while self.log().remove_expired(flushed, NOW)?.is_some() {}
        self.told.now.start = self.log().log_start_offset().max(start);
        self.log().set_config(config);
        self.unlink()
    }

    fn unlink(&mut self) -> Result<(), LogError> {
        match self.log().begin_unlink(Timestamp(i64::MAX)) {
            Some(plan) => Ok(plan.run().map(drop)?),
            None => Ok(()),
        }
    }
}

/// Opens the log as the files of its directory say.
pub(crate) fn start<D: Disk>(disk: &D, on_damage: OnDamage) -> Result<Log<D>, LogError> {
    start_in(disk, on_damage, None)
}

/// The same where it is known in which epoch the partition is led.
pub(crate) fn start_in<D: Disk>(
    disk: &D,
    on_damage: OnDamage,
    leader_epoch: Option<LeaderEpoch>,
) -> Result<Log<D>, LogError> {
    let root = Path::new(ROOT);
    let of = |kind| {
        let offsets = checkpoint::read_offsets(disk, root, kind)?;
        Ok::<_, LogError>(offsets.get(&key()).copied().unwrap_or(Offset::ZERO))
    };
    let how = OpenLog {
        clean: clean_stop::read(disk, root)?.is_some(),
        recovery_point: of(OffsetKind::RecoveryPoint)?,
        log_start: of(OffsetKind::LogStart)?,
        cleaned_to: of(OffsetKind::CleanerPoint)?,
        on_damage,
        leader_epoch,
        topic_id: Some(TOPIC),
        ..OpenLog::default()
    };
    clean_stop::remove(disk, root)?;
    Log::open(disk.clone(), DIR.into(), small(), how, NOW)
}

/// Closes the log and leaves its directory clean.
pub(crate) fn stop<D: Disk>(disk: &D, log: Log<D>) -> Result<(), LogError> {
    let log_start = log.log_start_offset();
    let end = log.close()?;
    checkpoint(disk, OffsetKind::RecoveryPoint, end)?;
    checkpoint(disk, OffsetKind::LogStart, log_start)?;
    Ok(clean_stop::write(disk, Path::new(ROOT), 1)?)
}

fn checkpoint<D: Disk>(disk: &D, kind: OffsetKind, offset: Offset) -> Result<(), LogError> {
    let offsets = PartitionOffsets::from([(key(), offset)]);
    Ok(checkpoint::write_offsets(disk, Path::new(ROOT), kind, &offsets)?)
}

pub(crate) fn key() -> (Str, PartitionId) {
    ("t".into(), PartitionId(0))
}

/// A batch as it lies in the log: neither field is under the checksum.
fn as_stored(batch: &[u8], base: Offset, epoch: LeaderEpoch) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[..8].copy_from_slice(&base.0.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.0.to_be_bytes());
    bytes.into()
}

fn append_fails(error: AppendError) -> LogError {
    match error {
        AppendError::Log(error) => error,
        other => panic!("not the disk's fault: {other}"),
    }
}

fn read_fails(error: dohle_log::ReadError) -> LogError {
    match error {
        dohle_log::ReadError::Log(error) => error,
        other => panic!("not the disk's fault: {other}"),
    }
}
