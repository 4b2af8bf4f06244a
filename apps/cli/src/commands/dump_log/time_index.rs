//! A `.timeindex`, compared with its segment by way of the `.index` beside it.

use std::{cmp::Ordering, path::Path};

use dohle_base::{Offset, Timestamp};
use dohle_log::{
    IoError,
    inspect::{
        Batches, IndexEntries, IndexedOffset, IndexedTime, StoredBatch, offset_index, time_index,
    },
};
use dohle_os::OsFile;
use dohle_records::BatchError;

use super::{
    IndexKind, IndexView,
    fault::{Fault, Problem},
    file::{absolute, disk, open, sibling, start},
    findings::{self, Findings},
    offset_index::Segment,
    page::Page,
    records::DECOMPRESSED_SIZE_MAX,
    segment::records_fault,
};

/// Shows or checks all entries.
pub(super) fn show(
    path: &Path,
    view: IndexView,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let base = start(path)?;
    let segment = Segment::open(path)?;
    let offsets_path = sibling(path, "index");
    let offsets = match open(&offsets_path) {
        Err(Fault::File { problem: Problem::Disk(error), .. }) if error.is_not_found() => {
            return Err(Fault::at(path, None, Problem::NoOffsetIndex));
        }
        other => other?,
    };
    let mut offsets = offset_index(&offsets, base).map_err(|error| disk(&offsets_path, error))?;
    let file = open(path)?;
    let entries = time_index(&file, base).map_err(|error| disk(path, error))?;
    if view.kind == IndexKind::Sanity {
        check_sanity(path, base, entries)?;
        return Ok(page.line(format_args!("{} passed sanity check.", path.display()))?);
    }
    let key = findings::key(path);
    let mut tail = Tail::default();
    let mut before = Timestamp::NONE;
    for (index, entry) in entries.enumerate() {
        let entry = entry.map_err(|error| disk(path, error))?;
        // What is not written yet is zeros.
        if entry.offset == base && index > 0 {
            return Ok(());
        }
        let start = floor(&mut offsets, entry.offset);
        let start = start.map_err(|error| disk(&offsets_path, error))?;
        compare(&entry, start, before, &segment, &mut tail, (&key, findings))?;
        if view.kind == IndexKind::Shown {
            let (time, offset) = (entry.timestamp.0, entry.offset.0);
            page.line(format_args!("timestamp: {time} offset: {offset}"))?;
        }
        before = entry.timestamp;
    }
    Ok(())
}

/// How many entries at the end of an index Kafka looks at first, to stay in warm pages.
const WARM_ENTRIES: u64 = 1024;

/// Where to look for an offset. By halving, and just as Kafka halves: where entries are out of order
/// or zeros, the way decides what is found.
fn floor(
    offsets: &mut IndexEntries<'_, OsFile, IndexedOffset>,
    target: Offset,
) -> Result<u32, IoError> {
    let Some(last) = offsets.entry_count().checked_sub(1) else { return Ok(0) };
    let warm = last.saturating_sub(WARM_ENTRIES);
    let mut at = |index| {
        let entry = offsets.at(index)?;
        Ok(entry.unwrap_or(IndexedOffset { offset: target, position: 0 }))
    };
    let (mut low, mut high) = if at(warm)?.offset < target {
        (warm, last)
    } else if at(0)?.offset > target {
        return Ok(0);
    } else {
        (0, warm)
    };
    while low < high {
        let middle = (low + high).div_ceil(2);
        let entry = at(middle)?;
        match entry.offset.cmp(&target) {
            Ordering::Greater => high = middle - 1,
            Ordering::Less => low = middle,
            Ordering::Equal => return Ok(entry.position),
        }
    }
    Ok(at(low)?.position)
}

/// Looks for the batch that an entry is about.
fn compare(
    entry: &IndexedTime,
    start: u32,
    before: Timestamp,
    segment: &Segment<'_>,
    tail: &mut Tail,
    (key, findings): (&Path, &mut Findings),
) -> Result<(), Fault> {
    let mut batches = segment.batches_from(start, i32::MAX)?;
    tail.check(start, segment, &mut batches)?;
    let walked = |error| Fault::of_walk(segment.path(), error);
    let found = loop {
        match batches.next_batch().map_err(walked)? {
            Some(batch) if batch.last_offset() < entry.offset => {}
            other => break other,
        }
    };
    let Some(batch) = found.filter(|batch| batch.last_offset() == entry.offset) else {
        let stored = found.map_or(-1, |batch| batch.last_offset().0);
        findings.not_found(key, entry.offset.0, stored);
        return Ok(());
    };
    let greatest = greatest_timestamp(&batch, &mut batches, segment.path())?;
    if greatest != entry.timestamp {
        findings.time_mismatch(key, entry.timestamp.0, greatest.0);
    }
    if before >= entry.timestamp {
        findings.out_of_order(key, entry.timestamp.0, before.0);
    }
    Ok(())
}

fn greatest_timestamp(
    batch: &StoredBatch,
    batches: &mut Batches<'_, OsFile>,
    path: &Path,
) -> Result<Timestamp, Fault> {
    let bytes = batches.bytes(batch).map_err(|error| disk(path, error))?;
    let fault = |error: BatchError| records_fault(path, batch, error);
    let mut patched = Vec::new();
    let entry = batch.entry(bytes, &mut patched).map_err(fault)?;
    let payload = entry.decompress(DECOMPRESSED_SIZE_MAX).map_err(fault)?;
    let mut greatest = Timestamp::NONE;
    for record in payload.records_as_stored() {
        greatest = greatest.max(record.map_err(fault)?.timestamp);
    }
    Ok(greatest)
}

/// What is known of the segment from some batch to its end. An entry is only as good as all that
/// lies behind its batch, since a reader goes on; so damage there must be found, but to walk to the
/// end for each entry would take hours. Four bytes a batch.
#[derive(Debug, Default)]
struct Tail {
    /// Where batches begin behind which all is well, ascending.
    sound: Vec<u32>,
}

impl Tail {
    /// Walks to the end unless that was done; the batches are at `start` again then.
    fn check(
        &mut self,
        start: u32,
        segment: &Segment<'_>,
        batches: &mut Batches<'_, OsFile>,
    ) -> Result<(), Fault> {
        if self.sound.binary_search(&start).is_ok() {
            return Ok(());
        }
        let mut sound = Vec::new();
        while let Some(batch) =
            batches.next_batch().map_err(|error| Fault::of_walk(segment.path(), error))?
        {
            // Positions fit 31 bits, or the segment would not have been opened.
            sound.push(batch.position as u32);
        }
        if self.sound.is_empty() {
            self.sound = sound;
        }
        batches.seek(u64::from(start));
        Ok(())
    }
}

/// What a node asks before it trusts an index.
fn check_sanity(
    path: &Path,
    base: Offset,
    mut entries: IndexEntries<'_, OsFile, IndexedTime>,
) -> Result<(), Fault> {
    let sanity = |text| Err(Fault::at(path, None, Problem::Sanity(text)));
    let name = absolute(path);
    let name = name.display();
    let failed = |error| disk(path, error);
    let first = entries.at(0).map_err(failed)?;
    let last = entries.at(entries.entry_count().saturating_sub(1)).map_err(failed)?;
    if let (Some(first), Some(last)) = (first, last) {
        let (first, last, offset) = (first.timestamp.0, last.timestamp.0, last.offset);
        if last < first {
            return sanity(format!(
                "Corrupt time index found, time index file ({name}) has non-zero size but the last timestamp is {last} which is less than the first timestamp {first}"
            ));
        }
        if offset < base {
            return sanity(format!(
                "Corrupt time index found, time index file ({name}) has non-zero size but the last offset is {offset} which is less than the first offset {base}"
            ));
        }
    }
    let (size, entry_size) = (entries.file_size(), entries.entry_size());
    if size % entry_size as u64 != 0 {
        return sanity(format!(
            "Time index file {name} is corrupt, found {size} bytes which is neither positive nor a multiple of {entry_size}"
        ));
    }
    Ok(())
}
