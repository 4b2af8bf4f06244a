//! What a log's user has been told, and whether a log that was opened after a fault agrees.
//!
//! The log must be a prefix of what was appended, byte for byte, not shorter than what was flushed;
//! what it knows of epochs and producers must be what its batches say; it must go on; and nothing
//! may lie about in its directory. A log that is refused must name damage with valid data behind
//! it, which only what was not flushed may have, and open when it may be cut there.

use std::path::Path;

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{
    Corruption, DamageReason, Disk, DiskFile, Log, LogError, OnDamage, Origin, ProducerState,
    ReadError, ReadRange, sim::SimDisk,
};
use dohle_records::{BatchView, sequence_after, split_batches};

use crate::{kit::*, script::start};

/// What a log may be: where it starts, and every batch that was in it from offset 0 on.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) start: Offset,
    pub(crate) batches: Vec<Bytes>,
}

/// What the user of a log has been told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// What the log is.
    pub(crate) now: History,
    /// What it may be as well, while an operation is under way.
    pub(crate) doubt: Option<History>,
    /// Up to where it is durable.
    pub(crate) flushed: Offset,
    /// The start that is durable.
    pub(crate) start_kept: Offset,
    /// How many batches were made: each is another.
    pub(crate) made: usize,
}

impl History {
    pub(crate) fn end(&self) -> Offset {
        self.batches.last().map_or(self.start, |batch| next_offset(batch).max(self.start))
    }

    /// With a batch more.
    pub(crate) fn and(&self, batch: Bytes) -> Self {
        let mut batches = self.batches.clone();
        batches.push(batch);
        Self { start: self.start, batches }
    }

    /// Without the batches that end at `end` or behind.
    pub(crate) fn up_to(&self, end: Offset) -> Self {
        let batches = self.batches.iter().filter(|batch| next_offset(batch) <= end);
        Self { start: self.start, batches: batches.cloned().collect() }
    }

    /// Whether a log that starts at `start` with these batches is a part of it.
    fn has(&self, start: Offset, found: &[Bytes]) -> bool {
        let readable = self.batches.iter().filter(|batch| next_offset(batch) > start);
        let same = readable.zip(found).take_while(|(told, found)| told == found);
        same.count() == found.len()
    }
}

fn next_offset(batch: &[u8]) -> Offset {
    BatchView::parse(batch).expect("made or checked here").next_offset()
}

/// All that can be read.
pub(crate) fn read_log<D: Disk>(log: &mut Log<D>) -> Result<Vec<Bytes>, ReadError> {
    let (mut from, up_to) = (log.log_start_offset(), log.log_end_offset());
    let mut batches = Vec::new();
    loop {
        let range = ReadRange { from, up_to, size_max: 100_000, at_least_one: true };
        let Some(slice) = log.read(range)? else { return Ok(batches) };
        let damaged = |error| {
            let reason = DamageReason::Batch(error);
            LogError::from(Corruption::new(slice.file.path(), slice.position, reason))
        };
        for batch in split_batches(&slice.read()?).map_err(damaged)? {
            from = batch.view().next_offset();
            batches.push(batch.into_bytes());
        }
    }
}

impl Told {
    /// Whether a log that was opened is what it may be.
    pub(crate) fn admits<D: Disk>(&self, log: &mut Log<D>) -> Result<Vec<Bytes>, String> {
        let found = read_log(log).map_err(|error| error.to_string())?;
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        if let Some(bad) = found.iter().find(|batch| !is_whole(batch)) {
            return Err(format!("a batch that is damaged is served: {}", tell(bad)));
        }
        if start < self.start_kept {
            return Err(format!("starts at {start}, {} was durable", self.start_kept));
        }
        if end < self.flushed {
            return Err(format!("ends at {end}, {} was durable", self.flushed));
        }
        if found.last().is_some_and(|batch| next_offset(batch) != end) {
            return Err(format!("ends at {end}, not behind its last batch"));
        }
        let mut histories = [Some(&self.now), self.doubt.as_ref()].into_iter().flatten();
        // While nothing is durable, the name of the first segment can be lost alone.
        let begins = |history: &History| start <= history.start || self.flushed <= history.start;
        if histories.any(|history| begins(history) && history.has(start, &found)) {
            return Ok(found);
        }
        let read = found.iter().map(|batch| tell(batch)).collect::<Vec<_>>().join("; ");
        let told = self.now.batches.iter().map(|batch| tell(batch)).collect::<Vec<_>>().join("; ");
        Err(format!("not what was appended: from {start} {read}\nbut {told}"))
    }

    /// Whether there is anything that a power cut may take.
    fn is_settled(&self) -> bool {
        self.doubt.is_none() && self.flushed >= self.now.end()
    }

    /// Opens what is left on the disk and holds it against what was told.
    pub(crate) fn check(&self, disk: &SimDisk) -> Result<(), String> {
        let disk = &disk.fork();
        let mut log = match start(disk, OnDamage::Refuse) {
            Ok(log) => log,
            Err(LogError::Corrupt(corruption)) => {
                let is_torn = corruption.valid_at.is_none();
                if is_torn || corruption.synced_to.is_some() || self.is_settled() {
                    return Err(format!("refused: {corruption}"));
                }
                start(disk, OnDamage::Cut).map_err(|error| error.to_string())?
            }
            Err(error) => return Err(error.to_string()),
        };
        let found = self.admits(&mut log)?;
        self.check_epochs(&log, &found)?;
        check_producers(disk, &log)?;
        check_names(disk, &log)?;
        check_repeated(&mut log, &found)?;
        goes_on(disk, log)
    }

    /// Each batch is of the epoch that the log tells, and the epochs ascend within the log. Of what
    /// was deleted, and came back since the start was not durable yet, the epoch may be gone.
    fn check_epochs(&self, log: &Log<SimDisk>, found: &[Bytes]) -> Result<(), String> {
        let start = self.now.start.max(log.log_start_offset());
        for batch in found {
            let header = BatchView::parse(batch).expect("checked before").header();
            let told = log.epoch_of(header.base_offset());
            if told != header.partition_leader_epoch() && header.base_offset() >= start {
                return Err(format!("epoch {told} is told of {}: {:?}", tell(batch), log.epochs()));
            }
        }
        let epochs = log.epochs();
        let ascend = epochs.windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start < w[1].start);
        let within = epochs.iter().all(|entry| entry.start <= log.log_end_offset());
        if ascend && within { Ok(()) } else { Err(format!("epochs {epochs:?}")) }
    }
}

fn is_whole(batch: &[u8]) -> bool {
    BatchView::parse(batch).is_ok_and(|view| view.check_crc().is_ok())
}

fn tell(batch: &[u8]) -> String {
    let Ok(view) = BatchView::parse(batch) else { return "no batch".to_owned() };
    let header = view.header();
    format!(
        "{}..{} in {}",
        header.base_offset(),
        view.next_offset(),
        header.partition_leader_epoch()
    )
}

/// What is known of producers is what the batches tell. A snapshot knows less of what lies behind the
/// log's start, a producer's last batch only, and more of what lies before.
fn check_producers(disk: &SimDisk, log: &Log<SimDisk>) -> Result<(), String> {
    let replayed = disk.fork();
    for entry in replayed.list(Path::new(DIR)).map_err(|error| error.to_string())? {
        if entry.name.ends_with(".snapshot") {
            replayed.remove(&Path::new(DIR).join(entry.name)).map_err(|e| e.to_string())?;
        }
    }
    let replayed = start(&replayed, OnDamage::Cut).map_err(|error| error.to_string())?;
    let log_start = log.log_start_offset();
    let last = |state: &ProducerState| state.batches().last().copied();
    let is_same = |known: &ProducerState, told: &ProducerState| {
        if log_start > Offset::ZERO {
            return known.epoch == told.epoch && last(told).is_none_or(|b| last(known) == Some(b));
        }
        let rest = |state: &ProducerState| {
            (state.epoch, state.coordinator_epoch, state.last_timestamp, state.transaction_start)
        };
        rest(known) == rest(told)
            && last(known) == last(told)
            && told.batches().ends_with(known.batches())
    };
    let is_within =
        |state: &&ProducerState| last(state).is_none_or(|batch| batch.last_offset >= log_start);
    for told in replayed.producers().filter(is_within) {
        let known = log.producer(told.id);
        if !known.is_some_and(|known| is_same(known, told)) {
            return Err(format!("{known:?} is known where the batches tell {told:?}"));
        }
    }
    let mut within = log.producers().filter(|state| last(state).is_some() && is_within(state));
    match within.find(|state| replayed.producer(state.id).is_none()) {
        Some(state) => Err(format!("{state:?} is known, which no batch tells")),
        None => Ok(()),
    }
}

/// The last five batches of each producer that is known are known, too: sent again, from the first one
/// on, they are answered and not stored.
fn check_repeated(log: &mut Log<SimDisk>, found: &[Bytes]) -> Result<(), String> {
    let known = log.producers().map(|state| (state.id, state.epoch)).collect::<Vec<_>>();
    let (epoch, end) = (LeaderEpoch(log.latest_epoch().0.max(0)), log.log_end_offset());
    for known in known {
        let mut next = None;
        let last = found.iter().rev().filter(|batch| {
            let header = BatchView::parse(batch).expect("checked before").header();
            (header.producer_id(), header.producer_epoch()) == known
                && !header.attributes().is_control()
        });
        // One that was forgotten meanwhile has begun anew.
        let mut last: Vec<_> = last
            .take_while(|batch| {
                let header = BatchView::parse(batch).expect("checked before").header();
                let joins = next.is_none_or(|n| sequence_after(header.last_sequence(), 1) == n);
                next = Some(header.base_sequence());
                joins
            })
            .take(5)
            .collect();
        last.reverse();
        for batch in last {
            let header = BatchView::parse(batch).expect("checked before").header();
            let again = log.append_as_leader(batch, epoch, Origin::Client, NOW);
            let is_known = again.as_ref().is_ok_and(|again| {
                again.duplicate
                    && again.base_offset == header.base_offset()
                    && again.last_offset == header.last_offset()
            });
            if !is_known {
                return Err(format!("{} of {known:?} came again: {again:?}", tell(batch)));
            }
        }
    }
    if log.log_end_offset() == end { Ok(()) } else { Err("was stored again".to_owned()) }
}

/// Nothing lies in the directory that does not belong to the log.
fn check_names(disk: &SimDisk, log: &Log<SimDisk>) -> Result<(), String> {
    let bases = |name: &str| name.get(..20).and_then(|digits| digits.parse().ok()).map(Offset);
    let entries = disk.list(Path::new(DIR)).map_err(|error| error.to_string())?;
    let names = entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    let has_log = |base: Offset| names.contains(&format!("{base:020}.log"));
    for name in &names {
        let belongs = match name.split_once('.') {
            Some((_, "snapshot")) => bases(name).is_some_and(|base| base <= log.log_end_offset()),
            Some((_, "log" | "index" | "timeindex" | "txnindex")) => {
                bases(name).is_some_and(has_log)
            }
            _ => matches!(
                name.trim_end_matches(".tmp"),
                "leader-epoch-checkpoint" | "partition.metadata" | "partition"
            ),
        };
        let waits = name.ends_with(".deleted") && log.next_unlink().is_some();
        if !belongs && !waits {
            return Err(format!("{name} is left over in {names:?}"));
        }
    }
    Ok(())
}

/// The log takes an append, and once it is closed a start after a clean stop finds it as it was.
fn goes_on(disk: &SimDisk, mut log: Log<SimDisk>) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("does not go on: {error}");
    let epoch = LeaderEpoch(log.latest_epoch().0.max(0) + 1);
    log.append_as_leader(&records(1).bytes(), epoch, Origin::Client, NOW)
        .map_err(|e| failed(&e))?;
    let before = read_log(&mut log).map_err(|error| failed(&error))?;
    crate::script::stop(disk, log).map_err(|error| failed(&error))?;
    disk.restart(0);
    let mut log = start(disk, OnDamage::Refuse).map_err(|error| failed(&error))?;
    let after = read_log(&mut log).map_err(|error| failed(&error))?;
    let scanned = log.recovery().segments_scanned;
    if after == before && scanned == 0 {
        return Ok(());
    }
    Err(format!(
        "{} batches were closed, {} are there, {scanned} scanned",
        before.len(),
        after.len()
    ))
}
