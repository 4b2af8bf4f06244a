//! A `.log` or a `.checkpoint`: its batches, and behind each its records.

use std::{fmt, path::Path};

use dohle_log::{
    DiskFile,
    inspect::{Batches, StoredBatch},
};
use dohle_os::OsFile;
use dohle_records::{BatchError, TimestampType, sequence_after};

use super::{
    SegmentView,
    fault::{Fault, Problem},
    file::{disk, name, open},
    findings::{self, Findings},
    page::Page,
    records,
};

/// How much is read at once.
const PIECE_SIZE: usize = 1 << 20;

/// Shows batches, and records if they are wanted.
pub(super) fn show(
    path: &Path,
    view: &SegmentView,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let file = open(path)?;
    let file_size = size(path, &file)?;
    let Ok(bytes_max) = u64::try_from(view.bytes_max) else {
        let problem = Problem::NegativeLimit { limit: view.bytes_max, file_size };
        return Err(Fault::at(path, None, problem));
    };
    let walk = Batches::new(&file, (0, file_size.min(bytes_max)), PIECE_SIZE);
    let mut batches = walk.map_err(|error| disk(path, error))?;
    show_batches(path, &mut batches, view, page, findings)?;
    let trailing = batches.end().saturating_sub(batches.position());
    if trailing > 0 && view.bytes_max == i32::MAX {
        let name = name(path);
        page.line(format_args!("Found {trailing} invalid bytes at the end of {name}"))?;
    }
    Ok(())
}

/// Shows the batches of a file, up to what cannot be one.
pub(super) fn show_batches(
    path: &Path,
    batches: &mut Batches<'_, OsFile>,
    view: &SegmentView,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let key = findings::key(path);
    let mut last_offset = -1;
    let mut patched = Vec::new();
    while let Some(batch) = batches.next_batch().map_err(|error| Fault::of_walk(path, error))? {
        let bytes = batches.bytes(&batch).map_err(|error| disk(path, error))?;
        let entry = batch.entry(bytes, &mut patched);
        show_batch(path, &batch, entry.is_ok_and(|entry| entry.check_crc().is_ok()), page)?;
        if view.records {
            let entry = batch.entry(bytes, &mut patched);
            let entry = entry.map_err(|error| records_fault(path, &batch, error))?;
            let place = records::Place { path, key: &key, batch: &batch };
            last_offset = records::show(place, entry, view, last_offset, page, findings)?;
        }
    }
    Ok(())
}

/// Bytes of a segment, whose positions must fit 31 bits.
pub(super) fn size(path: &Path, file: &impl DiskFile) -> Result<u64, Fault> {
    let size = file.size().map_err(|error| disk(path, error))?;
    if size > i32::MAX as u64 {
        return Err(Fault::at(path, None, Problem::TooLong { size }));
    }
    Ok(size)
}

fn show_batch(
    path: &Path,
    batch: &StoredBatch,
    is_valid: bool,
    page: &mut Page<'_>,
) -> Result<(), Fault> {
    let attributes = batch.attributes();
    match batch.header() {
        Some(header) => page.put(format_args!(
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} \
             producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} \
             isControl: {} deleteHorizonMs: {}",
            header.base_offset().0,
            batch.last_offset().0,
            header.record_count(),
            header.base_sequence(),
            match header.base_sequence() {
                -1 => -1,
                first => sequence(first, header.last_offset_delta()),
            },
            header.producer_id().0,
            header.producer_epoch().0,
            header.partition_leader_epoch().0,
            attributes.is_transactional(),
            attributes.is_control(),
            OptionalLong(header.delete_horizon().map(|time| time.0)),
        ))?,
        None => page.put(format_args!("offset: {}", batch.last_offset().0))?,
    }
    if batch.magic < 0 {
        let problem = Problem::Magic(batch.magic);
        return Err(Fault::at(path, Some(batch.position), problem));
    }
    let Some(codec) = attributes.codec() else {
        let problem = Problem::Codec { id: attributes.codec_id() };
        return Err(Fault::at(path, Some(batch.position), problem));
    };
    page.line(format_args!(
        " position: {} {}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {is_valid}",
        batch.position,
        timestamp_type(batch),
        batch.max_timestamp().0,
        batch.size,
        batch.magic,
        batch.crc(),
    ))?;
    Ok(())
}

/// Whose clock the timestamps are from; magic 0 has none.
pub(super) fn timestamp_type(batch: &StoredBatch) -> &'static str {
    match (batch.magic, batch.attributes().timestamp_type()) {
        (0, _) => "NoTimestampType",
        (_, TimestampType::Create) => "CreateTime",
        (_, TimestampType::LogAppend) => "LogAppendTime",
    }
}

/// The sequence number `count` behind `first`, also where no batch that is sound has these numbers:
/// then as Java's arithmetic has it.
pub(super) fn sequence(first: i32, count: i32) -> i32 {
    if count >= 0 {
        return sequence_after(first, count);
    }
    if first > i32::MAX.wrapping_sub(count) {
        return count.wrapping_sub(i32::MAX.wrapping_sub(first)).wrapping_sub(1);
    }
    first.wrapping_add(count)
}

/// A number that need not be there, as Java shows it.
pub(super) struct OptionalLong(pub(super) Option<i64>);

impl fmt::Display for OptionalLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "OptionalLong[{number}]"),
            None => f.write_str("OptionalLong.empty"),
        }
    }
}

/// That the records of a batch cannot be read.
pub(super) fn records_fault(path: &Path, batch: &StoredBatch, error: BatchError) -> Fault {
    Fault::at(path, Some(batch.position), Problem::Records { error, magic: batch.magic })
}
