//! How much room a volume has.

use std::path::Path;

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
}
