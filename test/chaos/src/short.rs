//! A topic that is kept short: its old segments are removed all the time.

use std::{fs, path::PathBuf};

use anyhow::Result;

/// So many records are kept of a partition at least: none is larger than a thousandth of
/// `retention.bytes`.
pub(crate) const KEPT_RECORDS: i64 = 131;

/// The topic's settings. Removed files wait longer than any node lives.
pub(crate) const TOPIC_CONFIG: [(&str, &str); 3] = [
    ("internal.segment.bytes", "16384"),
    ("retention.bytes", "131072"),
    ("file.delete.delay.ms", "60000"),
];

/// The node's: old segments are looked for all the time.
pub(crate) const OVERRIDES: [&str; 2] =
    ["log.retention.check.interval.ms=10", "log.initial.task.delay.ms=10"];

/// How many removed segments of the topic wait to be unlinked.
pub(crate) fn count_removed(data: &[PathBuf], topic: &str) -> Result<usize> {
    let mut count = 0;
    let dirs = data.iter().map(fs::read_dir).collect::<Result<Vec<_>, _>>()?;
    for partition in dirs.into_iter().flatten() {
        let partition = partition?;
        if partition.file_name().to_string_lossy().starts_with(&format!("{topic}-")) {
            // It may have moved away since.
            let Ok(files) = fs::read_dir(partition.path()) else { continue };
            let names = files.flatten().map(|file| file.file_name());
            count += names.filter(|name| name.to_string_lossy().ends_with(".log.deleted")).count();
        }
    }
    Ok(count)
}
