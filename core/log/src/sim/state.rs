//! What is counted, refused and allowed of the calls to a simulated disk.

use std::{io::ErrorKind, path::Path};

use super::{State, content::Content};
use crate::disk::{IoError, Operation};

impl State {
    /// Lets a change happen, or not.
    pub(super) fn change(&mut self, operation: Operation, path: &Path) -> Result<(), IoError> {
        self.powered(operation, path)?;
        self.changes += 1;
        self.last_call = Some((operation, path.to_owned()));
        let error = if self.faults.io_error_at == Some(self.changes) {
            io_error(operation, path)
        } else if self.faults.full_at == Some(self.changes) && may_need_room(operation) {
            IoError { operation, ..full(path) }
        } else {
            return Ok(());
        };
        self.last_fault = self.last_call.clone();
        Err(error)
    }

    /// Lets a read happen, or not.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), IoError> {
        self.reads += 1;
        self.last_call = Some((Operation::Read, path.to_owned()));
        let fails = self.faults.read_error_at == Some(self.reads);
        if fails || self.faults.unreadable.contains(path) {
            self.last_fault = self.last_call.clone();
            return Err(io_error(Operation::Read, path));
        }
        Ok(())
    }

    /// Lets a file be opened, or not.
    pub(super) fn handle(&mut self, path: &Path) -> Result<(), IoError> {
        self.opens += 1;
        if self.faults.no_handle_at != Some(self.opens) {
            return Ok(());
        }
        self.last_fault = Some((Operation::Open, path.to_owned()));
        Err(no_handle(path))
    }

    pub(super) fn ignores(&self, path: &Path) -> bool {
        ends_as_one(path, &self.ignored)
    }

    pub(super) fn ignores_volume_sync(&self) -> bool {
        self.ignored_volume_syncs.is_some_and(|(first, step)| {
            let behind = self.syncs_of_volumes.checked_sub(first);
            behind.is_some_and(|behind| behind % step == 0)
        })
    }

    pub(super) fn powered(&self, operation: Operation, path: &Path) -> Result<(), IoError> {
        match self.faults.power_after {
            Some(count) if self.changes >= count => {
                Err(IoError::of_kind(operation, path, ErrorKind::NotConnected))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn failed_syncs_of(&self, inode: u64) -> u64 {
        self.failed_syncs.get(&inode).copied().unwrap_or(0)
    }

    pub(super) fn file(&mut self, inode: u64) -> &mut Content {
        self.files.get_mut(&inode).expect("looked up when the call began, under the same lock")
    }

    /// A file has lost its bytes from `size` on.
    pub(super) fn give_back(&mut self, inode: u64, size: u64) {
        let freed = self.files.get(&inode).map_or(0, |file| file.size().saturating_sub(size));
        self.faults.bytes_free = self.faults.bytes_free.map(|free| free + freed);
    }

    /// How many of `wanted` bytes at `position` of a file of `size` the disk still takes.
    pub(super) fn room(&mut self, size: u64, position: u64, wanted: usize) -> Option<usize> {
        let wanted = wanted.min(self.faults.write_size_max.unwrap_or(usize::MAX));
        let Some(free) = self.faults.bytes_free else { return Some(wanted) };
        let end_max = size.max(position) + free;
        let room = usize::try_from(end_max.saturating_sub(position)).unwrap_or(usize::MAX);
        let taken = wanted.min(room);
        let growth = (position + taken as u64).saturating_sub(size);
        self.faults.bytes_free = Some(free.saturating_sub(growth));
        (taken > 0).then_some(taken)
    }
}

pub(super) fn ends_as_one(path: &Path, endings: &[String]) -> bool {
    let path = path.to_string_lossy();
    endings.iter().any(|ending| path.ends_with(ending.as_str()))
}

/// Whether the system may have to find room for a change.
fn may_need_room(operation: Operation) -> bool {
    use Operation::{CreateDir, Open, Rename, Reserve, Write};
    matches!(operation, Open | Write | Reserve | Rename | CreateDir)
}

/// `EIO`, as a broken device gives it.
pub(super) fn io_error(operation: Operation, path: &Path) -> IoError {
    IoError { operation, path: path.to_owned(), kind: ErrorKind::Other, errno: Some(5) }
}

/// `ENOSPC`.
pub(super) fn full(path: &Path) -> IoError {
    let kind = ErrorKind::StorageFull;
    IoError { operation: Operation::Write, path: path.to_owned(), kind, errno: Some(28) }
}

/// `EMFILE`: too many files are open.
fn no_handle(path: &Path) -> IoError {
    let (path, kind) = (path.to_owned(), ErrorKind::Other);
    IoError { operation: Operation::Open, path, kind, errno: Some(24) }
}
