//! A disk in memory that forgets what was not synced, for tests and for the simulator.
//!
//! It counts the calls that change something, so that an operation can be cut after each of them:
//! `set_faults` says where the power goes off, `restart` what is left afterwards. What is left of
//! the unsynced writes is any subset of their sectors, of the unsynced names any prefix for each
//! directory; the seed chooses. Seed 0 loses all of it, seed 1 keeps all.
//!
//! Simplification: the rename of a directory is durable at once.

mod content;
mod names;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, IoSlice},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dohle_base::Rng;

use crate::disk::{DirEntry, Disk, DiskFile, IoError, OpenMode, Operation};
use content::Content;
use names::{Names, Node};

/// What goes wrong, and when. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes off once this many changes were made, counted from the start of the disk.
    pub power_after: Option<u64>,
    /// The change of this number fails with `EIO`; if it is a sync, what it should have synced is
    /// lost at the next power cut although later syncs succeed.
    pub io_error_at: Option<u64>,
    /// How many bytes files may still grow by before the disk is full.
    pub bytes_free: Option<u64>,
    /// The most bytes that one write takes.
    pub write_size_max: Option<usize>,
    /// Files that cannot be read: `EIO`.
    pub unreadable: BTreeSet<PathBuf>,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// A file of a `SimDisk`.
#[derive(Clone, Debug)]
pub struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
    writable: bool,
    /// Which start of the disk the handle is of; useless after the next.
    start: u64,
}

#[derive(Clone, Debug, Default)]
struct State {
    names: Names,
    files: BTreeMap<u64, Content>,
    inodes: u64,
    starts: u64,
    changes: u64,
    faults: Faults,
}

impl SimDisk {
    /// An empty disk: only the root directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls that change something were made.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// A disk of its own with all that this one has, what was not synced included.
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state().clone())) }
    }

    /// Cuts the power and switches it on again. Handles from before are dead, faults are gone.
    /// Which of the unsynced changes are left is up to `seed`.
    pub fn restart(&self, seed: u64) {
        let state = &mut *self.state();
        let mut luck = Luck::new(seed);
        state.names.cut(&mut luck);
        let kept = state.names.inodes();
        state.files.retain(|inode, _| kept.contains(inode));
        for content in state.files.values_mut() {
            content.cut(&mut luck);
        }
        state.starts += 1;
        state.faults = Faults::default();
    }

    /// The bytes of a file as a reader sees them; `None` if there is none.
    pub fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.file(path)?;
        state.files.get(&inode).map(|content| content.bytes().to_vec())
    }

    /// Puts a file there as if it had always been, with its directories. For golden data and
    /// damage.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let state = &mut *self.state();
        let inode = state.names.plant(path, || {
            state.inodes += 1;
            state.inodes
        });
        state.files.insert(inode, Content::durable(bytes.to_vec()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test must not hide behind a second one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which unsynced changes a power cut leaves.
struct Luck {
    seed: u64,
    rng: Rng,
}

impl Luck {
    fn new(seed: u64) -> Self {
        Self { seed, rng: Rng::from_seed(seed) }
    }

    fn keeps(&mut self) -> bool {
        match self.seed {
            0 => false,
            1 => true,
            _ => self.rng.below(2) == 1,
        }
    }
}

impl State {
    /// Lets a change happen, or not.
    fn change(&mut self, operation: Operation, path: &Path) -> Result<(), IoError> {
        self.powered(operation, path)?;
        self.changes += 1;
        if self.faults.io_error_at == Some(self.changes) {
            return Err(io_error(operation, path));
        }
        Ok(())
    }

    fn powered(&self, operation: Operation, path: &Path) -> Result<(), IoError> {
        match self.faults.power_after {
            Some(count) if self.changes >= count => {
                Err(IoError::of_kind(operation, path, ErrorKind::NotConnected))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &Path, mode: OpenMode) -> Result<SimFile, IoError> {
        let state = &mut *self.state();
        state.powered(Operation::Open, path)?;
        let inode = match state.names.file(path) {
            Some(inode) => inode,
            None if mode == OpenMode::Create => {
                state
                    .names
                    .check_free(path)
                    .map_err(|k| IoError::of_kind(Operation::Open, path, k))?;
                state.change(Operation::Open, path)?;
                state.inodes += 1;
                state.files.insert(state.inodes, Content::default());
                state.names.set(path, Some(Node::File(state.inodes)));
                state.inodes
            }
            None => return Err(IoError::of_kind(Operation::Open, path, ErrorKind::NotFound)),
        };
        let (path, writable) = (path.to_owned(), mode != OpenMode::Read);
        Ok(SimFile { disk: self.clone(), path, inode, writable, start: state.starts })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::Rename, from)?;
        state.names.rename(from, to).map_err(|k| IoError::of_kind(Operation::Rename, from, k))
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::Remove, path)?;
        if state.names.file(path).is_none() {
            return Err(IoError::of_kind(Operation::Remove, path, ErrorKind::NotFound));
        }
        state.names.set(path, None);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::Remove, path)?;
        state.names.remove_dir(path).map_err(|k| IoError::of_kind(Operation::Remove, path, k))
    }

    fn create_dir(&self, path: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::CreateDir, path)?;
        let failed = |kind| IoError::of_kind(Operation::CreateDir, path, kind);
        state.names.check_free(path).map_err(failed)?;
        state.names.set(path, Some(Node::Dir));
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        let state = self.state();
        state.powered(Operation::List, dir)?;
        state
            .names
            .list(dir)
            .ok_or_else(|| IoError::of_kind(Operation::List, dir, ErrorKind::NotFound))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::SyncDir, dir)?;
        if !state.names.is_dir(dir) {
            return Err(IoError::of_kind(Operation::SyncDir, dir, ErrorKind::NotFound));
        }
        state.names.sync(dir);
        Ok(())
    }
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
        if operation == Operation::Read && state.faults.unreadable.contains(&self.path) {
            return Err(io_error(operation, &self.path));
        }
        if !self.writable && matches!(operation, Operation::Write | Operation::Truncate) {
            return Err(IoError::of_kind(operation, &self.path, ErrorKind::PermissionDenied));
        }
        access(state, self.inode)
    }
}

impl State {
    fn file(&mut self, inode: u64) -> &mut Content {
        self.files.get_mut(&inode).expect("looked up when the call began, under the same lock")
    }

    /// How many of `wanted` bytes at `position` of a file of `size` the disk still takes.
    fn room(&mut self, size: u64, position: u64, wanted: usize) -> Option<usize> {
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

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        self.content(Operation::Read, |state, inode| Ok(state.file(inode).read(buffer, position)))
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        let mut bytes =
            buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect::<Vec<_>>();
        if bytes.is_empty() {
            return Ok(0);
        }
        self.content(Operation::Write, |state, inode| {
            state.change(Operation::Write, &self.path)?;
            let size = state.file(inode).bytes().len() as u64;
            let Some(taken) = state.room(size, position, bytes.len()) else {
                return Err(full(&self.path));
            };
            bytes.truncate(taken);
            state.file(inode).write(position, bytes);
            Ok(taken)
        })
    }

    fn size(&self) -> Result<u64, IoError> {
        self.content(Operation::Size, |state, inode| Ok(state.file(inode).bytes().len() as u64))
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        self.content(Operation::Truncate, |state, inode| {
            state.change(Operation::Truncate, &self.path)?;
            state.file(inode).truncate(size);
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), IoError> {
        self.content(Operation::Sync, |state, inode| {
            let changed = state.change(Operation::Sync, &self.path);
            match &changed {
                Ok(()) => state.file(inode).sync(),
                Err(error) if error.errno.is_some() => state.file(inode).forget(),
                Err(_) => {}
            }
            changed
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// `EIO`, as a broken device gives it.
fn io_error(operation: Operation, path: &Path) -> IoError {
    IoError { operation, path: path.to_owned(), kind: ErrorKind::Other, errno: Some(5) }
}

/// `ENOSPC`.
fn full(path: &Path) -> IoError {
    let kind = ErrorKind::StorageFull;
    IoError { operation: Operation::Write, path: path.to_owned(), kind, errno: Some(28) }
}
