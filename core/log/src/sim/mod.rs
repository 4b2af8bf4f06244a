//! A disk in memory that forgets what was not synced, for tests and for the simulator.
//!
//! It counts the calls that change something, so that an operation can be cut after each of them:
//! `set_faults` says where the power goes off or a call fails, `restart` what is left afterwards,
//! and `cuts` does both for every call of a run.
//!
//! What a power cut leaves, besides what was synced, is up to the seed of `restart`:
//! - of a file each sector or page as it was at some time since the last sync, and one of the sizes
//!   that it had; zeros where nothing was written (`content`);
//! - of a directory a prefix of the changes of its names, as a journal gives it, and with every other
//!   seed any of its new files besides (`names`);
//! - seed 0 loses all of it, seed 1 keeps all.
//!
//! A sync that fails loses what it should have synced although a later one succeeds, as systems do
//! it: readers go on seeing it, also after the process was started anew (`kill`), until the cache is
//! dropped or the power cut. Not here: what a disk makes of time; reads and writes are at once.

pub mod cuts;

mod content;
mod file;
mod names;
mod state;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use dohle_base::{Rng, Timestamp};

use crate::disk::{DirEntry, Disk, IoError, OpenMode, Operation};
use content::Content;
pub use file::SimFile;
use names::Names;
use state::{ends_as_one, io_error};

/// What goes wrong, and when. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes off once this many changes were made, counted from the start of the disk.
    pub power_after: Option<u64>,
    /// The change of this number fails with `EIO`. If it is a write, half of it is there; if it is a
    /// sync, what it should have synced is lost at the next power cut although later syncs succeed.
    pub io_error_at: Option<u64>,
    /// For the change of this number there is no room: `ENOSPC`, if it is one that may need some. A sync or a
    /// removal is made all the same.
    pub full_at: Option<u64>,
    /// The read of this number fails with `EIO`, counted from the start of the disk.
    pub read_error_at: Option<u64>,
    /// The opening of this number fails with `EMFILE`, counted from the start of the disk: the process has as many
    /// files open as it may.
    pub no_handle_at: Option<u64>,
    /// How many bytes files may still grow by before the disk is full. Files that shrink or are
    /// removed give theirs back.
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

#[derive(Clone, Debug, Default)]
struct State {
    names: Names,
    files: BTreeMap<u64, Content>,
    /// How many syncs of a file have failed.
    failed_syncs: BTreeMap<u64, u64>,
    starts: u64,
    /// How often the power came back.
    boots: u64,
    changes: u64,
    opens: u64,
    reads: u64,
    bytes_read: u64,
    syncs_of_names: u64,
    syncs_of_volumes: u64,
    /// The last call that was counted, and on what.
    last_call: Option<(Operation, PathBuf)>,
    last_fault: Option<(Operation, PathBuf)>,
    faults: Faults,
    /// Syncs of paths that end so do nothing.
    ignored: Vec<String>,
    /// The first sync of a volume that does nothing, and which of those behind it, if any.
    ignored_volume_syncs: Option<(u64, u64)>,
    /// Syncs of paths that end so are made again if they fail.
    repeated: Vec<String>,
    /// Files that could not be written back, of which the sync of their volume is yet to tell.
    unwritten: Vec<PathBuf>,
    /// The time of what is written, if the disk knows.
    now: Option<Timestamp>,
    modified: BTreeMap<u64, Timestamp>,
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

    /// How often the machine was started anew.
    pub fn boots(&self) -> u64 {
        self.state().boots
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        let state = self.state();
        state.faults.power_after.is_some_and(|count| state.changes >= count)
    }

    /// Makes all under `path` durable, as a sync of a volume that is mounted there does. One that fails loses bytes
    /// and no names, for those are in the journal.
    ///
    /// # Errors
    /// After any the disk is dead.
    pub fn sync_all(&self, path: &Path) -> Result<(), IoError> {
        self.again(&volume(path), || self.sync_all_once(path))
    }

    fn sync_all_once(&self, path: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        let changed = state.change(Operation::Sync, path);
        state.syncs_of_volumes += 1;
        let is_ignored = state.ignores(&volume(path)) || state.ignores_volume_sync();
        let top = state.names.dir(path);
        let top =
            top.ok_or_else(|| IoError::of_kind(Operation::Sync, path, ErrorKind::NotFound))?;
        let (dirs, files) = state.names.under(top);
        let files = state.files.iter_mut().filter(|(inode, _)| files.contains(inode));
        match &changed {
            Ok(()) if is_ignored => {}
            Ok(()) => {
                files.for_each(|(_, content)| content.sync());
                dirs.into_iter().for_each(|dir| state.names.sync(dir));
                let untold = state.unwritten.extract_if(.., |file| file.starts_with(path));
                if untold.count() > 0 {
                    return Err(io_error(Operation::Sync, path));
                }
            }
            Err(error) if error.errno.is_some() => {
                files.for_each(|(_, content)| content.forget());
            }
            Err(_) => {}
        }
        changed
    }

    /// The system could not write back what was written to a file and not synced, and nobody was at a sync: it is lost
    /// at the next power cut although later syncs succeed. That is told by the next sync to each who has the file
    /// open, and by the next one of the volume. Nothing if there is no such file.
    pub fn fail_write_back(&self, path: &Path) {
        let state = &mut *self.state();
        let Some(inode) = state.names.file(path) else { return };
        state.file(inode).forget();
        *state.failed_syncs.entry(inode).or_default() += 1;
        state.unwritten.push(path.to_owned());
    }

    /// How often a file was opened, or was to be.
    pub fn opens(&self) -> u64 {
        self.state().opens
    }

    /// How many reads were made.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// How many bytes were read.
    pub fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// How often a directory was synced.
    pub fn syncs_of_names(&self) -> u64 {
        self.state().syncs_of_names
    }

    /// The last read or change, and on which path.
    pub fn last_call(&self) -> Option<(Operation, PathBuf)> {
        self.state().last_call.clone()
    }

    /// The last call that failed by a fault, and on which path.
    pub fn last_fault(&self) -> Option<(Operation, PathBuf)> {
        self.state().last_fault.clone()
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Says what time it is for what is written from now on. Before, the disk does not tell times.
    pub fn set_now(&self, now: Timestamp) {
        self.state().now = Some(now);
    }

    /// From now on syncs of files and directories whose paths end so do nothing, which nobody is told: the fault
    /// that tests of power cuts must find. A volume's path ends with `/*`.
    pub fn ignore_syncs_of(&self, ending: &str) {
        self.state().ignored.push(ending.to_owned());
    }

    /// From now on syncs of files and volumes whose paths end so are made again if they fail, and believed then:
    /// another fault that tests must find.
    pub fn repeat_failed_syncs_of(&self, ending: &str) {
        self.state().repeated.push(ending.to_owned());
    }

    /// The same of the sync of a volume that has the number `first`, counted from the start of the disk, and of
    /// each `step`th behind it.
    pub fn ignore_volume_syncs(&self, first: u64, step: u64) {
        self.state().ignored_volume_syncs = Some((first, step));
    }

    /// How often a volume was synced.
    pub fn syncs_of_volumes(&self) -> u64 {
        self.state().syncs_of_volumes
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
        state.boots += 1;
        state.faults = Faults::default();
    }

    /// Ends the process that has it, not the machine: handles from before are dead, all that was
    /// written is seen by the next, and what was not synced is as endangered as before.
    pub fn kill(&self) {
        self.state().starts += 1;
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
        let inode = state.names.plant(path);
        state.files.insert(inode, Content::durable(bytes.to_vec()));
    }

    /// Turns over a bit of a file, as a device does that rots; nothing if there is none.
    pub fn flip(&self, path: &Path, bit: u64) {
        let state = &mut *self.state();
        if let Some(content) = state.names.file(path).and_then(|inode| state.files.get_mut(&inode))
        {
            content.flip(bit);
        }
    }

    /// Syncs, and does so again if that fails and is to be repeated.
    fn again(&self, path: &Path, sync: impl Fn() -> Result<(), IoError>) -> Result<(), IoError> {
        sync().or_else(|error| {
            let is_repeated = error.errno.is_some() && ends_as_one(path, &self.state().repeated);
            if is_repeated { sync() } else { Err(error) }
        })
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
    /// How many of eight changes are kept.
    kept_of_eight: u64,
}

impl Luck {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let kept_of_eight = match seed {
            0 => 0,
            1 => 8,
            _ => [1, 4, 7][rng.below(3) as usize],
        };
        Self { seed, rng, kept_of_eight }
    }

    fn keeps(&mut self) -> bool {
        self.rng.below(8) < self.kept_of_eight
    }

    /// The bytes that are written back together: a sector of the device or a page of the system.
    fn page_size(&mut self) -> usize {
        if self.rng.below(2) == 0 { 512 } else { 4096 }
    }

    /// Whether new files become durable in the order of all changes, as with a journal.
    fn names_in_order(&mut self) -> bool {
        self.seed.is_multiple_of(2)
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &Path, mode: OpenMode) -> Result<SimFile, IoError> {
        let state = &mut *self.state();
        state.powered(Operation::Open, path)?;
        state.handle(path)?;
        let failed = |kind| IoError::of_kind(Operation::Open, path, kind);
        let inode = match state.names.file(path) {
            Some(inode) => inode,
            None if mode == OpenMode::Create => {
                state.change(Operation::Open, path)?;
                let inode = state.names.create_file(path).map_err(failed)?;
                state.files.insert(inode, Content::default());
                inode
            }
            None => return Err(failed(ErrorKind::NotFound)),
        };
        let (path, writable) = (path.to_owned(), mode != OpenMode::Read);
        let told = Arc::new(AtomicU64::new(state.failed_syncs_of(inode)));
        Ok(SimFile { disk: self.clone(), path, inode, writable, start: state.starts, told })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::Rename, from)?;
        let replaced = state.names.rename(from, to);
        let replaced = replaced.map_err(|k| IoError::of_kind(Operation::Rename, from, k))?;
        replaced.into_iter().for_each(|inode| state.give_back(inode, 0));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        let state = &mut *self.state();
        state.change(Operation::Remove, path)?;
        let removed = state.names.remove_file(path);
        let inode = removed.map_err(|k| IoError::of_kind(Operation::Remove, path, k))?;
        state.give_back(inode, 0);
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
        state.names.create_dir(path).map_err(|k| IoError::of_kind(Operation::CreateDir, path, k))
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
        let not_found = || IoError::of_kind(Operation::SyncDir, dir, ErrorKind::NotFound);
        let changed = state.change(Operation::SyncDir, dir);
        state.syncs_of_names += 1;
        let inode = state.names.dir(dir).ok_or_else(not_found)?;
        match &changed {
            Ok(()) if state.ignores(dir) => {}
            Ok(()) => state.names.sync(inode),
            Err(error) if error.errno.is_some() => state.names.forget(inode),
            Err(_) => {}
        }
        changed
    }
}

/// What the sync of a volume that is mounted at `path` goes by among paths: all that is under it.
fn volume(path: &Path) -> PathBuf {
    path.join("*")
}
