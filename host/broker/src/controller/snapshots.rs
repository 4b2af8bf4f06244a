//! The snapshots of the metadata log: written beside it, renamed when they are done with, and
//! unlinked later.
//!
//! ```text
//! …42-…1.checkpoint.part ──sync, rename──▶ …42-…1.checkpoint ──rename──▶ ….checkpoint.deleted ──▶ gone
//! ```

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use dohle_base::{Offset, Timestamp};
use dohle_log::{
    Disk, DiskFile, IoError,
    disk::{OpenMode, read_file, remove_if_there},
};
use dohle_raft::{Checkpoint, SnapshotId, StoredSnapshot};
use tracing::warn;

/// The largest snapshot that is read.
const SIZE_MAX: usize = 1 << 30;
/// How much of a file is read for its header.
const HEADER_SIZE_MAX: usize = 64 << 10;
/// The suffix of a snapshot that is being written.
const PART: &str = ".part";
/// The suffix of a snapshot that is done with.
const DELETED: &str = ".deleted";

/// The snapshots in the directory of the metadata log.
#[derive(Debug)]
pub(super) struct Snapshots<D> {
    disk: D,
    dir: PathBuf,
    /// The complete ones, the oldest first.
    stored: Vec<StoredSnapshot>,
    /// Files that wait to be unlinked, and since when that is due.
    deleted: Vec<(Timestamp, PathBuf)>,
    delete_delay_ms: i64,
}

impl<D: Disk> Snapshots<D> {
    /// Those that are there. Half-written and half-removed ones are taken away.
    pub(super) fn open(disk: D, dir: &Path, delete_delay_ms: i64) -> Result<Self, IoError> {
        let entries = match disk.list(dir) {
            Err(error) if error.is_not_found() => Vec::new(),
            entries => entries?,
        };
        let mut stored = Vec::new();
        for name in entries.into_iter().map(|entry| entry.name) {
            let path = dir.join(&name);
            let complete = name.strip_suffix(DELETED).or_else(|| name.strip_suffix(PART));
            if complete.is_some_and(|name| name.contains(".checkpoint")) {
                disk.remove(&path)?;
            } else if let Ok(id) = SnapshotId::from_file_name(&name) {
                stored.push(survey(&disk, &path, id)?);
            }
        }
        stored.sort_unstable_by_key(|snapshot| snapshot.id);
        Ok(Self { disk, dir: dir.to_owned(), stored, deleted: Vec::new(), delete_delay_ms })
    }

    /// The complete ones, the oldest first.
    pub(super) fn stored(&self) -> &[StoredSnapshot] {
        &self.stored
    }

    /// The newest one and its content.
    pub(super) fn read_newest(&self) -> Result<Option<(SnapshotId, Bytes)>, IoError> {
        let Some(StoredSnapshot { id, .. }) = self.stored.last() else { return Ok(None) };
        let file = read_file(&self.disk, &self.path(*id), SIZE_MAX)?;
        Ok(Some((*id, file.unwrap_or_default().into())))
    }

    /// Writes one: under another name first, then durable and read-only, then under its own.
    pub(super) fn write(&mut self, id: SnapshotId, bytes: &Bytes) -> Result<PathBuf, IoError> {
        let (path, part) = (self.path(id), self.dir.join(id.file_name() + PART));
        let written = self.write_part(&part, bytes);
        written.and_then(|()| self.disk.rename(&part, &path)).inspect_err(|_| {
            // Else the next start takes away what is left of it.
            let _ = self.disk.remove(&part);
        })?;
        self.disk.sync_dir(&self.dir)?;
        let last_timestamp = Checkpoint::last_timestamp(id, bytes).ok();
        self.stored.retain(|snapshot| snapshot.id != id);
        self.stored.push(StoredSnapshot { id, size: bytes.len() as u64, last_timestamp });
        self.stored.sort_unstable_by_key(|snapshot| snapshot.id);
        Ok(path)
    }

    fn write_part(&self, part: &Path, bytes: &Bytes) -> Result<(), IoError> {
        let file = self.disk.open(part, OpenMode::Create)?;
        file.truncate(0)?;
        file.write_all_at(&[IoSlice::new(bytes)], 0)?;
        file.sync()?;
        self.disk.seal(part)
    }

    /// Takes away those that end before the log begins: it does not go on from there. The newest one
    /// stays in any case, and whoever loads it finds out.
    pub(super) fn remove_below(&mut self, log_start: Offset) -> Result<(), IoError> {
        while let [oldest, _, ..] = &self.stored[..]
            && oldest.id.end_offset < log_start
        {
            remove_if_there(&self.disk, &self.path(oldest.id))?;
            self.stored.remove(0);
        }
        Ok(())
    }

    /// Is done with those before `first`, the oldest first.
    pub(super) fn retire_before(
        &mut self,
        first: SnapshotId,
        now: Timestamp,
    ) -> Result<(), IoError> {
        while let Some(id) = self.oldest().filter(|id| *id < first) {
            let deleted = self.dir.join(id.file_name() + DELETED);
            match self.disk.rename(&self.path(id), &deleted) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => self.stored.remove(0),
            };
            self.deleted.push((Timestamp(now.0.saturating_add(self.delete_delay_ms)), deleted));
        }
        Ok(())
    }

    /// When the next file is due to be unlinked.
    pub(super) fn next_unlink(&self) -> Option<Timestamp> {
        self.deleted.iter().map(|(due, _)| *due).min()
    }

    /// Unlinks what is due. What cannot be stays until the next start.
    pub(super) fn unlink(&mut self, now: Timestamp) -> Result<(), IoError> {
        let due = self.deleted.extract_if(.., |(due, _)| *due <= now);
        let paths = due.map(|(_, path)| path).collect::<Vec<_>>();
        paths.iter().try_for_each(|path| remove_if_there(&self.disk, path))
    }

    fn oldest(&self) -> Option<SnapshotId> {
        self.stored.first().map(|snapshot| snapshot.id)
    }

    fn path(&self, id: SnapshotId) -> PathBuf {
        self.dir.join(id.file_name())
    }
}

/// What retention goes by. A damaged file stays as long as there is room.
fn survey<D: Disk>(disk: &D, path: &Path, id: SnapshotId) -> Result<StoredSnapshot, IoError> {
    let file = disk.open(path, OpenMode::Read)?;
    let size = file.size()?;
    let mut head = vec![0; HEADER_SIZE_MAX.min(usize::try_from(size).unwrap_or(HEADER_SIZE_MAX))];
    let read = file.read_up_to(&mut head, 0)?;
    head.truncate(read);
    let last_timestamp = Checkpoint::last_timestamp(id, &head)
        .inspect_err(|fault| warn!(file = %path.display(), "snapshot without a header: {fault}"));
    Ok(StoredSnapshot { id, size, last_timestamp: last_timestamp.ok() })
}
