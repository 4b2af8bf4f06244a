//! The system's disk or a simulated one: for tests, of which most have the system's.

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
    sync::Arc,
};

use dohle_base::Timestamp;
use dohle_log::{
    Disk, DiskFile, IoError,
    disk::{DirEntry, OpenMode},
    sim::{SimDisk, SimFile},
};
use dohle_os::{DirLock, LockError, OpenFile, OsDisk, OsFile, Volume, VolumeSync};

use super::System;

/// What is asked of either is asked of the one that it is.
macro_rules! either {
    ($self:ident, $it:ident => $ask:expr) => {
        match $self {
            Self::Os($it) => $ask,
            Self::Sim($it) => $ask,
        }
    };
}

/// The disk of log directories.
#[derive(Clone, Debug)]
pub enum NodeDisk {
    Os(OsDisk),
    Sim(SimDisk),
}

/// A file there.
#[derive(Clone, Debug)]
pub enum NodeFile {
    Os(OsFile),
    Sim(SimFile),
}

/// Keeps a log directory. A simulated one has one process at most.
#[derive(Debug)]
pub(crate) enum NodeLock {
    Os(DirLock),
    Sim,
}

/// The volume of a log directory. Simulated ones are each on their own.
#[derive(Debug)]
pub(crate) enum NodeVolume {
    Os(VolumeSync),
    Sim(SimDisk, PathBuf),
}

/// The system's.
pub(crate) const OS: NodeDisk = NodeDisk::Os(OsDisk);

impl NodeLock {
    pub(crate) fn release(self) -> Result<(), IoError> {
        match self {
            Self::Os(lock) => lock.release(),
            Self::Sim => Ok(()),
        }
    }
}

impl NodeVolume {
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        match self {
            Self::Os(volume) => volume.sync(),
            Self::Sim(disk, dir) => disk.sync_all(dir),
        }
    }

    pub(crate) fn room(&self) -> Result<Volume, IoError> {
        match self {
            Self::Os(volume) => volume.room(),
            // Too little for anything that is not needed.
            Self::Sim(..) => Ok(Volume { total_bytes: 0, usable_bytes: 0 }),
        }
    }
}

impl System for NodeDisk {
    type Lock = NodeLock;
    type Volume = NodeVolume;

    fn lock(&self, dir: &Path) -> Result<NodeLock, LockError> {
        match self {
            Self::Os(disk) => disk.lock(dir).map(NodeLock::Os),
            Self::Sim(_) => Ok(NodeLock::Sim),
        }
    }

    fn boot_id(&self) -> Result<u128, IoError> {
        match self {
            Self::Os(disk) => disk.boot_id(),
            Self::Sim(disk) => Ok(u128::from(disk.boots()) + 1),
        }
    }

    fn volume(&self, dir: &Path) -> Result<NodeVolume, IoError> {
        match self {
            Self::Os(disk) => disk.volume(dir).map(NodeVolume::Os),
            Self::Sim(disk) => Ok(NodeVolume::Sim(disk.clone(), dir.to_owned())),
        }
    }

    fn volume_id(&self, path: &Path) -> Result<u64, IoError> {
        match self {
            Self::Os(disk) => disk.volume_id(path),
            Self::Sim(disk) => disk.list(path).map(|_| 0),
        }
    }

    fn share_volume(&self, one: &Path, other: &Path) -> Result<bool, IoError> {
        match self {
            Self::Os(disk) => disk.share_volume(one, other),
            Self::Sim(_) => Ok(true),
        }
    }

    fn has_dir(&self, path: &Path) -> bool {
        match self {
            Self::Os(disk) => disk.has_dir(path),
            Self::Sim(disk) => disk.list(path).is_ok(),
        }
    }

    fn has_threads(&self) -> bool {
        matches!(self, Self::Os(_))
    }
}

impl Disk for NodeDisk {
    type File = NodeFile;

    fn open(&self, path: &Path, mode: OpenMode) -> Result<NodeFile, IoError> {
        Ok(match self {
            Self::Os(disk) => NodeFile::Os(disk.open(path, mode)?),
            Self::Sim(disk) => NodeFile::Sim(disk.open(path, mode)?),
        })
    }

    fn size_of(&self, path: &Path) -> Result<u64, IoError> {
        either!(self, disk => disk.size_of(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.remove(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.remove_dir(path))
    }

    fn create_dir(&self, path: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.create_dir(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError> {
        either!(self, disk => disk.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.sync_dir(dir))
    }

    fn seal(&self, path: &Path) -> Result<(), IoError> {
        either!(self, disk => disk.seal(path))
    }
}

impl NodeFile {
    /// To be sent from, which only the system does.
    pub(crate) fn shared(&self) -> Arc<OpenFile> {
        match self {
            Self::Os(file) => file.shared(),
            Self::Sim(_) => unreachable!("nobody is sent what is on a simulated disk"),
        }
    }
}

impl DiskFile for NodeFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, IoError> {
        either!(self, file => file.read_at(buffer, position))
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> Result<usize, IoError> {
        either!(self, file => file.write_at(buffers, position))
    }

    fn size(&self) -> Result<u64, IoError> {
        either!(self, file => file.size())
    }

    fn modified(&self) -> Result<Option<Timestamp>, IoError> {
        either!(self, file => file.modified())
    }

    fn set_modified(&self, at: Timestamp) -> Result<(), IoError> {
        either!(self, file => file.set_modified(at))
    }

    fn truncate(&self, size: u64) -> Result<(), IoError> {
        either!(self, file => file.truncate(size))
    }

    fn reserve(&self, start: u64, end: u64) -> Result<(), IoError> {
        either!(self, file => file.reserve(start, end))
    }

    fn sync(&self) -> Result<(), IoError> {
        either!(self, file => file.sync())
    }

    fn drop_cache(&self) -> Result<(), IoError> {
        either!(self, file => file.drop_cache())
    }

    fn path(&self) -> &Path {
        either!(self, file => file.path())
    }
}
