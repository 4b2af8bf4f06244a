//! The disk that log directories are on, and what they ask of the system besides files: locks, volumes, and which run
//! of the machine this is.
//!
//! It is the system's, under names of its own. Under test it may be a simulated one instead, so that what a node
//! does to its directories can be cut after each call (`cuts`).
//!
//! Not here: the metadata's files, which are generic over their disk, and what is sent from files.

use std::path::Path;

use dohle_log::IoError;
use dohle_os::{DirLock, LockError, OsDisk, VolumeSync};

#[cfg(test)]
pub(crate) mod either;

#[cfg(test)]
pub(crate) use either::{NodeDisk, NodeFile};

/// The disk of log directories.
#[cfg(not(test))]
pub(crate) type NodeDisk = OsDisk;
/// A file there.
#[cfg(not(test))]
pub(crate) type NodeFile = dohle_os::OsFile;
/// Keeps one.
pub(crate) type NodeLock = <NodeDisk as System>::Lock;
/// The volume that one is on.
pub(crate) type NodeVolume = <NodeDisk as System>::Volume;

/// What a log directory asks of the system.
pub(crate) trait System {
    /// Keeps a log directory.
    type Lock;
    /// A volume.
    type Volume;

    /// Locks a directory.
    ///
    /// # Errors
    /// Another process has it.
    fn lock(&self, dir: &Path) -> Result<Self::Lock, LockError>;

    /// A number of this run of the machine.
    ///
    /// # Errors
    /// The system does not tell.
    fn boot_id(&self) -> Result<u128, IoError>;

    /// The volume that a directory is on.
    ///
    /// # Errors
    /// What the system says.
    fn volume(&self, dir: &Path) -> Result<Self::Volume, IoError>;

    /// The system's number of the volume that a path is on.
    ///
    /// # Errors
    /// `NotFound` if there is no such path.
    fn volume_id(&self, path: &Path) -> Result<u64, IoError>;

    /// Whether two paths with different numbers are on one volume all the same.
    ///
    /// # Errors
    /// `NotFound` if there is no such path.
    fn share_volume(&self, one: &Path, other: &Path) -> Result<bool, IoError>;

    /// Whether there is a directory of that name.
    fn has_dir(&self, path: &Path) -> bool;

    /// Whether threads work on it. Else who has it takes each step of theirs.
    fn has_threads(&self) -> bool;
}

impl System for OsDisk {
    type Lock = DirLock;
    type Volume = VolumeSync;

    fn lock(&self, dir: &Path) -> Result<Self::Lock, LockError> {
        DirLock::take(dir)
    }

    fn boot_id(&self) -> Result<u128, IoError> {
        dohle_os::boot_id()
    }

    fn volume(&self, dir: &Path) -> Result<Self::Volume, IoError> {
        VolumeSync::open(dir)
    }

    fn volume_id(&self, path: &Path) -> Result<u64, IoError> {
        dohle_os::volume_id(path)
    }

    fn share_volume(&self, one: &Path, other: &Path) -> Result<bool, IoError> {
        dohle_os::share_volume(one, other)
    }

    fn has_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn has_threads(&self) -> bool {
        true
    }
}
