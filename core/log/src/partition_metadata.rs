//! `partition.metadata`: which topic, by its id, a partition's directory belongs to.
//!
//! ```text
//! version: 0
//! topic_id: ASNFZ4mrze8QMlR2mLrc_g
//! ```
//!
//! A directory that never had a record may lack it. If the id is not that of the topic of this name,
//! the directory is another topic's and must not be served: Kafka sets one without the file aside.
//!
//! Written with the first record, not synced and with a line end behind it, which all readers pass over.
//! The first flush makes that durable and then cuts the line end off: so a directory tells whether
//! anything in it was ever made durable, without another file. After a power cut the first form may be
//! empty: as good as missing.

#[cfg(test)]
mod tests;

use std::{io::IoSlice, path::Path};

use dohle_base::TopicId;

use crate::{
    checkpoint::SideFileError,
    disk::{Disk, DiskFile, IoError, OpenMode, read_file, replace_file},
};

/// The name of the file in a partition's directory.
pub const FILE_NAME: &str = "partition.metadata";
const FILE_SIZE_MAX: usize = 4096;

/// What the file says of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The topic.
    pub topic: TopicId,
    /// Whether anything in the directory was ever made durable.
    pub is_durable: bool,
}

/// The topic of the partition in `dir`; `None` if that was never written.
///
/// # Errors
/// `Malformed` if the file does not name a topic.
pub fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<TopicId>, SideFileError> {
    Ok(read_owner(disk, dir)?.map(|owner| owner.topic))
}

/// The same, and whether it was written durably.
///
/// # Errors
/// `Malformed` if the file does not name a topic.
pub fn read_owner<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Owner>, SideFileError> {
    let path = dir.join(FILE_NAME);
    let bytes = read_file(disk, &path, FILE_SIZE_MAX)?.unwrap_or_default();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let malformed = |line, reason| SideFileError::Malformed { path: path.clone(), line, reason };
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(1, "expected UTF-8 text"))?;
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("version: 0") {
        return Err(malformed(1, "expected `version: 0`"));
    }
    let id = lines.next().and_then(|line| line.trim_end().strip_prefix("topic_id: "));
    let id = id.and_then(|id| id.parse().ok()).filter(|id| *id != TopicId::ZERO);
    let topic = id.ok_or_else(|| malformed(2, "expected `topic_id: ` and the id of a topic"))?;
    if lines.next().is_some() {
        return Err(malformed(3, "expected the end of the file"));
    }
    Ok(Some(Owner { topic, is_durable: !text.ends_with('\n') }))
}

/// Says which topic the partition in `dir` belongs to. Durable when it returns.
///
/// # Errors
/// `Io`.
pub fn write<D: Disk>(disk: &D, dir: &Path, topic: TopicId) -> Result<(), IoError> {
    replace_file(disk, &dir.join(FILE_NAME), text(topic).as_bytes())
}

/// Says so with the first record, unless that is said already. Not durable.
pub(crate) fn write_early<D: Disk>(disk: &D, dir: &Path, topic: TopicId) -> Result<(), IoError> {
    if names(disk, dir, topic)? {
        return Ok(());
    }
    let file = disk.open(&dir.join(FILE_NAME), OpenMode::Create)?;
    let bytes = text(topic) + "\n";
    file.write_all_at(&[IoSlice::new(bytes.as_bytes())], 0)?;
    if file.size()? > bytes.len() as u64 { file.truncate(bytes.len() as u64) } else { Ok(()) }
}

/// Notes that what was written early is durable; not durable itself. `None` if the file is that of
/// another topic, which has been made meanwhile.
pub(crate) fn note_durable<D: Disk>(
    disk: &D,
    dir: &Path,
    topic: TopicId,
) -> Result<Option<D::File>, IoError> {
    let file = disk.open(&dir.join(FILE_NAME), OpenMode::Write)?;
    if !names(disk, dir, topic)? {
        return Ok(None);
    }
    file.truncate(text(topic).len() as u64)?;
    Ok(Some(file))
}

fn names<D: Disk>(disk: &D, dir: &Path, topic: TopicId) -> Result<bool, IoError> {
    match read(disk, dir) {
        Ok(found) => Ok(found == Some(topic)),
        Err(SideFileError::Malformed { .. }) => Ok(false),
        Err(SideFileError::Io(error)) => Err(error),
    }
}

/// What the file says.
fn text(topic: TopicId) -> String {
    // Kafka writes no line end here.
    format!("version: 0\ntopic_id: {topic}")
}
