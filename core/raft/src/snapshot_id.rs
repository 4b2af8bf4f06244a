//! The name of a snapshot: up to which offset and epoch of the log it tells everything.
//!
//! ```text
//! 00000000000000000115-0000000001.checkpoint      complete
//! └ end offset, 20 ┘   └ epoch ┘
//! ….checkpoint.part, ….checkpoint.deleted         not to be read
//! ```

use std::{fmt, str::FromStr};

use dohle_base::{LeaderEpoch, Offset};

/// Which snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SnapshotId {
    /// The offset behind the last record that it contains.
    pub end_offset: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
}

/// Not the name of a complete snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a checkpoint")]
pub struct NotACheckpoint;

impl SnapshotId {
    /// The snapshot that formatting leaves: nothing of the log, only what the log is to begin with.
    pub const BOOTSTRAP: Self = Self { end_offset: Offset::ZERO, epoch: LeaderEpoch(0) };

    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{self}.checkpoint")
    }

    /// The snapshot with this file name.
    ///
    /// # Errors
    /// It is another file, or one that is being written or removed.
    pub fn from_file_name(name: &str) -> Result<Self, NotACheckpoint> {
        name.strip_suffix(".checkpoint").ok_or(NotACheckpoint)?.parse()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}", self.end_offset.0, self.epoch.0)
    }
}

impl FromStr for SnapshotId {
    type Err = NotACheckpoint;

    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (end, epoch) = text.split_once('-').ok_or(NotACheckpoint)?;
        if !digits(end, 20) || !digits(epoch, 10) {
            return Err(NotACheckpoint);
        }
        let end_offset = Offset(end.parse().map_err(|_| NotACheckpoint)?);
        Ok(Self { end_offset, epoch: LeaderEpoch(epoch.parse().map_err(|_| NotACheckpoint)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let id = SnapshotId { end_offset: Offset(115), epoch: LeaderEpoch(1) };
        assert_eq!(id.file_name(), "00000000000000000115-0000000001.checkpoint");
        assert_eq!(SnapshotId::from_file_name(&id.file_name()), Ok(id));
        assert_eq!(SnapshotId::BOOTSTRAP.file_name(), "00000000000000000000-0000000000.checkpoint");
    }

    #[test]
    fn other_files_are_no_snapshots() {
        for name in [
            "00000000000000000115.log",
            "00000000000000000115-0000000001.checkpoint.part",
            "00000000000000000115-0000000001.checkpoint.deleted",
            "115-1.checkpoint",
            "0000000000000000011x-0000000001.checkpoint",
            "99999999999999999999-0000000001.checkpoint",
            "00000000000000000115-9999999999.checkpoint",
        ] {
            assert_eq!(SnapshotId::from_file_name(name), Err(NotACheckpoint), "{name}");
        }
    }
}
