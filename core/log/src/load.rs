//! What is in a partition's directory: the files of its segments, once what an interrupted cleaning
//! or deletion left behind is finished or undone.
//!
//! Source: interop facts A.8 and A.9, steps 1 to 3.

use std::{collections::BTreeSet, path::Path};

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode, remove_if_there},
    error::{Corruption, DamageReason, LogError},
    names::{FileKind, FileStage, SegmentFile},
    recover::Mended,
    scan::HeadScan,
    segment::{Dir, SEGMENT_SIZE_MAX, Segment},
    txn_index,
};

/// The segments and snapshots of a partition's directory.
#[derive(Debug)]
pub(crate) struct Found<F> {
    /// In ascending order, all sealed.
    pub(crate) segments: Vec<Segment<F>>,
    pub(crate) snapshots: BTreeSet<Offset>,
    /// Segments without an offset index: it has to be made again.
    pub(crate) unindexed: BTreeSet<Offset>,
    /// The first segment whose index of aborted transactions cannot be read, and why: only what came
    /// before it tells which transactions its markers end.
    pub(crate) first_without_aborts: Option<(Offset, Box<Corruption>)>,
    /// What was removed because it belongs to nothing.
    pub(crate) mended: Vec<Mended>,
    pub(crate) names_changed: bool,
}

impl<F> Default for Found<F> {
    /// Nothing.
    fn default() -> Self {
        Self {
            segments: Vec::new(),
            snapshots: BTreeSet::new(),
            unindexed: BTreeSet::new(),
            first_without_aborts: None,
            mended: Vec::new(),
            names_changed: false,
        }
    }
}

/// What is in the directory, tidied; `None` if it had to be made. Its name is not durable then.
pub(crate) fn load_or_make<D: Disk>(
    dir: &Dir<D>,
    now: Timestamp,
) -> Result<Option<Found<D::File>>, LogError> {
    match load(dir, now) {
        Err(LogError::Io(error)) if error.is_not_found() && error.path == dir.path() => {
            dir.disk.create_dir(dir.path())?;
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Tidies the directory and says what is in it.
fn load<D: Disk>(dir: &Dir<D>, now: Timestamp) -> Result<Found<D::File>, LogError> {
    let mut files = list(dir)?;
    let mut names_changed = files.iter().any(|file| file.stage != FileStage::Current);
    if names_changed {
        finish_replacements(dir, &files)?;
        files = list(dir)?;
    }
    let has = |base, kind| files.contains(&SegmentFile::current(base, kind));
    let mut found = Found::default();
    for file in &files {
        match file.kind {
            FileKind::Log => {
                let mut segment = open_segment(dir, file.base, now)?;
                segment.has_aborts = has(file.base, FileKind::TxnIndex);
                segment.believed_aborts = segment.has_aborts.then(Box::default);
                if segment.has_aborts
                    && let Err(reason) = check_aborts(dir, file.base)?
                {
                    found.first_without_aborts.get_or_insert((file.base, reason));
                }
                found.segments.push(segment);
                if !has(file.base, FileKind::OffsetIndex) {
                    found.unindexed.insert(file.base);
                }
            }
            FileKind::Snapshot => {
                found.snapshots.insert(file.base);
            }
            FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TxnIndex => {
                if !has(file.base, FileKind::Log) {
                    dir.remove(file.base, file.kind)?;
                    let path = dir.file(file.base, file.kind);
                    found.mended.push(Mended::Orphan { path });
                    names_changed = true;
                }
            }
        }
    }
    found.names_changed = names_changed;
    // Most logs have one, and a node may have very many logs.
    found.segments.shrink_to_fit();
    Ok(found)
}

/// What is wrong with the index of aborted transactions of a segment, if it is.
fn check_aborts<D: Disk>(
    dir: &Dir<D>,
    base: Offset,
) -> Result<Result<(), Box<Corruption>>, LogError> {
    let path = dir.file(base, FileKind::TxnIndex);
    match txn_index::read(&dir.disk, &path) {
        Ok(entries) if entries.iter().all(|entry| entry.last_offset >= base) => Ok(Ok(())),
        Ok(_) => Ok(Err(Corruption::new(&path, 0, DamageReason::NotAnEntry).into())),
        Err(LogError::Corrupt(reason)) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}

fn open_segment<D: Disk>(
    dir: &Dir<D>,
    base: Offset,
    now: Timestamp,
) -> Result<Segment<D::File>, LogError> {
    let path = dir.file(base, FileKind::Log);
    let size = dir.disk.size_of(&path)?;
    match u32::try_from(size).ok().filter(|size| *size <= SEGMENT_SIZE_MAX) {
        Some(size) => Ok(Segment::sealed(base, size, now)),
        None => Err(Corruption::new(&path, 0, DamageReason::TooLong { size }).into()),
    }
}

/// All segment files in the directory, in ascending order.
fn list<D: Disk>(dir: &Dir<D>) -> Result<BTreeSet<SegmentFile>, IoError> {
    let entries = dir.disk.list(dir.path())?.into_iter().filter(|entry| !entry.is_dir);
    Ok(entries.filter_map(|entry| SegmentFile::parse(&entry.name)).collect())
}

/// Undoes replacements that were not complete, and finishes those that were.
fn finish_replacements<D: Disk>(
    dir: &Dir<D>,
    files: &BTreeSet<SegmentFile>,
) -> Result<(), LogError> {
    let in_stage = |stage| files.iter().filter(move |file| file.stage == stage);
    let remove = |file: &SegmentFile| remove_if_there(&dir.disk, &dir.path().join(file.name()));
    in_stage(FileStage::Deleted).try_for_each(remove)?;
    // A replacement is renamed from its last segment to its first: what follows the first that is
    // not renamed is not complete.
    let incomplete = in_stage(FileStage::Cleaned).map(|file| file.base).min();
    let is_complete = |file: &&SegmentFile| incomplete.is_none_or(|base| file.base < base);
    in_stage(FileStage::Swap).filter(|file| !is_complete(file)).try_for_each(remove)?;
    // Once no file is `.cleaned`, what is called `.swap` counts as complete.
    dir.disk.sync_dir(dir.path())?;
    in_stage(FileStage::Cleaned).try_for_each(remove)?;

    let mut swaps = in_stage(FileStage::Swap).filter(is_complete).collect::<Vec<_>>();
    let logs = swaps.iter().filter(|file| file.kind == FileKind::Log);
    let mut replaced: Option<(Offset, Offset)> = None;
    for file in logs {
        let end = end_of(dir, &dir.path().join(file.name()))?.unwrap_or(file.base);
        let (first, last) = replaced.unwrap_or((file.base, end));
        replaced = Some((first.min(file.base), last.max(end)));
    }
    if let Some((start, end)) = replaced {
        // A segment that nothing is left of ends where it begins, and still replaces its namesake: an
        // index of that would tell of what is gone. Snapshots as well: one within the range was taken
        // before a segment that is no more.
        // One whose batches have been renamed already is none that is to be removed.
        let logs = swaps.iter().filter(|swap| swap.kind == FileKind::Log);
        let has_namesake = |base| logs.clone().any(|swap| swap.base == base);
        let inputs = in_stage(FileStage::Current).filter(|file| {
            let is_within = start <= file.base && file.base < end;
            is_within || (file.kind != FileKind::Snapshot && has_namesake(file.base))
        });
        inputs.into_iter().try_for_each(remove)?;
        // As long as the replacement is called `.swap`, the next start removes them once more.
        dir.disk.sync_dir(dir.path())?;
    }
    // The batches last: without them the other files say nothing of what is to be removed.
    swaps.sort_unstable_by_key(|file| file.kind == FileKind::Log);
    for file in swaps {
        let renamed = SegmentFile { stage: FileStage::Current, ..*file };
        let path = |file: SegmentFile| dir.path().join(file.name());
        // One after another for sure, or the next start would take what lies between two that are
        // not renamed for what was to be removed.
        dir.disk.sync_dir(dir.path())?;
        dir.disk.rename(&path(*file), &path(renamed))?;
    }
    Ok(dir.disk.sync_dir(dir.path())?)
}

/// The offset behind the last batch of a file.
fn end_of<D: Disk>(dir: &Dir<D>, path: &Path) -> Result<Option<Offset>, LogError> {
    let file = dir.disk.open(path, OpenMode::Read)?;
    let size = file.size()?.min(u64::from(SEGMENT_SIZE_MAX));
    let mut scan = HeadScan::new(&file, 0, u32::try_from(size).unwrap_or(SEGMENT_SIZE_MAX));
    let mut end = None;
    while let Some(head) = scan.next()? {
        end = Some(head.last.next());
    }
    Ok(end)
}
