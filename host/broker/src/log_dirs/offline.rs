//! Notes in partitions' directories that their logs were not opened, and what waits for them.

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError, Weak},
};

use dohle_base::Offset;
use dohle_log::{IoError, offline};
use tracing::warn;

use super::LogDir;
use crate::partition::Partition;

/// Notes that are yet to be written, or to be removed.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Directories, and why their logs were not opened.
    missing: Vec<(PathBuf, String)>,
    outdated: Vec<Outdated>,
    are_logs_open: bool,
    /// Whether the next start knows that the logs are this program's.
    are_taken_over: bool,
}

/// The note of a log that is open by now.
#[derive(Debug)]
struct Outdated {
    partition: Weak<Partition>,
    /// Its directory.
    path: PathBuf,
    /// Where it ended when it was opened: what comes behind that is in frames.
    end: Offset,
}

impl Outdated {
    /// Whether all that was there is durable; `None` if it is not open any more.
    fn is_durable(&self) -> Option<bool> {
        let partition = self.partition.upgrade()?;
        partition.with_leader(|leader| leader.log().recovery_point() >= self.end).ok()
    }
}

impl LogDir {
    /// The log in the directory of a partition is not opened: no later start is to cut it off at damage. A note
    /// that cannot be written is tried again with each flush.
    pub(crate) fn note_offline(&self, partition: &Path, why: &str) {
        match offline::note(&self.disk, partition, why) {
            // There is nothing to be cut.
            Err(error) if error.is_not_found() => {}
            Ok(()) => {}
            Err(error) => {
                warn!(dir = %partition.display(), "that it is offline is noted once that can be: {error}");
                self.judge(&error);
                self.notes().missing.push((partition.to_owned(), why.to_owned()));
                self.upkeep().try_again();
            }
        }
    }

    /// The log in a directory that is noted to be offline was opened. The note goes once all that the log had
    /// is durable: until then a power cut may leave damage in it that is not to be cut off.
    pub(crate) fn drop_note_once_durable(&self, partition: &Arc<Partition>, path: PathBuf) {
        let Ok(end) = partition.with_leader(|leader| leader.log().log_end_offset()) else { return };
        self.notes().outdated.push(Outdated { partition: Arc::downgrade(partition), path, end });
        self.upkeep().try_again();
    }

    /// All logs are open, or are noted to be offline where damage in them must not be cut off, and hold durably what they had: from now on only this
    /// process writes to them. Until the last note is there the next start is to open them as this one did, and
    /// as long as it is room that is missing nothing is appended: a power cut could leave it so that such a start
    /// would keep the partition offline.
    pub(super) fn take_over(&self, partitions: &[Arc<Partition>]) {
        self.notes().are_logs_open = true;
        if !self.has_failed()
            && let Err(error) = self.mark(partitions)
        {
            warn!(
                "until checkpoints can be written the next start takes the logs for another process's: {error}"
            );
            self.judge(&error);
        }
        self.write_notes();
    }

    /// Writes the notes that could not be written, takes the logs over with the last one, and removes those that
    /// are not needed any more.
    pub(super) fn write_notes(&self) {
        if self.has_failed() {
            // Nothing in it is durable for sure: the next start is to look at all of it as this one did.
            return;
        }
        let mut notes = self.notes();
        let missing = std::mem::take(&mut notes.missing);
        let mut lacks_room = false;
        notes.missing.extend(missing.into_iter().filter(|(partition, why)| {
            let noted = offline::note(&self.disk, partition, why);
            let failed = noted.err().filter(|error| !error.is_not_found());
            lacks_room |= failed.as_ref().is_some_and(IoError::is_full);
            failed.is_some()
        }));
        let is_uncertain = if !notes.missing.is_empty() {
            self.upkeep().try_again();
            // What else is in the way of one partition's note does not keep the others from their work.
            lacks_room || !self.noted().are_marked
        } else {
            if notes.are_logs_open && self.noted().are_marked {
                notes.are_taken_over |= self.are_taken_over();
            } else if notes.are_logs_open {
                // The next flush marks them.
                self.upkeep().try_again();
            }
            true
        };
        self.way.refuse_appends(notes.are_logs_open && !notes.are_taken_over && is_uncertain);
        self.remove_outdated(&mut notes.outdated);
    }

    fn remove_outdated(&self, notes: &mut Vec<Outdated>) {
        notes.retain(|note| match note.is_durable() {
            Some(false) => true,
            // It stays for the next start.
            None => false,
            Some(true) => {
                if let Err(error) = offline::forget(&self.disk, &note.path)
                    && !error.is_not_found()
                {
                    // It is open all the same; the next start refuses damage that it might cut off.
                    warn!(dir = %note.path.display(), "noted to be offline, and is not: {error}");
                    self.judge(&error);
                }
                false
            }
        });
        if !notes.is_empty() {
            self.upkeep().try_again();
        }
    }

    /// The directory of a partition is gone, or is another one's.
    pub(crate) fn drop_note(&self, partition: &Path) {
        let mut notes = self.notes();
        notes.missing.retain(|(path, _)| path != partition);
        notes.outdated.retain(|note| note.path != partition);
    }

    fn are_taken_over(&self) -> bool {
        let taken = self.way.take_over();
        if let Err(error) = &taken {
            warn!("the next start takes the logs for another process's: {error}");
            self.judge(error);
            self.upkeep().try_again();
        }
        taken.is_ok()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
