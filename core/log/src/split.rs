//! Splitting a segment whose offsets lie further from its name than an index can tell.
//!
//! Versions of Kafka before 2.0 could write one on a compacted topic. Its batches become segments of
//! their own, each named by its first batch; nothing is left out. The renames are those of a
//! cleaning, so that a crash leaves what any start of this node or of Kafka finishes or undoes:
//!
//! ```text
//! write …cleaned, sync ─▶ rename to …swap, the first one last, sync names ─▶ remove the old
//!                      ─▶ drop .swap, sync names
//! ```
//!
//! Source: interop facts A.8 and A.9.

use std::io::IoSlice;

use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode},
    error::LogError,
    log::remove_segment_files,
    names::{FileKind, FileStage, SegmentFile},
    scan::HeadScan,
    segment::{Dir, SEGMENT_SIZE_MAX},
};

/// How much is copied at once.
const CHUNK_SIZE: usize = 1 << 20;

/// Batches that become a segment.
#[derive(Debug)]
struct Piece {
    base: Offset,
    start: u32,
    end: u32,
}

/// Whether the segment from `base` is one to be split: all its batches ascend, up to `next`, where
/// the segment behind it begins, and some are too far from its name.
pub(crate) fn is_overlong<D: Disk>(
    dir: &Dir<D>,
    base: Offset,
    next: Option<Offset>,
) -> Result<bool, LogError> {
    match pieces(dir, base, next) {
        Ok(pieces) => Ok(pieces.iter().any(|piece| piece.base != base)),
        Err(LogError::Io(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Splits the segment from `base`. Durable when it returns.
///
/// # Errors
/// `Io`; to open the log again undoes it or finishes it.
pub(crate) fn split<D: Disk>(dir: &Dir<D>, base: Offset) -> Result<(), LogError> {
    let pieces = pieces(dir, base, None)?;
    let source = dir.open(base, FileKind::Log, OpenMode::Read)?;
    for piece in &pieces {
        copy(dir, &source, piece)?;
    }
    dir.disk.sync_dir(dir.path())?;
    // The first piece last, and only when the others have their names for sure: as long as it is a
    // `.cleaned` a start undoes everything, from then on it finishes.
    let Some((first, others)) = pieces.split_first() else { return Ok(()) };
    for piece in others.iter().rev() {
        rename(dir, piece.base, FileStage::Cleaned, FileStage::Swap)?;
    }
    dir.disk.sync_dir(dir.path())?;
    rename(dir, first.base, FileStage::Cleaned, FileStage::Swap)?;
    dir.disk.sync_dir(dir.path())?;
    remove_segment_files(dir, base)?;
    for piece in &pieces {
        // One after another for sure: a start takes what lies between two that are not renamed for
        // what was to be removed.
        dir.disk.sync_dir(dir.path())?;
        rename(dir, piece.base, FileStage::Swap, FileStage::Current)?;
    }
    Ok(dir.disk.sync_dir(dir.path())?)
}

/// What the segment is made of, each piece within the reach of an index.
fn pieces<D: Disk>(
    dir: &Dir<D>,
    base: Offset,
    next: Option<Offset>,
) -> Result<Vec<Piece>, LogError> {
    let file = dir.open(base, FileKind::Log, OpenMode::Read)?;
    let size = u32::try_from(file.size()?).unwrap_or(SEGMENT_SIZE_MAX).min(SEGMENT_SIZE_MAX);
    let mut scan = HeadScan::new(&file, 0, size);
    let mut pieces: Vec<Piece> = Vec::new();
    let mut expected = base;
    while let Some(head) = scan.next()? {
        if head.base < expected || next.is_some_and(|next| head.last >= next) {
            return Ok(Vec::new());
        }
        expected = head.last.next();
        match pieces.last_mut() {
            Some(piece) if head.last.0 - piece.base.0 <= i64::from(i32::MAX) => {
                piece.end = head.end();
            }
            _ => pieces.push(Piece { base: head.base, start: head.position, end: head.end() }),
        }
    }
    Ok(pieces)
}

fn copy<D: Disk>(dir: &Dir<D>, source: &D::File, piece: &Piece) -> Result<(), IoError> {
    let file = dir.disk.open(&path(dir, piece.base, FileStage::Cleaned), OpenMode::Create)?;
    file.truncate(0)?;
    let mut buffer = vec![0; CHUNK_SIZE.min((piece.end - piece.start) as usize)];
    let mut position = piece.start;
    while position < piece.end {
        let size = buffer.len().min((piece.end - position) as usize);
        let chunk = buffer.get_mut(..size).unwrap_or_default();
        source.read_exact_at(chunk, u64::from(position))?;
        let target = u64::from(position - piece.start);
        file.write_all_at(&[IoSlice::new(chunk)], target)?;
        position += size as u32;
    }
    source.modified()?.map_or(Ok(()), |at| file.set_modified(at))?;
    file.sync()
}

fn rename<D: Disk>(
    dir: &Dir<D>,
    base: Offset,
    from: FileStage,
    to: FileStage,
) -> Result<(), IoError> {
    dir.disk.rename(&path(dir, base, from), &path(dir, base, to))
}

fn path<D: Disk>(dir: &Dir<D>, base: Offset, stage: FileStage) -> std::path::PathBuf {
    dir.path().join(SegmentFile { base, kind: FileKind::Log, stage }.name())
}
