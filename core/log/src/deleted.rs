//! Files that a log has done with: renamed at once, unlinked later.
//!
//! ```text
//! 00…42.log ──rename──▶ 00…42.log.deleted ──file.delete.delay.ms──▶ unlinked
//! 00…42.index …         the same
//! ```
//!
//! The rename is what takes a file out of the log. It is quick, and made under the lock that guards
//! the log. To unlink a large file is not: `begin_unlink` under the lock says what is due, and
//! `UnlinkPlan::run` does it without. A reader that has the file open keeps it whichever comes
//! first; the delay is for operators, who have it from Kafka.
//!
//! The batches go before their indexes: a crash between leaves indexes alone, which the next start
//! sweeps up, as it does with everything that is called `.deleted`.

use std::path::{Path, PathBuf};

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::{Disk, IoError, remove_if_there},
    log::Log,
    names::{FileKind, FileStage, SegmentFile},
};

/// The files of a log that wait to be unlinked.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    files: Vec<DeletedFile>,
}

#[derive(Debug)]
struct DeletedFile {
    path: PathBuf,
    due: Timestamp,
}

impl Deleted {
    /// The directory has another name.
    pub(crate) fn follow(&mut self, dir: &Path) {
        for file in &mut self.files {
            file.path = file.path.file_name().map_or_else(|| dir.to_owned(), |name| dir.join(name));
        }
    }
}

/// Files whose time has come.
#[derive(Debug)]
#[must_use = "the files stay before the plan has run"]
pub struct UnlinkPlan<D> {
    disk: D,
    paths: Vec<PathBuf>,
}

impl<D: Disk> UnlinkPlan<D> {
    /// Unlinks the files; says how many.
    ///
    /// # Errors
    /// What is left stays until the log is opened the next time.
    pub fn run(self) -> Result<usize, IoError> {
        let Self { disk, paths } = self;
        paths.iter().try_for_each(|path| remove_if_there(&disk, path))?;
        Ok(paths.len())
    }
}

impl<D: Disk> Log<D> {
    /// Which files are due to be unlinked; `None` if none is.
    pub fn begin_unlink(&mut self, now: Timestamp) -> Option<UnlinkPlan<D>> {
        let files = &mut self.deleted.files;
        let due = files.extract_if(.., |file| file.due <= now);
        let paths = due.map(|file| file.path).collect::<Vec<_>>();
        (!paths.is_empty()).then(|| UnlinkPlan { disk: self.dir.disk.clone(), paths })
    }

    /// When the next file is due to be unlinked.
    pub fn next_unlink(&self) -> Option<Timestamp> {
        self.deleted.files.iter().map(|file| file.due).min()
    }

    /// Takes a segment's files out of the log. Its snapshot stays: what it tells is of the batches
    /// before.
    pub(crate) fn retire_segment(&mut self, base: Offset, now: Timestamp) -> Result<(), IoError> {
        self.retire(base, FileKind::Log, now)?;
        FileKind::INDEXES.iter().try_for_each(|kind| self.retire(base, *kind, now))
    }

    /// Takes the producer snapshots out of the log that are at offsets like that.
    pub(crate) fn retire_snapshots(
        &mut self,
        which: impl Fn(Offset) -> bool,
        now: Timestamp,
    ) -> Result<(), IoError> {
        let retired = self.snapshots.iter().copied().filter(|offset| which(*offset));
        for offset in retired.collect::<Vec<_>>() {
            self.retire(offset, FileKind::Snapshot, now)?;
            self.snapshots.remove(&offset);
        }
        Ok(())
    }

    /// Takes a file out of the log, if it is there.
    pub(crate) fn retire(
        &mut self,
        base: Offset,
        kind: FileKind,
        now: Timestamp,
    ) -> Result<(), IoError> {
        let name = SegmentFile { base, kind, stage: FileStage::Deleted }.name();
        let path = self.dir.path().join(name);
        match self.dir.disk.rename(&self.dir.file(base, kind), &path) {
            Err(error) if error.is_not_found() => return Ok(()),
            renamed => renamed?,
        }
        self.as_closed = false;
        self.names_changed = true;
        let due = Timestamp(now.0.saturating_add(self.config.file_delete_delay_ms));
        self.deleted.files.push(DeletedFile { path, due });
        Ok(())
    }
}
