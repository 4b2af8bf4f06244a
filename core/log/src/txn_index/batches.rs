//! What the batches of a log tell of its transactions, for who does not take the word of its indexes.

use dohle_base::{Offset, Timestamp};
use dohle_records::{BatchError, BatchView};

use super::{
    AbortedTransaction,
    check::{Check, Part, Passed},
};
use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode},
    error::{Corruption, DamageReason, LogError},
    names::FileKind,
    producer_state::{Producers, read_marker},
    scan::{BatchScan, Head, HeadScan, Scanned},
    segment::{Dir, Segment},
};

/// How many bytes before a transaction are looked at for more of it.
const LOOK_BACK: u32 = 256 << 10;
/// The most bytes of a control batch that is read. Source: markers have less than a hundred.
const MARKER_SIZE_MAX: u32 = 4096;

/// Whether no batch contradicts the entries; heads are read, from the first entry's to the last one's,
/// but for what lies in no entry and is more than a little. `segments` are all of the log, by base and
/// bytes, in ascending order.
///
/// # Errors
/// `Corrupt` if the batches cannot be read, which is then all that is known; `Io`.
pub(crate) fn bear_out<D: Disk>(
    dir: &Dir<D>,
    segments: &[(Offset, u32)],
    entries: &[AbortedTransaction],
) -> Result<bool, LogError> {
    if entries.iter().any(|entry| entry.first_offset > entry.last_offset) {
        return Ok(false);
    }
    let mut check = Check::new(entries);
    while let Some(next) = check.next() {
        let (mut holds, mut is_done, mut outside) = (true, true, 0u32);
        walk(dir, segments, next, |batch, size| {
            holds = check.pass(batch);
            // To look for the next one costs as much as to go so far.
            let is_inside = batch.base < next || check.is_within();
            outside = if is_inside { 0 } else { outside.saturating_add(size) };
            is_done = !check.is_within() && check.next().is_none();
            holds && !is_done && outside <= LOOK_BACK
        })?;
        if !holds || is_done || outside <= LOOK_BACK {
            // Behind the end of the log there is nothing to contradict the others.
            return Ok(holds);
        }
        check.leave();
    }
    Ok(true)
}

/// Whether no batch contradicts where an entry ends.
///
/// # Errors
/// As `bear_out`.
pub(crate) fn bears_out_end<D: Disk>(
    dir: &Dir<D>,
    segments: &[(Offset, u32)],
    entry: &AbortedTransaction,
) -> Result<bool, LogError> {
    let holding = segments.partition_point(|(base, _)| *base <= entry.last_offset);
    let holding = holding.checked_sub(1).and_then(|index| segments.get(index));
    let Some(&(base, size)) = holding else { return Ok(true) };
    let mut segment = Segment::<D::File>::sealed(base, size, Timestamp::NONE);
    let located = segment.locate(dir, entry.last_offset)?;
    let Some(located) = located.filter(|head| head.base <= entry.last_offset) else {
        return Ok(true);
    };
    let file = segment.file(dir)?;
    let mut scan = HeadScan::new(file, located.position, size);
    let Some(head) = scan.next()? else { return Ok(true) };
    let batch = passed(file, &scan, &head)?;
    let is_commit = |committed| committed == Some(true);
    Ok(batch.producer_id == entry.producer_id
        && matches!(batch.part, Part::Marker { committed } if !is_commit(committed)))
}

/// Walks the batches, and how long they are, from a little before `from` on until `take` has had enough.
pub(crate) fn walk<D: Disk>(
    dir: &Dir<D>,
    segments: &[(Offset, u32)],
    from: Offset,
    mut take: impl FnMut(&Passed, u32) -> bool,
) -> Result<(), LogError> {
    let first = segments.partition_point(|(base, _)| *base <= from).saturating_sub(1);
    for (index, &(base, size)) in segments.iter().enumerate().skip(first) {
        let file = dir.open(base, FileKind::Log, OpenMode::Read)?;
        let position = if index == first { look_back(dir, (base, size), from)? } else { 0 };
        let mut scan = HeadScan::new(&file, position, size);
        while let Some(head) = scan.next()? {
            if !take(&passed(&file, &scan, &head)?, head.size) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Where a batch begins that lies so far before the one with `offset`.
fn look_back<D: Disk>(
    dir: &Dir<D>,
    (base, size): (Offset, u32),
    offset: Offset,
) -> Result<u32, LogError> {
    let mut segment = Segment::<D::File>::sealed(base, size, Timestamp::NONE);
    let position = segment.locate(dir, offset)?.map_or(size, |head| head.position);
    let Some(before) = position.checked_sub(LOOK_BACK) else { return Ok(0) };
    let indexed = segment.index_ceiling(dir, before)?.map_or(position, |entry| entry.position);
    let mut scan = HeadScan::new(segment.file(dir)?, indexed.min(position), size);
    // An index that leads astray tells of no batch of this segment.
    let is_batch = scan.next().ok().flatten().is_some_and(|head| head.base >= base);
    Ok(if is_batch { indexed.min(position) } else { position })
}

fn passed<F: DiskFile>(file: &F, scan: &HeadScan<'_, F>, head: &Head) -> Result<Passed, IoError> {
    let (base, last) = (head.base, head.last);
    let Some(header) = scan.header(head) else {
        return Ok(Passed { base, last, producer_id: (-1).into(), part: Part::None });
    };
    let attributes = header.attributes();
    let part = if attributes.is_control() {
        Part::Marker { committed: committed(file, scan, head)? }
    } else if attributes.is_transactional() {
        Part::Records { is_empty: header.record_count() == 0 }
    } else {
        Part::None
    };
    Ok(Passed { base, last, producer_id: header.producer_id(), part })
}

/// Whether a marker commits; `None` if it is none that can be read.
fn committed<F: DiskFile>(
    file: &F,
    scan: &HeadScan<'_, F>,
    head: &Head,
) -> Result<Option<bool>, IoError> {
    if let Some(bytes) = scan.held(head) {
        return Ok(commits(bytes));
    }
    if head.size > MARKER_SIZE_MAX {
        return Ok(None);
    }
    let mut bytes = vec![0; head.size as usize];
    file.read_exact_at(&mut bytes, head.position.into())?;
    Ok(commits(&bytes))
}

fn commits(bytes: &[u8]) -> Option<bool> {
    let batch = BatchView::parse(bytes).ok().filter(|batch| batch.check_crc().is_ok())?;
    let (marker, _) = read_marker(&batch).ok().flatten()?;
    Some(marker.committed)
}

/// The aborted transactions whose markers lie behind what `producers` are known up to, which begins a
/// batch. Reads and checks the batches from there on, until `is_enough`; `read` is told of the bytes.
///
/// # Errors
/// `Corrupt` for a batch that is damaged; `Io`; what `read` says.
pub(crate) fn replay<D: Disk, E: From<LogError> + From<IoError>>(
    dir: &Dir<D>,
    segments: &[(Offset, u32)],
    mut producers: Producers,
    is_enough: impl Fn(&Producers) -> bool,
    mut read: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<AbortedTransaction>, E> {
    let mut aborted = Vec::new();
    let from = producers.end();
    let first = segments.partition_point(|(base, _)| *base <= from).saturating_sub(1);
    for &(base, size) in segments.iter().skip(first) {
        let file = dir.open(base, FileKind::Log, OpenMode::Read)?;
        let damaged = |position, error: BatchError| -> E {
            LogError::from(Corruption::new(file.path(), position, DamageReason::Batch(error)))
                .into()
        };
        let mut scan = BatchScan::new(&file, 0, size.into());
        loop {
            if producers.end() > from && is_enough(&producers) {
                return Ok(aborted);
            }
            match scan.next()? {
                Scanned::End => break,
                Scanned::Damaged(position, error) => return Err(damaged(position, error)),
                Scanned::Entry(position, entry) => {
                    entry.check_crc().map_err(|error| damaged(position, error))?;
                    read(entry.bytes().len())?;
                    if entry.last_offset() < from {
                        continue;
                    }
                    let ended = producers.apply_entry(&entry);
                    let ended = ended.filter(|ended| !ended.committed);
                    aborted.extend(ended.map(|ended| ended.aborted()));
                }
            }
        }
    }
    Ok(aborted)
}
