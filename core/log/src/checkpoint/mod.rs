//! The text files that remember a number for each partition of a log directory, or an offset for
//! each leader epoch of a partition.
//!
//! ```text
//! 0                      version
//! 2                      how many entries follow
//! topic 0 42             an entry a line, fields apart by one blank
//! topic 1 7
//! ```
//!
//! They are replaced as a whole: a reader finds the old file or the new one. Where there is no room for a new
//! one, what must not be believed any more is struck out of the old one: a digit that becomes 0 takes none, and
//! whichever of an entry's digits a power cut leaves, it says less than before. An empty file has no
//! entries. What a damaged file means is for the caller to decide.

pub mod mark;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    io::IoSlice,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
};

use dohle_base::{LeaderEpoch, Offset, PartitionId, Str};

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode, read_file, replace_file},
    epoch_cache::EpochStart,
};

/// The largest checkpoint that is read: a million partitions with long names.
pub(crate) const FILE_SIZE_MAX: usize = 256 << 20;
/// The only version there is.
const VERSION: &str = "0";
/// A leader epoch's first offset, in the directory of the partition.
pub const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";

/// Which number a log directory remembers for its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetKind {
    /// Up to where the log is known to be durable.
    RecoveryPoint,
    /// Where the log starts, if that is behind the start of its first segment.
    LogStart,
    /// The high watermark.
    HighWatermark,
    /// Up to where the log has been compacted.
    CleanerPoint,
}

/// Offsets by topic and partition.
pub type PartitionOffsets = BTreeMap<(Str, PartitionId), Offset>;

/// Why a side file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SideFileError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The file is there but does not say what it should.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl OffsetKind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RecoveryPoint, Self::LogStart, Self::HighWatermark, Self::CleanerPoint];

    /// The name of the file in the log directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::CleanerPoint => "cleaner-offset-checkpoint",
        }
    }
}

/// Reads what the log directory `dir` remembers. A missing file has no entries.
///
/// # Errors
/// `Malformed` for a wrong version or count, a line that is no entry, or a last one that does not end.
pub fn read_offsets<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: OffsetKind,
) -> Result<PartitionOffsets, SideFileError> {
    let path = dir.join(kind.file_name());
    let bytes = read_file(disk, &path, FILE_SIZE_MAX)?.unwrap_or_default();
    let lines = Lines { path: &path, bytes: &bytes, form: "expected `topic partition offset`" };
    let mut offsets = PartitionOffsets::new();
    lines.read(|[topic, partition, offset]| {
        let partition = number(partition).ok_or("expected a partition from 0")?;
        let offset = number(offset).ok_or("expected an offset from 0")?;
        offsets.insert((topic.into(), PartitionId(partition)), Offset(offset));
        Ok(())
    })?;
    Ok(offsets)
}

/// Where in the file the entry of a partition begins; 0 if it has none.
///
/// # Errors
/// The disk failed.
pub fn position_of<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: OffsetKind,
    (topic, partition): (&str, PartitionId),
) -> Result<u64, IoError> {
    let bytes = read_file(disk, &dir.join(kind.file_name()), FILE_SIZE_MAX)?.unwrap_or_default();
    let mut position = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let fields = std::str::from_utf8(line).unwrap_or_default().split_ascii_whitespace();
        let is_wanted = |(index, field): (usize, &str)| match index {
            0 => field == topic,
            _ => field.parse() == Ok(partition.0),
        };
        if fields.clone().count() == 3 && fields.enumerate().take(2).all(is_wanted) {
            return Ok(position);
        }
        position += line.len() as u64;
    }
    Ok(0)
}

/// Replaces what the log directory `dir` remembers.
///
/// # Errors
/// The file still says what it said.
pub fn write_offsets<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: OffsetKind,
    offsets: &PartitionOffsets,
) -> Result<(), IoError> {
    replace_file(disk, &dir.join(kind.file_name()), offsets_text(offsets).as_bytes())
}

fn offsets_text(offsets: &PartitionOffsets) -> String {
    let mut text = head(offsets.len());
    for ((topic, partition), offset) in offsets {
        line(&mut text, format_args!("{topic} {partition} {offset}"));
    }
    text
}

/// Whether the file is there and has not one byte: nobody leaves it so.
///
/// # Errors
/// The disk failed.
pub fn is_blank<D: Disk>(disk: &D, dir: &Path, kind: OffsetKind) -> Result<bool, IoError> {
    let bytes = read_file(disk, &dir.join(kind.file_name()), FILE_SIZE_MAX)?;
    Ok(bytes.is_some_and(|bytes| bytes.is_empty()))
}

/// Makes the offsets that the log directory `dir` remembers for these partitions 0, where they stand. Durable
/// when it returns. For when there is no room to replace the file.
///
/// # Errors
/// `Io`; it may say so of some of them.
pub fn strike_out<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: OffsetKind,
    partitions: &BTreeSet<(Str, PartitionId)>,
) -> Result<(), IoError> {
    let path = dir.join(kind.file_name());
    let Some(bytes) = read_file(disk, &path, FILE_SIZE_MAX)? else { return Ok(()) };
    let file = disk.open(&path, OpenMode::Write)?;
    for Range { start, end } in places_of(&bytes, partitions) {
        let zeros = vec![b'0'; end - start];
        file.write_all_at(&[IoSlice::new(&zeros)], start as u64)?;
    }
    file.sync()
}

/// Where the offsets of these partitions stand in a checkpoint. One that is no number has no place.
fn places_of(bytes: &[u8], partitions: &BTreeSet<(Str, PartitionId)>) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut places = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(place) = place_in(line, partitions) {
            places.push(start + place.start..start + place.end);
        }
        start += line.len();
    }
    places
}

fn place_in(line: &[u8], partitions: &BTreeSet<(Str, PartitionId)>) -> Option<Range<usize>> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (entry, offset) = line.rsplit_once(' ')?;
    let (topic, partition) = entry.split_once(' ')?;
    let key = (Str::from(topic), PartitionId(partition.parse().ok()?));
    let is_number = offset.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && partitions.contains(&key)).then_some(line.len() - offset.len()..line.len())
}

/// Reads at which offsets the epochs of the partition in `dir` begin. A missing file has no
/// entries.
///
/// # Errors
/// As `read_offsets`.
pub fn read_epochs<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<EpochStart>, SideFileError> {
    let path = dir.join(LEADER_EPOCH_FILE);
    let bytes = read_file(disk, &path, FILE_SIZE_MAX)?.unwrap_or_default();
    let lines = Lines { path: &path, bytes: &bytes, form: "expected `epoch offset`" };
    let mut epochs = Vec::new();
    lines.read(|[epoch, start]| {
        let epoch = LeaderEpoch(number(epoch).ok_or("expected an epoch from 0")?);
        let start = Offset(number(start).ok_or("expected an offset from 0")?);
        epochs.push(EpochStart { epoch, start });
        Ok(())
    })?;
    Ok(epochs)
}

/// Replaces what the partition in `dir` remembers of its epochs.
pub(crate) fn write_epochs<D: Disk>(
    disk: &D,
    dir: &Path,
    epochs: &[EpochStart],
) -> Result<(), IoError> {
    replace_file(disk, &dir.join(LEADER_EPOCH_FILE), epochs_text(epochs).as_bytes())
}

/// What the file of epochs says.
pub(crate) fn epochs_text(epochs: &[EpochStart]) -> String {
    let mut text = head(epochs.len());
    for EpochStart { epoch, start } in epochs {
        line(&mut text, format_args!("{epoch} {start}"));
    }
    text
}

fn head(count: usize) -> String {
    format!("{VERSION}\n{count}\n")
}

fn line(text: &mut String, entry: std::fmt::Arguments<'_>) {
    writeln!(text, "{entry}").expect("a string takes all text");
}

/// A number that is not negative: none of what is remembered can be.
fn number<N: FromStr + PartialOrd + Default>(text: &str) -> Option<N> {
    text.parse().ok().filter(|number| *number >= N::default())
}

/// The lines of a checkpoint, to be read as entries.
struct Lines<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    /// What a line that is no entry should be.
    form: &'static str,
}

impl Lines<'_> {
    fn read<const FIELDS: usize>(
        &self,
        mut entry: impl FnMut([&str; FIELDS]) -> Result<(), &'static str>,
    ) -> Result<(), SideFileError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(self.bytes)
            .map_err(|_| self.malformed(1, "expected UTF-8 text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(VERSION) {
            return Err(self.malformed(1, "expected version 0"));
        }
        let count = lines.next().and_then(|line| line.parse::<usize>().ok());
        let count = count.ok_or_else(|| self.malformed(2, "expected a count from 0"))?;
        let mut read = 0;
        for (index, line) in lines.enumerate() {
            let mut fields = line.split_ascii_whitespace();
            let taken = std::array::from_fn(|_| fields.next().unwrap_or_default());
            let complete = !taken.contains(&"") && fields.next().is_none();
            let result = if complete { entry(taken) } else { Err(self.form) };
            result.map_err(|reason| self.malformed(index + 3, reason))?;
            read += 1;
        }
        if read != count {
            return Err(self.malformed(2, "expected the count of the lines behind it"));
        }
        // Of a number that was cut the rest is a number, too.
        if text.ends_with('\n') {
            Ok(())
        } else {
            Err(self.malformed(read + 2, "expected an end of the line"))
        }
    }

    fn malformed(&self, line: usize, reason: &'static str) -> SideFileError {
        SideFileError::Malformed { path: self.path.to_owned(), line, reason }
    }
}
