//! Opening a log, after a clean stop or a crash.
//!
//! After a clean stop only what lies behind the last index entry is walked. After a crash every
//! segment from the recovery point on is read, checked and indexed anew, and:
//!
//! - bytes at the end that are no batch, with nothing valid behind them, are a torn tail: cut;
//! - bytes that are no batch with a valid batch behind them are damage: the log is not opened,
//!   unless the caller says to cut there, too, because it can get the rest from elsewhere or has
//!   been promised nothing about it; so is a whole batch whose offset cannot be there;
//! - what had been synced is never cut off, nor missed in silence.
//!
//! Source: interop facts A.9; the second rule is ours, Kafka cuts.

mod damage;
mod epochs;
mod how;
mod producers;
mod room;
mod told;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use dohle_base::{Offset, Timestamp, TopicId};
use dohle_records::Entry;

pub use self::how::{Cut, Mended, OnDamage, OpenLog, Recovery, Synced, WrongStart};
use crate::{
    checkpoint::SideFileError,
    config::LogConfig,
    deleted::Deleted,
    disk::{Disk, DiskFile},
    epoch_cache::{EpochCache, EpochStart},
    error::{Corruption, DamageReason, LogError},
    flush::SidesSaved,
    load::{self, Found},
    log::Log,
    names::FileKind,
    names_sync::Names,
    offset_index,
    partition_metadata::{self, Owner},
    producer_state::Producers,
    recent::Recent,
    scan::{BatchScan, Head, Scanned},
    segment::{Dir, SEGMENT_SIZE_MAX, Segment},
    split,
};

/// What comes of an attempt to open a log.
enum Opened<D: Disk> {
    Log(Box<Log<D>>),
    /// It has to be opened once more.
    Again(Again),
}

/// Why a log has to be opened once more, and what that is to know.
struct Again {
    /// The segment of this base has to be split first.
    overlong: Option<Offset>,
    before: Before,
}

/// What attempts before have found and done.
#[derive(Clone, Default)]
struct Before {
    /// Why the file of epochs is not to be believed.
    wrong_epochs: Option<SideFileError>,
    mended: Vec<Mended>,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `dir`, which is made if it is missing. Reads what must be read to know that
    /// what the log says is true, and cuts off what a crash has torn.
    ///
    /// # Errors
    /// `Corrupt` for damage that must not be cut off; nothing was cut then. `Io`.
    pub fn open(
        disk: D,
        dir: PathBuf,
        config: impl Into<Arc<LogConfig>>,
        how: OpenLog,
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let (dir, config) = (Dir { disk, path: dir }, config.into());
        if how.distrust_cache {
            dir.turn_to_disk()?;
        }
        let mut before = Before::default();
        loop {
            match Self::open_loaded(dir.clone(), Arc::clone(&config), how, before, now)? {
                Opened::Log(log) => return Ok(*log),
                Opened::Again(again) => {
                    if let Some(base) = again.overlong {
                        split::split(&dir, base)?;
                    }
                    before = again.before;
                }
            }
        }
    }

    fn open_loaded(
        dir: Dir<D>,
        config: Arc<LogConfig>,
        how: OpenLog,
        before: Before,
        now: Timestamp,
    ) -> Result<Opened<D>, LogError> {
        let as_left = how.clean;
        let found = load::load_or_make(&dir, now)?;
        let is_new = found.is_none();
        let unsaved_topic = if is_new { how.topic_id } else { check_topic(&dir, &how)? };
        // Recovery points and starts of logs are told by topics' names. Before either is written
        // down for a partition its directory says whose it is: this is one of a former topic. Where
        // there are no files at all they may be lost.
        let has_files = found.as_ref().is_some_and(|found| !found.segments.is_empty());
        let mut how = match unsaved_topic {
            Some(_) if !how.clean && has_files => {
                let zero = Offset::ZERO;
                OpenLog { recovery_point: zero, log_start: zero, cleaned_to: zero, ..how }
            }
            _ => how,
        };
        let found = found.unwrap_or_default();
        // The last process may not have come to sync what it had written first of all, and its names.
        let is_unflushed = !how.clean && how.recovery_point == Offset::ZERO;
        let unsaved_topic = unsaved_topic.or(how.topic_id.filter(|_| is_unflushed && has_files));
        // From where the batches are read again. They are as durable as they were.
        let mut read_from = how.recovery_point;
        let mut recovery = Recovery { mended: before.mended, ..Recovery::default() };
        recovery.mended.extend(found.mended);
        if let Some((base, reason)) = found.first_without_aborts {
            // A crash may leave those that are read anyway half written.
            if how.clean || base < read_from {
                recovery.mended.push(Mended::Aborts { reason });
            }
            read_from = if how.clean { base } else { read_from.min(base) };
            how.clean = false;
        }
        let wrong_before = before.wrong_epochs.clone();
        let epochs = match wrong_before.map_or_else(|| epochs::read(&dir, &how), |e| Ok(Err(e)))? {
            Ok(epochs) => {
                recovery.told_epoch = Some(epochs.latest());
                epochs
            }
            // The batches tell the epochs, too: read them all.
            Err(wrong) => {
                (how.clean, read_from) = (false, Offset::ZERO);
                recovery.wrong_epochs = Some(wrong);
                EpochCache::default()
            }
        };
        if let Some(wrong) = told::wrong_start(&dir, &how, &epochs, as_left)? {
            how.log_start = wrong.believed;
            recovery.wrong_start = Some(wrong);
        }
        let Found { segments, snapshots, unindexed, mut names_changed, .. } = found;
        let is_new_segment = segments.last().is_some_and(|last| last.base >= how.recovery_point);
        names_changed |= !how.clean && is_new_segment;
        let mut log = Self {
            dir,
            config,
            log_start: how.log_start,
            log_end: Offset::ZERO,
            recovery_point: how.recovery_point,
            segments,
            epochs,
            unsaved_epochs: false,
            unsaved_topic,
            producers: Producers::default(),
            snapshots,
            recent: Recent::default(),
            deleted: Deleted::default(),
            cleaned_to: how.cleaned_to,
            sealed_open: None,
            names_changed,
            removals: 0,
            names_synced: Names::default(),
            parent_changed: is_new || is_unflushed,
            sides_saved: SidesSaved::default(),
            closed_unflushed: false,
            closed_planned: false,
            truncations: 0,
            poisoned: false,
            as_closed: how.clean && unindexed.is_empty(),
            recovery,
        };
        let overlong = log.open_segments(&how, read_from, &unindexed, now)?;
        if log.recovery.told_epoch.is_some()
            && let Some(wrong) = log.recovery.wrong_epochs.take()
        {
            let before = Before { wrong_epochs: Some(wrong), mended: log.recovery.mended };
            return Ok(Opened::Again(Again { overlong: None, before }));
        }
        if overlong.is_some() {
            let before = Before { mended: log.recovery.mended, ..before };
            return Ok(Opened::Again(Again { overlong, before }));
        }
        // One behind the end is judged by how far the log is known to have come.
        if let Some(behind) = log.recovery.wrong_start.take_if(|wrong| wrong.told > log.log_end) {
            how.log_start = behind.told;
        }
        if let Some(last) =
            log.segments.last_mut().filter(|last| !how.clean && !last.is_unwritten())
        {
            last.forget_room();
        }
        log.as_closed &= log.recovery.segments_scanned == 0 && !log.names_changed;
        log.settle(&how, now)?;
        // A close leaves a snapshot at the end.
        let last = log.snapshots.last().copied().unwrap_or(Offset::ZERO);
        log.as_closed &= last == log.log_end;
        let active = log.active();
        log.sides_saved = SidesSaved { base: active.base, size: active.size };
        if !how.clean {
            // It may have been sealed behind the last flush.
            let before = log.floor(log.recovery_point).checked_sub(1);
            let before = before.and_then(|index| log.segments.get_mut(index));
            before.into_iter().for_each(|segment| segment.unsynced_indexes = true);
        }
        Ok(Opened::Log(Box::new(log)))
    }

    /// Finds the end of the log, having read whatever must be: after a crash, from `read_from` on.
    /// Stops at a segment that has to be split first, and says which.
    fn open_segments(
        &mut self,
        how: &OpenLog,
        read_from: Offset,
        unindexed: &BTreeSet<Offset>,
        now: Timestamp,
    ) -> Result<Option<Offset>, LogError> {
        if self.segments.is_empty() {
            // One for now: a node may have very many logs, and most of them have one.
            self.segments.reserve_exact(1);
            self.segments.push(match how.log_start {
                // Its name says from now on where the log begins: nothing else does once the log is empty.
                start if start > Offset::ZERO && start >= how.recovery_point => {
                    Segment::create(&self.dir, start, &self.config, now)?
                }
                start => Segment::unwritten(start, &self.config, now),
            });
            self.log_end = how.log_start;
            self.names_changed = true;
            self.restore_producers(how.log_start, how.clean)?;
            return Ok(None);
        }
        let last = self.segments.len() - 1;
        let mut scan_from = if how.clean { self.segments.len() } else { self.floor(read_from) };
        let mut wrong_index = None;
        if scan_from > last {
            match self.open_last(how, unindexed, &mut wrong_index)? {
                Some(end) => self.log_end = end,
                None => scan_from = last,
            }
        }
        for index in 0..scan_from {
            if self.segments.get(index).is_some_and(|segment| unindexed.contains(&segment.base)) {
                self.rebuild_index(index)?;
            }
        }
        let scanned = self.start_of_scan(scan_from, how, read_from)?;
        if let Some(start) = scanned {
            // Snapshots of what is read again may tell of batches that are gone, but for what is
            // known to be durable.
            let sure = start.max(how.recovery_point);
            self.remove_snapshots(|offset| offset > sure)?;
            self.remove_damaged_snapshots(start)?;
            self.restore_producers(self.known_producers(scan_from, start), false)?;
            let overlong = self.scan_segments(scan_from, start, how)?;
            // Else it may have been right.
            self.recovery.mended.extend(wrong_index.filter(|_| self.recovery.cut.is_none()));
            if self.log_end < self.producers.end() {
                // Possible only where the log's start has left behind what was durable.
                let end = self.log_end;
                self.remove_snapshots(|offset| offset > end)?;
                self.restore_producers(end, false)?;
            }
            return Ok(overlong);
        }
        self.restore_producers(self.log_end, how.clean)?;
        Ok(None)
    }

    /// From which offset on the segments from `index` on are to be read; none if there are none. What
    /// the indexes tell of the batches before the recovery point was made durable with it.
    fn start_of_scan(
        &mut self,
        index: usize,
        how: &OpenLog,
        read_from: Offset,
    ) -> Result<Option<Offset>, LogError> {
        let (dir, config) = (&self.dir, &self.config);
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        let base = segment.base;
        let is_known = !how.clean && read_from > base;
        if is_known
            && segment.aborts_are_readable(dir)?
            && let Some(head) = segment.unseal_before(dir, read_from, config)?
        {
            return Ok(Some(head.base));
        }
        segment.reset(config);
        Ok(Some(base))
    }

    /// Opens the last segment after a clean stop and finds its end; `None` if it must be scanned, and
    /// then what is wrong with its index, if that is why.
    fn open_last(
        &mut self,
        how: &OpenLog,
        unindexed: &BTreeSet<Offset>,
        wrong_index: &mut Option<Mended>,
    ) -> Result<Option<Offset>, LogError> {
        let path = |base| self.dir.file(base, FileKind::OffsetIndex);
        let check = epochs::Check { dir: &self.dir, how };
        let (dir, config) = (&self.dir, &self.config);
        let segment = self.segments.last_mut().expect("checked by the caller");
        if unindexed.contains(&segment.base) {
            let missing = Mended::NoIndex { path: path(segment.base) };
            *wrong_index = Some(missing).filter(|_| segment.size > 0);
            return Ok(None);
        }
        match segment.unseal(dir, config) {
            Err(LogError::Io(error)) => return Err(error.into()),
            // Not what a clean stop leaves.
            Err(_) => return Ok(None),
            Ok(()) => {}
        }
        let base = segment.base;
        let entry = segment.indexes.as_ref().and_then(|indexes| indexes.offsets.last());
        let mut end = base;
        let mut scan = segment.heads(dir, entry.map_or(0, |entry| entry.position))?;
        if let Some(entry) = entry {
            match scan.next() {
                Ok(Some(head)) if (base..=entry.offset).contains(&head.base) => {
                    check.batch(&head, &self.epochs, &mut self.recovery);
                    end = head.last.next();
                }
                Err(LogError::Io(error)) => return Err(error.into()),
                // The index does not belong to these batches.
                _ => {
                    let offsets =
                        segment.indexes.as_ref().map_or(0, |indexes| indexes.sizes().offsets);
                    *wrong_index = Some(Mended::WrongIndex {
                        path: path(base),
                        position: offsets.saturating_sub(offset_index::ENTRY_SIZE) as u64,
                        offset: entry.offset,
                        told: entry.position,
                    });
                    return Ok(None);
                }
            }
        }
        loop {
            match scan.next() {
                Ok(Some(head)) if head.base >= end => {
                    check.batch(&head, &self.epochs, &mut self.recovery);
                    end = head.last.next();
                }
                Ok(None) => return Ok(Some(end)),
                Err(LogError::Io(error)) => return Err(error.into()),
                // Not what a clean stop leaves.
                Ok(Some(_)) | Err(_) => return Ok(None),
            }
        }
    }

    /// Reads, checks and indexes the segments from `first` on, that one from offset `start` on, and cuts
    /// where they end. Stops at one that has to be split first, and says which.
    fn scan_segments(
        &mut self,
        first: usize,
        start: Offset,
        how: &OpenLog,
    ) -> Result<Option<Offset>, LogError> {
        let known = self.epochs.clone();
        let mut index = first;
        while let Some(segment) = self.segments.get(index) {
            let (base, is_new) = (segment.base, segment.size == 0 || index > first);
            if is_new {
                self.producers.advance(base);
                self.write_snapshot_if_room()?;
            }
            let expected = if index == first { start } else { base };
            let (end, damage) = self.scan_segment(index, expected, how)?;
            self.log_end = end;
            if self.recovery.told_epoch.is_some() && self.recovery.wrong_epochs.is_some() {
                // It is read anew before anything is cut.
                return Ok(None);
            }
            let damage = match damage {
                None => self.gap_behind(index, end, how)?,
                damage => damage,
            };
            if let Some((_, DamageReason::OffsetOverflow { .. })) = damage
                && let Some(base) = self.overlong(index)?
            {
                return Ok(Some(base));
            }
            if let Some((position, reason)) = damage {
                self.cut(index, position, reason, how)?;
            }
            index += 1;
            if index < self.segments.len() {
                self.seal_if_room(index - 1)?;
            }
        }
        if self.epochs != known {
            // The flush that moves the recovery point past them saves them. If there will be none,
            // for the file was damaged, it is made anew here.
            self.unsaved_epochs = true;
            if self.log_end <= how.recovery_point {
                self.save_epochs_if_room()?;
            }
        }
        Ok(None)
    }

    /// The base of a segment that can be split where its offsets leave the reach of an index: a
    /// damaged offset looks the same, and cannot.
    fn overlong(&self, index: usize) -> Result<Option<Offset>, LogError> {
        let Some(base) = self.segments.get(index).map(|segment| segment.base) else {
            return Ok(None);
        };
        let next = self.segments.get(index + 1).map(|next| next.base);
        Ok(split::is_overlong(&self.dir, base, next)?.then_some(base))
    }

    /// Reads one segment, the first one from where its indexes end, to its end or to the first byte
    /// that is wrong; says where the log goes on and what was wrong. Producers, epochs and indexes
    /// take in what is right and new to them. What is read begins at `expected` or behind.
    fn scan_segment(
        &mut self,
        index: usize,
        mut expected: Offset,
        how: &OpenLog,
    ) -> Result<(Offset, Option<(u64, DamageReason)>), LogError> {
        let Some(segment) = self.segments.get_mut(index) else { unreachable!("checked by caller") };
        let (dir, config) = (&self.dir, &self.config);
        let check = epochs::Check { dir, how };
        let base = segment.base;
        let file = segment.file(dir)?.clone();
        let size = file.size()?;
        if segment.indexes.is_none() {
            segment.reset(config);
        }
        let start = u64::from(segment.size);
        let mut aborts = if start > 0 { segment.aborts(dir)? } else { Vec::new() };
        aborts.retain(|entry| entry.last_offset < self.producers.end());
        self.recovery.segments_scanned += 1;
        self.recovery.bytes_scanned += size.saturating_sub(start);
        let mut scan = BatchScan::new(&file, start, size);
        let damage = loop {
            let (position, entry) = match scan.next()? {
                Scanned::Entry(position, entry) => (position, entry),
                Scanned::Damaged(position, error) => {
                    break Some((position, DamageReason::Batch(error)));
                }
                Scanned::End => break None,
            };
            let head = match check_entry(&entry, position, base, expected) {
                Ok(head) => head,
                Err(reason) => break Some((position, reason)),
            };
            segment.note(&head, config);
            expected = head.last.next();
            match epochs::of_batch(&head, how).filter(|epoch| *epoch > self.epochs.latest()) {
                Some(epoch) => {
                    self.epochs.assign(EpochStart { epoch, start: head.base });
                }
                None => check.batch(&head, &self.epochs, &mut self.recovery),
            }
            if head.base < self.producers.end() {
                continue;
            }
            let ended = self.producers.apply_entry(&entry);
            aborts.extend(ended.filter(|ended| !ended.committed).map(|ended| ended.aborted()));
        };
        segment.put_aborts(dir, aborts, self.recovery_point)?;
        self.names_changed |= segment.unsaved_aborts.is_some();
        Ok((expected, damage))
    }

    /// Makes the indexes of a sealed segment again. Damage there is no torn tail.
    fn rebuild_index(&mut self, index: usize) -> Result<(), LogError> {
        let Some(segment) = self.segments.get_mut(index) else { return Ok(()) };
        let base = segment.base;
        let size = u64::from(segment.size);
        let file = segment.file(&self.dir)?.clone();
        segment.reset(&self.config);
        if size > 0 {
            let path = self.dir.file(base, FileKind::OffsetIndex);
            self.recovery.mended.push(Mended::NoIndex { path });
        }
        self.recovery.segments_scanned += 1;
        self.recovery.bytes_scanned += size;
        let mut scan = BatchScan::new(&file, 0, size);
        let mut expected = base;
        let (position, reason) = loop {
            let (position, entry) = match scan.next()? {
                Scanned::Entry(position, entry) => (position, entry),
                Scanned::Damaged(position, error) => break (position, DamageReason::Batch(error)),
                Scanned::End => return Ok(self.seal_if_room(index)?),
            };
            match check_entry(&entry, position, base, expected) {
                Ok(head) => {
                    segment.note(&head, &self.config);
                    expected = head.last.next();
                }
                Err(reason) => break (position, reason),
            }
        };
        Err(Corruption::new(&self.dir.file(base, FileKind::Log), position, reason).into())
    }

    /// Makes start, epochs, producers and recovery point agree with the log's end.
    fn settle(&mut self, how: &OpenLog, now: Timestamp) -> Result<(), LogError> {
        // What lies before the log's start is needed no more.
        let durable = self.synced_to(how);
        if self.log_end.max(how.log_start) < durable {
            let segment = self.active();
            let (path, position) = (self.dir.file(segment.base, FileKind::Log), segment.size);
            let reason = DamageReason::Lost { durable, end: self.log_end };
            let synced_to = Some(self.synced_by(how));
            let lost = Corruption { synced_to, ..Corruption::new(&path, position.into(), reason) };
            return Err(lost.into());
        }
        if self.log_end < how.log_start {
            self.check_start(how)?;
            // The files were removed from outside, or lost with an unsynced directory, or a power cut
            // has taken the end of a log of which all that is left had been deleted.
            self.restart_at(how.log_start, now)?;
        }
        let first = self.segments.first().map_or(self.log_end, |segment| segment.base);
        self.log_start = how.log_start.max(first);
        self.recovery_point = match self.recovery.cut.is_none() && how.clean {
            true => self.log_end,
            false => how.recovery_point.min(self.log_end),
        };
        if self.epochs.truncate_end(self.log_end) {
            self.save_epochs_if_room()?;
        }
        // Their head on the disk may be older than the log: see `move_log_start`. After a clean stop it must
        // not be.
        self.unsaved_epochs |= self.epochs.truncate_start(self.log_start);
        self.sweep_snapshots()?;
        // One at the log's start tells of nobody who has a batch in the log.
        let start = self.log_start;
        self.remove_snapshots(|offset| offset <= start)?;
        if how.clean && self.snapshots.is_empty() {
            self.write_first_snapshots()?;
        }
        if !how.clean && self.producers.states().len() > 0 {
            // Before some of them are forgotten.
            self.write_snapshot_if_room()?;
        }
        self.producers.expire(now, self.config.producer_expiration_ms);
        Ok(())
    }
}

/// Whether the directory belongs to the topic that is wanted; that topic if it does not say so
/// durably.
fn check_topic<D: Disk>(dir: &Dir<D>, how: &OpenLog) -> Result<Option<TopicId>, LogError> {
    let Some(wanted) = how.topic_id else { return Ok(None) };
    let read = match partition_metadata::read_owner(&dir.disk, dir.path()) {
        // Torn by the crash: nothing in the directory was durable then.
        Err(SideFileError::Malformed { .. }) if !how.clean && how.recovery_point.0 == 0 => None,
        read => read?,
    };
    match read {
        None => Ok(Some(wanted)),
        Some(Owner { topic, is_durable }) if topic == wanted => Ok((!is_durable).then_some(wanted)),
        Some(Owner { topic: found, .. }) => {
            Err(LogError::OtherTopic { dir: dir.path.clone(), found, wanted })
        }
    }
}

/// Whether an entry at `position` of the segment from `base` is what was written there.
pub(crate) fn check_entry(
    entry: &Entry<'_>,
    position: u64,
    base: Offset,
    expected: Offset,
) -> Result<Head, DamageReason> {
    entry.check_crc().map_err(DamageReason::Batch)?;
    let position = u32::try_from(position).unwrap_or(SEGMENT_SIZE_MAX);
    let head = Head::parse(entry.bytes(), position).map_err(DamageReason::Batch)?;
    if head.base < expected {
        return Err(DamageReason::OffsetOrder { expected, offset: head.base });
    }
    match head.last.0.checked_sub(base.0).map(i32::try_from) {
        Some(Ok(_)) => Ok(head),
        _ => Err(DamageReason::OffsetOverflow { offset: head.last }),
    }
}
