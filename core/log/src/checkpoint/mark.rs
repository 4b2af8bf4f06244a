//! By which high watermarks tell that this program has written them last.
//!
//! Kafka may be started on a directory that was left by `kill -9`. What it acknowledges is in no write-ahead
//! log of ours, so what it left must not be cut off at damage. Nobody says that it was there; but it
//! writes the high watermarks as soon as it leads, before it serves, and every five seconds. So while this
//! program has the directory it writes their count with a zero before it. Kafka reads that as
//! any number, and never writes it.

use std::path::Path;

use super::{FILE_SIZE_MAX, OffsetKind, PartitionOffsets, VERSION, offsets_text};
use crate::disk::{Disk, IoError, read_file, replace_file};

const KIND: OffsetKind = OffsetKind::HighWatermark;
const MARK: char = '0';

/// Replaces the high watermarks that the log directory `dir` remembers, and marks them.
///
/// # Errors
/// The file still says what it said.
pub fn write<D: Disk>(disk: &D, dir: &Path, offsets: &PartitionOffsets) -> Result<(), IoError> {
    let mut text = offsets_text(offsets);
    text.insert(VERSION.len() + 1, MARK);
    replace_file(disk, &dir.join(KIND.file_name()), text.as_bytes())
}

/// Whether they are marked. Those that are missing are not.
///
/// # Errors
/// The disk failed.
pub fn is_there<D: Disk>(disk: &D, dir: &Path) -> Result<bool, IoError> {
    let bytes = read_file(disk, &dir.join(KIND.file_name()), FILE_SIZE_MAX)?.unwrap_or_default();
    let count = bytes.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    Ok(count.len() > 1 && count.starts_with(MARK.to_string().as_bytes()))
}
