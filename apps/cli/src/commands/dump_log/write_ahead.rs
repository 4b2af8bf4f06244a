//! `dohle.wal`: its blocks, its frames, and whose batches are in them.

use std::path::Path;

use dohle_log::{
    Synced,
    inspect::Batches,
    wal::{WalContent, WalEntry, WalError, WalFrames},
};

use super::{
    SegmentView,
    fault::{Fault, Problem},
    file::{disk, open},
    findings::Findings,
    page::Page,
    segment,
};

/// How much is read at once of the batches of an entry; most have few.
const PIECE_SIZE: usize = 64 << 10;

/// Shows what a start after a crash would read. Positions of batches are those in the file.
pub(super) fn show(
    path: &Path,
    view: &SegmentView,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let file = open(path)?;
    let mut frames = WalFrames::new(&file).map_err(|error| disk(path, error))?;
    for (number, block) in frames.blocks().into_iter().enumerate() {
        match block {
            Some(block) => page.line(format_args!(
                "block: {number} sequence: {} capacity: {} tail: {} boot: {:032x} salted: {} left: {} isvalid: true",
                block.sequence, block.capacity, block.tail, block.boot, block.is_salted, block.is_left
            ))?,
            None => page.line(format_args!("block: {number} isvalid: false"))?,
        }
    }
    while let Some(frame) = frames.next_frame().map_err(|error| fault(path, error))? {
        page.line(format_args!(
            "frame: {} position: {} size: {} entries: {} crc: {}",
            frame.position,
            frame.start,
            frame.size,
            frame.entries.len(),
            frame.crc
        ))?;
        for entry in &frame.entries {
            let WalEntry { topic, partition, content } = entry;
            let (start, size) = match content {
                WalContent::Batches { start, size } => (*start, *size),
                WalContent::Synced(Synced { end, epoch }) => {
                    page.line(format_args!(
                        "topicId: {topic} partition: {partition} syncedTo: {end} leaderEpoch: {epoch}"
                    ))?;
                    continue;
                }
            };
            page.line(format_args!(
                "topicId: {topic} partition: {partition} position: {start} size: {size}"
            ))?;
            let end = start + size as u64;
            let batches = Batches::new(&file, (start, end), PIECE_SIZE);
            let mut batches = batches.map_err(|error| disk(path, error))?;
            segment::show_batches(path, &mut batches, view, page, findings)?;
            let left = batches.end().saturating_sub(batches.position());
            if left > 0 {
                let problem = Problem::Text(format!("{left} bytes of the entry are no batch"));
                return Err(Fault::at(path, Some(batches.position()), problem));
            }
        }
    }
    Ok(page.line(format_args!("end: {}", frames.end()))?)
}

fn fault(path: &Path, error: WalError) -> Fault {
    match error {
        WalError::Io(error) => disk(path, error),
        WalError::Damaged { position, reason, .. } => {
            Fault::at(path, Some(position), Problem::Text(reason.to_string()))
        }
    }
}
