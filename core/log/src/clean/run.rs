//! The long part of a clean, which needs no lock: sealed segments are read, others are written.

use std::path::PathBuf;

use dohle_base::Offset;
use dohle_records::{BatchError, Entry};

use crate::{
    disk::{Disk, DiskFile, OpenMode, remove_if_there},
    error::{Corruption, DamageReason, LogError},
    log::Log,
    names::{FileKind, FileStage, SegmentFile},
    recover::check_entry,
    scan::{BatchScan, Head, Scanned},
    segment::Segment,
    txn_index::AbortedTransaction,
};

use super::{
    CleanError, CleanMemory, Meter, Pace,
    filter::{Filter, Filtered, Kept},
    groups::first_group,
    keys::{self, Dirty},
    offset_map::OffsetMap,
    output::Writer,
    plan::{Basis, CleanPlan, Input},
    transactions::Transactions,
};

/// The least that is read or written at once, whatever the settings say.
const IO_BYTES_MIN: usize = 4 << 10;

/// What a clean has read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanStats {
    /// Bytes of batches that were read, in both passes.
    pub bytes_read: u64,
    /// Bytes of batches that were written.
    pub bytes_written: u64,
    /// Records of the segments that were written anew.
    pub records: u64,
    /// Those that stay.
    pub records_kept: u64,
    /// Batches that stay because nobody can read their records: clients made them so.
    pub unreadable: u64,
    /// Whether an index of aborted transactions was not what the batches tell, and was made anew from them.
    pub aborts_replayed: bool,
}

/// A clean under way: the keys are known, the segments are to be written.
#[derive(Debug)]
pub struct Cleaning<D: Disk> {
    basis: Basis<D>,
    map: OffsetMap,
    transactions: Transactions,
    io_bytes: usize,
    /// In ascending order; those before `done` have their replacement.
    inputs: Vec<Input>,
    done: usize,
    /// What lies behind all inputs.
    limit: Offset,
    end: Offset,
    stats: CleanStats,
}

/// Segments that are to take the place of others.
#[derive(Debug)]
#[must_use = "nothing has changed before it is swapped in"]
pub struct Replacement<D: Disk> {
    pub(crate) dir: crate::segment::Dir<D>,
    pub(crate) truncations: u64,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Segment<D::File>>,
    /// The files of the outputs, all of them `.cleaned`.
    pub(crate) files: Vec<SegmentFile>,
}

/// How far a clean went that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned {
    end: Offset,
    truncations: u64,
    stats: CleanStats,
}

impl Cleaned {
    /// The first offset whose key has not been looked at.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// What was read and written.
    pub fn stats(&self) -> CleanStats {
        self.stats
    }
}

impl<D: Disk> CleanPlan<D> {
    /// Reads the dirty part of the log, as far as `memory` holds its keys.
    ///
    /// # Errors
    /// `Corrupt` names the bytes that are not what was written; nothing has changed.
    pub fn index(
        self,
        memory: CleanMemory,
        pace: &mut Pace<'_>,
    ) -> Result<Cleaning<D>, CleanError> {
        let Self { basis, mut inputs, first_dirty, limit, mut aborts, snapshot } = self;
        if let Some(offset) = snapshot {
            match basis.dir.open(offset, FileKind::Snapshot, OpenMode::Read) {
                Ok(file) => file.sync()?,
                // A newer one that is durable has taken its place.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let first = inputs.partition_point(|input| input.base <= first_dirty).saturating_sub(1);
        let dirty_inputs = inputs.get(first..).unwrap_or_default();
        // No two records share an offset, so there are no more keys than these.
        let keys_max = limit.0.saturating_sub(first_dirty.0);
        let io_bytes = memory.io_bytes.max(IO_BYTES_MIN);
        let keys_max = u64::try_from(keys_max).unwrap_or(0);
        let mut stats = CleanStats::default();
        let mut meter = Meter::new(pace, &mut stats.bytes_read);
        let dirty = Dirty {
            inputs: dirty_inputs,
            from: first_dirty,
            to: limit,
            chunk_size: io_bytes as u64,
        };
        let mut aborted = aborts.read(&basis.dir, limit, &mut meter)?;
        let map = loop {
            let mut map = OffsetMap::new(memory, keys_max);
            let mut transactions = Transactions::new(&aborted);
            keys::collect(&basis, &dirty, &mut transactions, &mut map, &mut meter)?;
            let seen_to = map.latest().map_or(first_dirty, Offset::next);
            if aborts.agree(&basis.dir, &transactions, seen_to)? {
                break map;
            }
            aborted = aborts.replay(&basis.dir, limit, &mut meter)?;
        };
        meter.ask()?;
        stats.aborts_replayed = aborts.are_replayed;
        let end = map.latest().map_or(first_dirty, Offset::next);
        inputs.truncate(inputs.partition_point(|input| input.base < end));
        Ok(Cleaning {
            transactions: Transactions::new(&aborted),
            basis,
            map,
            io_bytes,
            inputs,
            done: 0,
            limit,
            end,
            stats,
        })
    }
}

impl<D: Disk> Cleaning<D> {
    /// Writes the replacement of the next segments; `None` if there are no more. It has to be swapped
    /// in, or discarded, before the next call.
    ///
    /// # Errors
    /// As `CleanPlan::index`; the segments have not changed, and nothing is left of the replacement.
    pub fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Replacement<D>>, CleanError> {
        let left = self.inputs.get(self.done..).unwrap_or_default();
        if left.is_empty() {
            return Ok(None);
        }
        let count = first_group(&self.basis.dir, left, self.limit, &self.basis.config)?;
        let group = left.get(..count).unwrap_or_default().to_vec();
        let mut writer =
            Writer::new(self.basis.dir.clone(), self.basis.config.clone(), self.io_bytes);
        let written = self.write(&group, &mut writer, pace);
        let finished = written.and_then(|()| Ok(writer.finish()?));
        let (outputs, files) = match finished {
            Ok(finished) => finished,
            Err(error) => {
                writer.discard();
                return Err(error);
            }
        };
        self.done += count;
        self.stats.bytes_written += outputs.iter().map(|o| u64::from(o.size)).sum::<u64>();
        let (dir, truncations) = (self.basis.dir.clone(), self.basis.truncations);
        Ok(Some(Replacement { dir, truncations, inputs: group, outputs, files }))
    }

    /// What to tell the log once every replacement is swapped in.
    pub fn finish(self) -> Cleaned {
        let Self { end, stats, basis, .. } = self;
        Cleaned { end, truncations: basis.truncations, stats }
    }

    fn write(
        &mut self,
        group: &[Input],
        writer: &mut Writer<D>,
        pace: &mut Pace<'_>,
    ) -> Result<(), CleanError> {
        let Self { basis, map, transactions, stats, io_bytes, .. } = self;
        let mut meter = Meter::new(pace, &mut stats.bytes_read);
        let mut filter = Filter { basis, map, transactions };
        let opened_at = group.last().map_or(basis.now, |input| input.opened_at);
        writer.begin(group.first().map_or(self.limit, |input| input.base), opened_at)?;
        for input in group {
            let file = basis.dir.open(input.base, FileKind::Log, OpenMode::Read)?;
            writer.takes_from(&file)?;
            let mut walk = Walk::new(&file, input, *io_bytes as u64);
            while let Some((position, entry)) = walk.next()? {
                meter.read(entry.bytes().len())?;
                let filtered =
                    filter.apply(&entry).map_err(|error| damaged(&file, position, error))?;
                let Filtered { kept, ended, records, records_kept, is_unreadable } = filtered;
                stats.records += records;
                stats.records_kept += records_kept;
                stats.unreadable += u64::from(is_unreadable);
                let batch = match &kept {
                    Kept::Nothing => continue,
                    Kept::Whole => entry.bytes(),
                    Kept::Rebuilt(bytes) => bytes,
                };
                writer.push(batch, ended)?;
                meter.written(batch.len())?;
            }
        }
        meter.ask()
    }
}

impl<D: Disk> Replacement<D> {
    /// Removes what was written. What stays of it the next start removes.
    pub fn discard(self) {
        for file in &self.files {
            let _ = remove_if_there(&self.dir.disk, &path(&self.dir, *file, FileStage::Cleaned));
        }
    }
}

impl<D: Disk> Log<D> {
    /// Notes how far a clean went, unless the log was truncated since it began.
    pub fn finish_clean(&mut self, cleaned: Cleaned) {
        if cleaned.truncations == self.truncations {
            self.cleaned_to = cleaned.end.max(self.log_start).min(self.log_end);
        }
    }
}

/// The file of a segment at some stage of its life.
pub(crate) fn path<D: Disk>(
    dir: &crate::segment::Dir<D>,
    file: SegmentFile,
    stage: FileStage,
) -> PathBuf {
    dir.path().join(SegmentFile { stage, ..file }.name())
}

/// Walks the batches of a sealed segment and believes none of them unchecked.
pub(crate) struct Walk<'a, F> {
    scan: BatchScan<'a, F>,
    file: &'a F,
    base: Offset,
    expected: Offset,
}

impl<'a, F: DiskFile> Walk<'a, F> {
    pub(crate) fn new(file: &'a F, input: &Input, chunk_size: u64) -> Self {
        let scan = BatchScan::in_chunks(file, 0, u64::from(input.size), chunk_size);
        Self { scan, file, base: input.base, expected: input.base }
    }

    /// The next batch and where it begins; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Entry<'_>)>, LogError> {
        let wrong = |position, reason| Corruption::new(self.file.path(), position, reason).into();
        match self.scan.next()? {
            Scanned::End => Ok(None),
            Scanned::Damaged(position, error) => Err(wrong(position, DamageReason::Batch(error))),
            Scanned::Entry(position, entry) => {
                let head: Head = check_entry(&entry, position, self.base, self.expected)
                    .map_err(|reason| wrong(position, reason))?;
                self.expected = head.last.next();
                Ok(Some((position, entry)))
            }
        }
    }
}

/// The records of a batch at `position` are not what they should be.
pub(crate) fn damaged<F: DiskFile>(file: &F, position: u64, error: BatchError) -> CleanError {
    let corruption = Corruption::new(file.path(), position, DamageReason::Batch(error));
    CleanError::Log(corruption.into())
}

/// What a batch in the output means to its segment.
pub(crate) type Ended = Option<AbortedTransaction>;
