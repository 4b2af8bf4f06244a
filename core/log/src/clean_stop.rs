//! `.kafka_cleanshutdown`: that all logs of a directory were closed, and in which broker epoch.
//!
//! ```text
//! {"version":0,"brokerEpoch":14}
//! ```
//!
//! Written as the last act of a stop, removed before the first log is opened: whoever finds it
//! knows that nothing has been written since. Versions before 3.8 leave the file empty.

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;

use crate::disk::{Disk, IoError, read_file, remove_if_there, replace_file};

/// The name of the file.
pub const FILE_NAME: &str = ".kafka_cleanshutdown";
const FILE_SIZE_MAX: usize = 64 << 10;

/// A directory was left clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanStop {
    /// The broker epoch of the node that left it; `None` if it did not say.
    pub broker_epoch: Option<i64>,
}

/// Whether the log directory `dir` was left clean.
///
/// # Errors
/// `Io`.
pub fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<CleanStop>, IoError> {
    let Some(bytes) = read_file(disk, &dir.join(FILE_NAME), FILE_SIZE_MAX)? else {
        return Ok(None);
    };
    let json = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
    Ok(Some(CleanStop { broker_epoch: json.get("brokerEpoch").and_then(Value::as_i64) }))
}

/// Says that the log directory `dir` is left clean. Durable when it returns.
///
/// # Errors
/// `Io`; the stop was not clean.
pub fn write<D: Disk>(disk: &D, dir: &Path, broker_epoch: i64) -> Result<(), IoError> {
    let text = format!(r#"{{"version":0,"brokerEpoch":{broker_epoch}}}"#);
    replace_file(disk, &dir.join(FILE_NAME), text.as_bytes())
}

/// Takes that back, before anything is written. Durable when it returns.
///
/// # Errors
/// `Io`; no log may be opened.
pub fn remove<D: Disk>(disk: &D, dir: &Path) -> Result<(), IoError> {
    remove_if_there(disk, &dir.join(FILE_NAME))?;
    disk.sync_dir(dir)
}
