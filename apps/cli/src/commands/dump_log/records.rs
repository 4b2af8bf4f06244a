//! The records of one batch, a line each.

use std::path::Path;

use dohle_log::inspect::StoredBatch;
use dohle_records::{BatchError, Codec, Entry, Record, entries};

use super::{
    SegmentView, control,
    decoder::Decoder,
    fault::{Fault, Problem},
    findings::Findings,
    page::Page,
    segment::{records_fault, sequence, timestamp_type},
};

/// The most bytes that the records of a batch are decompressed to: far more than a broker takes, so
/// that only what was made to fill the memory is refused.
pub(super) const DECOMPRESSED_SIZE_MAX: usize = 1 << 29;

/// What precedes each record.
const MARK: &str = "|";

/// Where a batch lies.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    /// The name that findings about the file bear.
    pub(super) key: &'a Path,
    pub(super) batch: &'a StoredBatch,
}

/// Shows the records and says which offset was the last; `last_offset` is the one before.
pub(super) fn show(
    place: Place<'_>,
    entry: Entry<'_>,
    view: &SegmentView,
    mut last_offset: i64,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<i64, Fault> {
    let fault = |error| records_fault(place.path, place.batch, error);
    let payload = entry.decompress(DECOMPRESSED_SIZE_MAX).map_err(fault)?;
    if place.batch.attributes().codec() != Some(Codec::None) {
        // Kafka reads all of a compressed batch before it shows any of it.
        check_all(payload.records_as_stored()).map_err(fault)?;
    }
    let is_legacy = entry.batch().is_none();
    let mut messages = entries(payload.bytes());
    for record in payload.records_as_stored() {
        let record = record.map_err(fault)?;
        let offset = record.offset.0;
        if offset != last_offset.wrapping_add(1) {
            findings.gap(place.key, last_offset, offset);
        }
        last_offset = offset;
        if view.metadata {
            show_metadata(place, &record, page)?;
            if is_legacy && let Some(Ok(message)) = messages.next() {
                show_checksum(&message, page)?;
            }
            if place.batch.attributes().is_control() {
                page.put(control::text(&record).map_err(|problem| at(place, problem))?)?;
            }
        }
        if let Some(decoder) = &view.contents
            && !place.batch.attributes().is_control()
        {
            show_contents(place, decoder, &record, view.metadata, page)?;
        }
        page.line("")?;
    }
    Ok(last_offset)
}

fn check_all<'a>(
    mut records: impl Iterator<Item = Result<Record<'a>, BatchError>>,
) -> Result<(), BatchError> {
    records.try_for_each(|record| record.map(drop))
}

fn at(place: Place<'_>, problem: Problem) -> Fault {
    Fault::at(place.path, Some(place.batch.position), problem)
}

fn show_metadata(place: Place<'_>, record: &Record<'_>, page: &mut Page<'_>) -> Result<(), Fault> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    page.put(format_args!(
        "{MARK} offset: {} {}: {} keySize: {} valueSize: {}",
        record.offset.0,
        timestamp_type(place.batch),
        record.timestamp.0,
        size(record.key),
        size(record.value),
    ))?;
    let Some(header) = place.batch.header() else { return Ok(()) };
    let delta = record.offset.0.wrapping_sub(header.base_offset().0);
    let sequence = match header.base_sequence() {
        // Deltas come from 32 bits, so none is lost.
        first @ 0.. => sequence(first, delta as i32),
        _ => -1,
    };
    page.put(format_args!(" sequence: {sequence} headerKeys: ["))?;
    for (at, header) in record.headers.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        page.put(format_args!("{comma}{}", dohle_base::text_lossy(header.key)))?;
    }
    page.put("]")?;
    Ok(())
}

fn show_checksum(entry: &Entry<'_>, page: &mut Page<'_>) -> Result<(), Fault> {
    if let Entry::Legacy(message) = entry {
        let is_valid = message.check_crc().is_ok();
        page.put(format_args!(" isValid: {is_valid} crc: {}", message.crc()))?;
    }
    Ok(())
}

fn show_contents(
    place: Place<'_>,
    decoder: &Decoder,
    record: &Record<'_>,
    is_behind_metadata: bool,
    page: &mut Page<'_>,
) -> Result<(), Fault> {
    let contents = decoder.contents(record).map_err(|problem| at(place, problem))?;
    if !is_behind_metadata && (contents.key.is_some() || contents.value.is_some()) {
        page.put(MARK)?;
    }
    if let Some(key) = contents.key {
        page.put(format_args!(" key: {key}"))?;
    }
    if let Some(value) = contents.value {
        page.put(format_args!(" payload: {value}"))?;
    }
    Ok(())
}
