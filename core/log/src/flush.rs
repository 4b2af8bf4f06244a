//! Making a log durable.
//!
//! The sync itself is slow and must not be made under the lock that guards a log. So it has three
//! steps: `begin_flush` under the lock says what to write and to sync, `FlushPlan::run` does it
//! without, and `finish_flush` under the lock notes it. One thread runs the plans of all partitions
//! of a log directory; where they are many, it may sync the volume as a whole instead, twice for all:
//! [`FlushPlan::write`], sync, [`FlushPlan::replace`], sync.
//!
//! A flush moves the recovery point: a start after a crash reads the log from there on. What it then
//! takes on trust is written with it: leader epochs always, and once in a while, because they cost a
//! file each, indexes and producers' state.
//!
//! After a plan fails its log directory is dead: nothing of it may be acknowledged any more, and
//! the plan must not be run again.

use std::{path::PathBuf, sync::Arc};

use dohle_base::{Offset, TopicId};

use crate::{
    aborts::AbortsWrite,
    checkpoint,
    config::LogConfig,
    disk::{self, Disk, DiskFile, IoError, OpenMode},
    epoch_cache::EpochStart,
    error::LogError,
    log::Log,
    names::{FileKind, SegmentFile},
    names_sync::Names,
    partition_metadata,
    producer_state::snapshot,
    segment::{Dir, SavedIndexes, Segment},
};

/// How many bytes of a log a start after a crash may have to read because the side files are older
/// than the recovery point. Source: a hundred such partitions are read in a tenth of a second.
const SIDE_INTERVAL: u32 = 1 << 20;

/// What to write and to sync so that a log survives up to where it ended when the plan was made.
#[derive(Debug)]
#[must_use = "nothing is durable before the plan has run"]
pub struct FlushPlan<D: Disk> {
    dir: Dir<D>,
    /// Side files of the segment that is written.
    writes: Vec<SideWrite>,
    /// Indexes of aborted transactions that there was no room for.
    aborts: Vec<AbortsWrite>,
    /// Sealed segments without indexes, which there was no room for, and their bytes.
    /// None if they are left out.
    unindexed: Option<Vec<(Offset, u32)>>,
    config: Arc<LogConfig>,
    /// The file of epochs, if it is to be replaced.
    epochs: Option<String>,
    /// Whose the directory is, if it does not say so durably.
    topic: Option<TopicId>,
    /// Snapshots that a newer one makes useless: no segment begins with them.
    obsolete: Vec<Offset>,
    /// Open files with batches.
    logs: Vec<D::File>,
    /// All other files, by path.
    sides: Vec<PathBuf>,
    sync_dir: bool,
    sync_parent: bool,
    needs_volume: bool,
    done: Flushed,
}

/// Bytes to be written at a position of a file.
#[derive(Debug)]
struct SideWrite {
    file: SegmentFile,
    position: usize,
    bytes: Vec<u8>,
}

/// What a plan that has run made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    end: Offset,
    truncations: u64,
    /// The oldest and the newest epoch that the file tells.
    epochs: Option<(EpochStart, EpochStart)>,
    /// Whether the files are then as a clean stop leaves them.
    closes: bool,
    /// Whether all sealed segments have their indexes.
    is_indexed: bool,
    /// Which names are durable, if they are synced.
    names: Option<Names>,
    sides: Option<SideFiles>,
}

/// The side files that a plan has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SideFiles {
    saved: SidesSaved,
    indexes: SavedIndexes,
    snapshot: Option<Offset>,
    /// The oldest snapshot that a start may still want.
    needed: Offset,
}

/// How far the side files go of the segment that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SidesSaved {
    /// The segment that was written then.
    pub(crate) base: Offset,
    /// How long it was.
    pub(crate) size: u32,
}

impl Flushed {
    /// The offset up to which the log is durable, unless it was truncated in the meantime.
    pub fn end(&self) -> Offset {
        self.end
    }
}

impl<D: Disk> FlushPlan<D> {
    /// Writes and syncs; not for one that [needs the volume](Self::needs_volume) synced between the two.
    ///
    /// # Errors
    /// The log directory is dead.
    pub fn run(mut self) -> Result<Flushed, IoError> {
        self.write()?;
        self.sync()
    }

    /// Whether a sync of the volume is to come after `write`, whatever is synced besides: something was
    /// written to a file that is open no more.
    pub fn needs_volume(&self) -> bool {
        self.needs_volume
    }

    /// Holds no open files any more: the volume is to be synced as a whole.
    pub fn let_files_go(&mut self) {
        self.needs_volume |= !self.logs.is_empty();
        self.logs.clear();
    }

    /// Leaves out indexes that sealed segments lack: to make one takes as long as to read a segment's heads.
    pub fn leave_out_indexes(&mut self) {
        self.unindexed = None;
    }

    /// Leaves out the side files, for which a full disk has no room. What is then synced is all that
    /// makes the batches durable, and whose they are, which was written before them; but a start after a
    /// crash must read them: the recovery point stays, see [`Log::give_up_flush`].
    pub fn leave_out_sides(&mut self) {
        self.writes.clear();
        self.aborts.clear();
        self.unindexed = None;
        self.epochs = None;
        self.obsolete.clear();
    }

    /// Syncs, once `write` has written.
    ///
    /// # Errors
    /// The log directory is dead.
    pub fn sync(mut self) -> Result<Flushed, IoError> {
        for log in &self.logs {
            log.sync()?;
        }
        let written = self.writes.iter().map(|write| self.dir.path().join(write.file.name()));
        let aborts = self.aborts.iter().map(|write| self.dir.file(write.base, FileKind::TxnIndex));
        let epochs = self.epochs.as_ref().map(|_| disk::beside(&self.epochs_path()));
        let owner = self.topic.map(|_| self.dir.path().join(partition_metadata::FILE_NAME));
        for side in
            written.chain(aborts).chain(epochs).chain(owner).chain(self.sides.iter().cloned())
        {
            match self.dir.disk.open(&side, OpenMode::Read) {
                Ok(file) => file.sync()?,
                // Retention or truncation was faster.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.sync_dir |= self.epochs.is_some() || self.topic.is_some();
        if let Some(owner) = self.put_in_place()? {
            owner.sync()?;
        }
        let parent = self.dir.path().parent().filter(|_| self.sync_parent);
        for dir in parent.into_iter().chain(self.sync_dir.then_some(self.dir.path())) {
            match self.dir.disk.sync_dir(dir) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        self.done()
    }

    /// Writes the side files.
    ///
    /// # Errors
    /// `Io`; the recovery point stays where it is.
    pub fn write(&mut self) -> Result<(), IoError> {
        unless_gone(self.write_sides())?;
        self.done.is_indexed = self.write_indexes()?;
        Ok(())
    }

    /// Makes the indexes of sealed segments that lack them; `false` if they are left out or there is no
    /// room: they can wait.
    fn write_indexes(&mut self) -> Result<bool, IoError> {
        let Some(unindexed) = self.unindexed.take() else { return Ok(false) };
        for (base, size) in unindexed {
            let kinds = [FileKind::OffsetIndex, FileKind::TimeIndex];
            match Segment::index_anew(&self.dir, (base, size), &self.config) {
                Ok(()) => {
                    self.sides.extend(kinds.map(|kind| self.dir.file(base, kind)));
                    self.sync_dir = true;
                }
                Err(LogError::Io(error)) if error.is_full() => {
                    // A part of one would be taken for the whole.
                    kinds.iter().try_for_each(|kind| self.dir.remove(base, *kind))?;
                    return Ok(false);
                }
                // Retention or truncation was faster.
                Err(LogError::Io(error)) if error.is_not_found() => {}
                Err(LogError::Io(error)) => return Err(error),
                // Damaged since: whoever reads it finds that out.
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn write_sides(&mut self) -> Result<(), IoError> {
        for SideWrite { file, position, bytes } in &self.writes {
            self.dir.write_at(file.base, file.kind, bytes, *position as u64)?;
        }
        self.aborts.iter().try_for_each(|write| write.run(&self.dir))?;
        let Dir { disk, path } = &self.dir;
        if let Some(text) = &self.epochs {
            disk::write_beside(disk, &self.epochs_path(), text.as_bytes())?;
        }
        self.topic.map_or(Ok(()), |topic| partition_metadata::write_early(disk, path, topic))
    }

    /// Puts what is replaced as a whole in its place, once what `write` wrote is durable.
    ///
    /// # Errors
    /// As `write`.
    pub fn replace(&mut self) -> Result<(), IoError> {
        self.put_in_place().map(|_| ())
    }

    /// Removes what is of no use once all is synced that `replace` did, and says what is durable.
    ///
    /// # Errors
    /// As `write`.
    pub fn done(self) -> Result<Flushed, IoError> {
        self.obsolete.iter().try_for_each(|at| self.dir.remove(*at, FileKind::Snapshot))?;
        Ok(self.done)
    }

    /// As `replace`; returns the file that says whose the directory is, if it has changed.
    fn put_in_place(&mut self) -> Result<Option<D::File>, IoError> {
        let path = self.epochs_path();
        if self.epochs.take().is_some() {
            unless_gone(self.dir.disk.rename(&disk::beside(&path), &path))?;
        }
        let Some(topic) = self.topic.take() else { return Ok(None) };
        let noted = partition_metadata::note_durable(&self.dir.disk, self.dir.path(), topic);
        Ok(unless_gone(noted)?.flatten())
    }

    fn epochs_path(&self) -> PathBuf {
        self.dir.path().join(checkpoint::LEADER_EPOCH_FILE)
    }
}

impl<D: Disk> Log<D> {
    /// What to sync to make all that is in the log durable; `None` if it is.
    ///
    /// # Errors
    /// The log is closed since a write failed.
    pub fn begin_flush(&mut self) -> Result<Option<FlushPlan<D>>, LogError> {
        self.check_usable()?;
        let aborts = self.segments.iter().filter_map(Segment::begin_save_aborts);
        let aborts = aborts.collect::<Vec<_>>();
        if self.recovery_point >= self.log_end && !self.names_changed && aborts.is_empty() {
            return Ok(None);
        }
        let first = self.floor(self.recovery_point);
        self.closed_planned |= std::mem::take(&mut self.closed_unflushed);
        let sync_dir = std::mem::take(&mut self.names_changed) || !aborts.is_empty();
        let mut plan = FlushPlan {
            dir: self.dir.clone(),
            writes: Vec::new(),
            sync_dir,
            aborts,
            unindexed: Some(self.unindexed()),
            config: Arc::clone(&self.config),
            epochs: self.unsaved_epochs.then(|| checkpoint::epochs_text(self.epochs.entries())),
            topic: self.unsaved_topic,
            obsolete: Vec::new(),
            logs: Vec::new(),
            sides: Vec::new(),
            sync_parent: std::mem::take(&mut self.parent_changed),
            needs_volume: self.closed_planned,
            done: Flushed {
                end: self.log_end,
                truncations: self.truncations,
                epochs: self.epochs.ends(),
                closes: false,
                is_indexed: false,
                names: sync_dir.then(|| self.names_now()),
                sides: None,
            },
        };
        let SidesSaved { base, size } = self.sides_saved;
        let active = self.active();
        // Rolling has begun new ones.
        let saved = if active.base == base { size } else { 0 };
        if active.size.saturating_sub(saved) >= SIDE_INTERVAL {
            self.plan_sides(&mut plan);
        }
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let is_sealed = segment.indexes.is_none();
            // Also of one whose batches were synced when it was written still.
            if is_sealed && (std::mem::take(&mut segment.unsynced_indexes) || index >= first) {
                plan.sides.push(self.dir.file(segment.base, FileKind::OffsetIndex));
                plan.sides.push(self.dir.file(segment.base, FileKind::TimeIndex));
            }
            if index < first || segment.is_unwritten() {
                continue;
            }
            match segment.open_file() {
                Some(file) => plan.logs.push(file.clone()),
                None => plan.sides.push(self.dir.file(segment.base, FileKind::Log)),
            }
            if segment.has_aborts {
                plan.sides.push(self.dir.file(segment.base, FileKind::TxnIndex));
            }
        }
        Ok(Some(plan))
    }

    fn unindexed(&self) -> Vec<(Offset, u32)> {
        let lacking = self.segments.iter().filter(|segment| segment.lacks_indexes);
        lacking.map(|segment| (segment.base, segment.size)).collect()
    }

    /// Adds what of the indexes is not in their files yet, and the producers' state.
    fn plan_sides(&self, plan: &mut FlushPlan<D>) {
        let segment = self.active();
        let Some(indexes) = &segment.indexes else { return };
        let (base, saved) = (segment.base, indexes.saved);
        let mut write = |kind, base, bytes: &[u8], position: usize| {
            let bytes = bytes.get(position..).unwrap_or_default().to_vec();
            let file = SegmentFile::current(base, kind);
            plan.writes.push(SideWrite { file, position, bytes });
        };
        write(FileKind::OffsetIndex, base, indexes.offsets.bytes(), saved.offsets);
        write(FileKind::TimeIndex, base, indexes.times.bytes(), saved.times);
        let end = self.producers.end();
        let is_news = self.snapshots.last().is_none_or(|last| *last < end) && end > self.log_start;
        // A start needs one at its recovery point or before, and does not hear of this flush before the
        // whole directory is flushed.
        let needed = self.snapshots.range(..=self.recovery_point).next_back().copied();
        let needed = needed.unwrap_or(Offset::ZERO);
        if is_news {
            write(FileKind::Snapshot, end, &snapshot::encode(&self.producers), 0);
            let begins_segment = |offset| self.segments.iter().any(|s| s.base == offset);
            let former = self.snapshots.range(..needed).copied();
            plan.obsolete = former.filter(|offset| !begins_segment(*offset)).collect();
        }
        plan.sync_dir = true;
        let snapshot = is_news.then_some(end);
        let indexes = indexes.sizes();
        let saved = SidesSaved { base, size: segment.size };
        plan.done.sides = Some(SideFiles { saved, indexes, snapshot, needed });
    }

    /// Notes that a plan has run.
    pub fn finish_flush(&mut self, done: Flushed) {
        if done.truncations != self.truncations {
            return;
        }
        self.recovery_point = self.recovery_point.max(done.end);
        self.closed_planned = false;
        done.names.into_iter().for_each(|names| self.note_names(names));
        self.unsaved_epochs &= done.epochs != self.epochs.ends();
        self.unsaved_topic = None;
        self.segments.iter_mut().for_each(|segment| segment.finish_save_aborts(done.end));
        if done.is_indexed {
            self.segments.iter_mut().for_each(|segment| segment.lacks_indexes = false);
        }
        self.as_closed |= done.closes && done.end == self.log_end;
        let Some(sides) = done.sides else { return };
        self.sides_saved = sides.saved;
        if let Some(newest) = sides.snapshot {
            let segments = &self.segments;
            let is_kept = |at| at >= sides.needed || segments.iter().any(|s| s.base == at);
            self.snapshots.retain(|at| is_kept(*at));
            self.snapshots.insert(newest);
        }
        let segment = self.segments.iter_mut().find(|segment| segment.base == sides.saved.base);
        if let Some(indexes) = segment.and_then(|segment| segment.indexes.as_mut()) {
            indexes.saved = sides.indexes;
        }
    }

    /// Notes that a plan could not be carried out although the disk is sound: it was full. The next
    /// one makes up for it.
    pub fn give_up_flush(&mut self) {
        self.names_changed = true;
        self.parent_changed = true;
        for segment in self.segments.iter_mut().filter(|segment| segment.indexes.is_none()) {
            segment.unsynced_indexes = true;
        }
    }

    /// Makes all that is in the log durable, here and now, if none of its files was closed unflushed: of those
    /// only the volume can tell, see [`FlushPlan::needs_volume`].
    ///
    /// # Errors
    /// `Io`: the log directory is dead.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if let Some(plan) = self.begin_flush()? {
            let done = plan.run().inspect_err(|_| self.poisoned = true)?;
            self.finish_flush(done);
        }
        Ok(())
    }

    /// Gives up a log whose directory is to be removed: its files are complete, for whoever reads
    /// the directory before, and nothing is synced.
    ///
    /// # Errors
    /// `Io`: an index is missing there.
    pub fn abandon(mut self) -> Result<(), LogError> {
        for segment in &self.segments {
            segment.begin_save_aborts().map_or(Ok(()), |write| write.run(&self.dir))?;
        }
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        if !segment.is_unwritten() {
            segment.write_indexes(&self.dir)?;
        }
        Ok(())
    }

    /// Ends the log cleanly and durably: what a start after a clean stop relies on is there.
    /// Returns the log's end, which is now its recovery point.
    ///
    /// # Errors
    /// The stop was not clean: the directory's clean-stop file must not be written.
    pub fn close(mut self) -> Result<Offset, LogError> {
        if let Some(plan) = self.begin_close()? {
            let done = plan.run().inspect_err(|_| self.poisoned = true)?;
            self.finish_flush(done);
        }
        Ok(self.log_end)
    }

    /// Writes what a start after a clean stop relies on, and says what to sync: with that, and if
    /// nothing is appended in between, `close` has nothing to do. `None` if there is nothing to sync.
    ///
    /// # Errors
    /// As `close`.
    pub fn begin_close(&mut self) -> Result<Option<FlushPlan<D>>, LogError> {
        self.check_usable()?;
        if self.segments.iter().all(|segment| segment.is_unwritten()) {
            if let Some(topic) = self.unsaved_topic {
                // Kafka would set the directory aside.
                partition_metadata::write_early(&self.dir.disk, self.dir.path(), topic)?;
            }
            return Ok(None);
        }
        if self.as_closed && !self.names_changed && !self.unsaved_epochs {
            return Ok(None);
        }
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        // First, for what follows needs some.
        segment.give_back_all(&self.dir)?;
        self.sweep_snapshots()?;
        if self.log_end > self.snapshots.last().copied().unwrap_or(Offset::ZERO) {
            self.put_snapshot(self.log_end, &snapshot::encode(&self.producers))?;
        }
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        segment.write_indexes(&self.dir)?;
        let base = segment.base;
        self.names_changed = true;
        let mut plan = self.begin_flush()?;
        if let Some(plan) = &mut plan {
            plan.done.closes = true;
            let indexes = [FileKind::OffsetIndex, FileKind::TimeIndex];
            plan.sides.extend(indexes.map(|kind| self.dir.file(base, kind)));
            let snapshot = self.snapshots.last().map(|at| self.dir.file(*at, FileKind::Snapshot));
            plan.sides.extend(snapshot);
        }
        Ok(plan)
    }
}

/// What was done to a file whose topic was deleted meanwhile need not be done.
fn unless_gone<T>(done: Result<T, IoError>) -> Result<Option<T>, IoError> {
    match done {
        Err(error) if error.is_not_found() => Ok(None),
        done => done.map(Some),
    }
}
