//! Volumes: how much room one has, and making all of it durable.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use dohle_log::{IoError, disk::Operation};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// What is mounted where.
const MOUNTS: &str = "/proc/self/mountinfo";

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

/// Whether two paths that `volume_id` tells apart are on one volume all the same: subvolumes of btrfs have
/// numbers of their own, and a sync reaches all of them. The table of mounts has one number for them.
///
/// # Errors
/// `NotFound` if there is no such path.
pub fn share_volume(one: &Path, other: &Path) -> Result<bool, IoError> {
    let (one, other) = (mount_of(one)?, mount_of(other)?);
    // Where there is none to read they count as apart.
    let mounts = fs::read(MOUNTS).unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    let number = |mount: Option<u64>| number_of(&mounts, mount?);
    Ok(number(one).is_some_and(|one| number(other) == Some(one)))
}

/// The mount that `path` is in, links followed; none if the system does not tell (Linux 5.8 does).
fn mount_of(path: &Path) -> Result<Option<u64>, IoError> {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)
        .map_err(|errno| IoError::new(Operation::Size, path, &errno.into()))?;
    let is_told = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID);
    Ok(is_told.then_some(stat.stx_mnt_id))
}

/// The number of the volume that is mounted there. Source: proc_pid_mountinfo(5), fields 1 and 3.
fn number_of(mounts: &str, mount: u64) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let is_it = fields.next()?.parse() == Ok(mount);
        fields.nth(1).filter(|_| is_it)
    })
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

    /// The room on it.
    ///
    /// # Errors
    /// What the system says.
    pub fn room(&self) -> Result<Volume, IoError> {
        volume_of(&self.path)
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
    fn mounts_of_one_volume_have_its_number_in_common() {
        // Of a btrfs volume, and a subvolume of it that is mounted within.
        let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            44 27 0:39 / /data rw,relatime - btrfs /dev/loop0 rw,subvolid=5,subvol=/\n\
            45 44 0:39 /other /data/t-0 rw shared:1 - btrfs /dev/loop0 rw,subvol=/other\n\
            144 27 0:40 / /proc rw - proc proc rw\n";
        let numbers = [27, 44, 45, 144].map(|mount| number_of(mounts, mount));
        assert_eq!(numbers, [Some("254:0"), Some("0:39"), Some("0:39"), Some("0:40")]);
        assert_eq!(number_of(mounts, 4), None);
        assert_eq!(number_of("44\n", 44), None);
    }

    #[test]
    fn what_lies_together_shares_a_volume_and_what_does_not_shares_none() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        assert!(share_volume(&sub, dir.path()).unwrap());
        assert!(!share_volume(Path::new("/proc"), dir.path()).unwrap());
        assert!(share_volume(&sub, &dir.path().join("no")).unwrap_err().is_not_found());
    }

    #[test]
    fn a_volume_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        VolumeSync::open(dir.path()).unwrap().sync().unwrap();
        assert!(VolumeSync::open(&dir.path().join("no")).unwrap_err().is_not_found());
    }
}
