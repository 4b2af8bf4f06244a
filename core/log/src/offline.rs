//! `dohle.offline`: that the log in a partition's directory was not opened, for there is damage in it or another
//! process may have written to it, and why.
//!
//! Such a log stays as it is, and nobody writes to it. But what its log directory knows of who wrote last, or
//! of whether the cache was lost, changes with each start: a later one could take damage for a torn
//! end, and cut off what was acknowledged. Whoever finds this file refuses damage, as a start on a
//! directory of Kafka's does. It goes when the log has opened and is durable. Kafka passes over it. An operator who removes it
//! takes that back: the next start may cut the log off at the damage.
//!
//! The name alone says it. So a volume without room for the reason takes the note all the same: file systems
//! set the place of names aside, and until the note is there a whole log directory is opened strictly.

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::disk::{Disk, IoError, remove_if_there, replace_file};

/// The name of the file.
pub const FILE_NAME: &str = "dohle.offline";

/// Whether the log in `dir` was not opened.
///
/// # Errors
/// `Io`.
pub fn is_noted<D: Disk>(disk: &D, dir: &Path) -> Result<bool, IoError> {
    match disk.size_of(&dir.join(FILE_NAME)) {
        Err(error) if error.is_not_found() => Ok(false),
        size => size.map(|_| true),
    }
}

/// Notes that the log in `dir` is not opened, and why, if there is room for that. Durable when it returns.
///
/// # Errors
/// `Io`; the next start may not know. `NotFound` if there is no such directory.
pub fn note<D: Disk>(disk: &D, dir: &Path, why: &str) -> Result<(), IoError> {
    let path = dir.join(FILE_NAME);
    match replace_file(disk, &path, format!("{why}\n").as_bytes()) {
        Err(error) if error.is_full() => replace_file(disk, &path, b""),
        noted => noted,
    }
}

/// The log in `dir` was noted, is open, and holds durably what it had. Gone durably when it returns.
///
/// # Errors
/// `Io`; the next start may refuse damage that is none.
pub fn forget<D: Disk>(disk: &D, dir: &Path) -> Result<(), IoError> {
    remove_if_there(disk, &dir.join(FILE_NAME))?;
    disk.sync_dir(dir)
}
