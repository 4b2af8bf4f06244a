//! The files of a simulated disk.

use std::{
    io::{ErrorKind, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use dohle_base::Timestamp;

use super::{
    SimDisk, State,
    state::{full, io_error},
};
use crate::disk::{DiskFile, IoError, Operation};

/// A file of a `SimDisk`.
#[derive(Clone, Debug)]
pub struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) writable: bool,
    /// Which start of the disk the handle is of; useless after the next.
    pub(super) start: u64,
    /// How many of the file's failed syncs it has been told of, or that came before it: each who has opened
    /// the file is told once.
    pub(super) told: Arc<AtomicU64>,
}

impl SimFile {
    fn content<R>(
        &self,
        operation: Operation,
        access: impl FnOnce(&mut State, u64) -> Result<R, IoError>,
    ) -> Result<R, IoError> {
        let state = &mut *self.disk.state();
        if state.starts != self.start || !state.files.contains_key(&self.inode) {
            return Err(IoError::of_kind(operation, &self.path, ErrorKind::NotConnected));
        }
        state.powered(operation, &self.path)?;
        if !self.writable && matches!(operation, Operation::Write | Operation::Truncate) {
            return Err(IoError::of_kind(operation, &self.path, ErrorKind::PermissionDenied));
        }
        access(state, self.inode)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        self.content(Operation::Read, |state, inode| {
            state.read(&self.path)?;
            let read = state.file(inode).read(buffer, position);
            state.bytes_read += read as u64;
            Ok(read)
        })
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        let mut bytes =
            buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect::<Vec<_>>();
        if bytes.is_empty() {
            return Ok(0);
        }
        self.content(Operation::Write, |state, inode| {
            let changed = state.change(Operation::Write, &self.path);
            if let Err(error) = changed {
                if error.errno.is_some() && !error.is_full() {
                    bytes.truncate(bytes.len() / 2);
                    state.file(inode).write(position, bytes);
                }
                return Err(error);
            }
            let size = state.file(inode).size();
            let Some(taken) = state.room(size, position, bytes.len()) else {
                return Err(full(&self.path));
            };
            bytes.truncate(taken);
            state.file(inode).write(position, bytes);
            let now = state.now;
            state.modified.extend(now.map(|now| (inode, now)));
            Ok(taken)
        })
    }

    fn size(&self) -> Result<u64, IoError> {
        self.content(Operation::Size, |state, inode| Ok(state.file(inode).size()))
    }

    fn modified(&self) -> Result<Option<Timestamp>, IoError> {
        self.content(Operation::Size, |state, inode| Ok(state.modified.get(&inode).copied()))
    }

    fn set_modified(&self, at: Timestamp) -> Result<(), IoError> {
        self.content(Operation::SetModified, |state, inode| {
            state.modified.insert(inode, at);
            Ok(())
        })
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        self.content(Operation::Truncate, |state, inode| {
            state.change(Operation::Truncate, &self.path)?;
            state.give_back(inode, size);
            state.file(inode).truncate(size);
            Ok(())
        })
    }

    /// Only says whether there is room: what was set aside is nobody's here.
    fn reserve(&self, _start: u64, end: u64) -> Result<(), IoError> {
        self.content(Operation::Reserve, |state, inode| {
            state.change(Operation::Reserve, &self.path)?;
            let wanted = end.saturating_sub(state.file(inode).size());
            match state.faults.bytes_free {
                Some(free) if free < wanted => Err(full(&self.path)),
                _ => Ok(()),
            }
        })
    }

    fn sync(&self) -> Result<(), IoError> {
        self.disk.again(&self.path, || self.sync_once())
    }

    fn drop_cache(&self) -> Result<(), IoError> {
        self.content(Operation::DropCache, |state, inode| {
            state.file(inode).drop_cache();
            Ok(())
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl SimFile {
    fn sync_once(&self) -> Result<(), IoError> {
        self.content(Operation::Sync, |state, inode| {
            let changed = state.change(Operation::Sync, &self.path);
            match &changed {
                Ok(()) if state.ignores(&self.path) => {}
                Ok(()) => state.file(inode).sync(),
                Err(error) if error.errno.is_some() => {
                    state.file(inode).forget();
                    *state.failed_syncs.entry(inode).or_default() += 1;
                }
                Err(_) => {}
            }
            let failed = state.failed_syncs_of(inode);
            match self.told.swap(failed, Ordering::Relaxed) < failed {
                true => changed.and_then(|()| Err(io_error(Operation::Sync, &self.path))),
                false => changed,
            }
        })
    }
}
