//! A log directory whose disk fails is out of service until the next start; the node goes on with the
//! others.
//!
//! ```text
//! whoever meets the error ──judge──▶ failed: nothing here is acknowledged any more
//!                                      └─ alarm ─▶ controller's thread: partitions offline,
//!                                                  the controller is told, others lead
//! ```
//!
//! A sync that failed is never made again: the system may have dropped what it could not write, and
//! would say so once only. That holds for whatever reason it gives, a full volume among them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use dohle_log::{AppendError, Disk, IoError, LogError};
use tokio::sync::Notify;

use super::LogDir;
use crate::fatal::Fatal;

/// What the system says when it, not the disk, is short of something. Source: errno(3): `EINTR`,
/// `EAGAIN`, `ENOMEM`, `ENFILE`, `EMFILE`.
const SHORTAGES: [i32; 5] = [4, 11, 12, 23, 24];

/// What it says of a name that cannot be given, or of what was asked: the disk is sound. Source: errno(3):
/// `EEXIST`, `EXDEV`, `ENOTDIR`, `EISDIR`, `EINVAL`, `EMLINK`, `ENAMETOOLONG`, `ENOTEMPTY`, `ELOOP`.
const MISTAKES: [i32; 9] = [17, 18, 20, 21, 22, 31, 36, 39, 40];

/// `ENFILE`, `EMFILE`: what fails for them has not been begun.
const HANDLES: [i32; 2] = [23, 24];

/// Whether there was no file handle to be had: what was tried can be tried again.
pub(crate) fn is_short_of_handles(error: &IoError) -> bool {
    error.errno.is_some_and(|errno| HANDLES.contains(&errno))
}

/// Rings when a log directory has failed. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Alarm {
    rings: Arc<Notify>,
    fatal: Fatal,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        self.rings.notify_one();
    }

    /// Tells what is worse: the node cannot go on.
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// Waits until it has rung since it was heard the last time.
    pub(crate) async fn heard(&self) {
        self.rings.notified().await;
    }
}

impl LogDir {
    /// Whether the disk has failed.
    pub fn has_failed(&self) -> bool {
        self.way.has_failed()
    }

    /// Takes the directory out of service if it was its disk that failed.
    pub(crate) fn judge(&self, error: &IoError) {
        if self.is_to_blame_for(error) {
            self.way.fail(error);
        }
    }

    /// As `judge`, of what a log says.
    pub(crate) fn judge_log(&self, error: &LogError) {
        if let LogError::Io(error) = error {
            self.judge(error);
        }
    }

    /// As `judge`, of an append. Under the lock of the partition, which may move right after it.
    pub(crate) fn judge_append(&self, error: &AppendError) {
        if let AppendError::Log(error) = error {
            self.judge_log(error);
        }
    }

    fn is_to_blame_for(&self, error: &IoError) -> bool {
        if error.is_full() {
            // The data is sound, and space may come back.
            return false;
        }
        if error.is_not_found() {
            // A file is missing: the disk is, too, if there is nothing at all.
            return self.disk.list(&self.path).map_or(true, |names| names.is_empty());
        }
        if error.is_of_sync() && error.errno.is_some() {
            // Whatever the system was short of: it says so once only.
            return true;
        }
        error.errno.is_some_and(|errno| !SHORTAGES.contains(&errno) && !MISTAKES.contains(&errno))
    }
}
