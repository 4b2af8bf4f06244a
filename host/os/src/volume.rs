//! Volumes: how much room one has, and making all of it durable.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use dohle_log::{IoError, disk::Operation};

/// Room on a volume, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// All that a file system of this size can hold.
    pub total_bytes: u64,
    /// What this process may still write.
    pub usable_bytes: u64,
}

/// The room on the volume that `path` is on.
///
/// # Errors
/// `NotFound` if there is no such path.
pub fn volume_of(path: &Path) -> Result<Volume, IoError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|errno| IoError::new(Operation::Size, path, &errno.into()))?;
    Ok(Volume {
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        usable_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

/// The system's number of the volume that `path` is on, links followed.
///
/// # Errors
/// `NotFound` if there is no such path.
pub fn volume_id(path: &Path) -> Result<u64, IoError> {
    let metadata = fs::metadata(path);
    metadata
        .map(|metadata| metadata.dev())
        .map_err(|error| IoError::new(Operation::Size, path, &error))
}

/// Syncs the volume that a directory is on.
///
/// It is opened once, for the system tells a sync only of errors since then: one that is opened anew
/// would never hear of data that was lost before.
#[derive(Debug)]
pub struct VolumeSync {
    dir: File,
    path: PathBuf,
}

impl VolumeSync {
    /// For the volume of `dir`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(dir: &Path) -> Result<Self, IoError> {
        let opened = File::open(dir).map_err(|error| IoError::new(Operation::Open, dir, &error))?;
        Ok(Self { dir: opened, path: dir.to_owned() })
    }

    /// Makes all durable that was written to the volume, by whomever.
    ///
    /// # Errors
    /// Something written since this was opened may be lost.
    pub fn sync(&self) -> Result<(), IoError> {
        let synced = rustix::fs::syncfs(&self.dir);
        synced.map_err(|errno| IoError::new(Operation::Sync, &self.path, &errno.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_room() {
        let dir = tempfile::tempdir().unwrap();
        let volume = volume_of(dir.path()).unwrap();
        assert!(0 < volume.usable_bytes && volume.usable_bytes <= volume.total_bytes);
        assert!(volume_of(&dir.path().join("no")).unwrap_err().is_not_found());
    }

    #[test]
    fn what_lies_together_has_the_same_number_through_links_too() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        let id = |path: &Path| volume_id(path).unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        assert_eq!(id(&dir.path().join("sub")), id(dir.path()));
        assert_eq!(id(&link), id(Path::new("/proc")));
        assert_ne!(id(&link), id(dir.path()));
        assert!(volume_id(&dir.path().join("no")).unwrap_err().is_not_found());
    }

    #[test]
    fn a_volume_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        VolumeSync::open(dir.path()).unwrap().sync().unwrap();
        assert!(VolumeSync::open(&dir.path().join("no")).unwrap_err().is_not_found());
    }
}
