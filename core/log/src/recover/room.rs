//! What recovery writes can be made later: on a full disk it goes without.

use crate::{
    disk::{Disk, IoError},
    log::Log,
    names::FileKind,
};

impl<D: Disk> Log<D> {
    /// Seals a segment. On a full disk it has no indexes then: it is searched from its beginning until
    /// a flush or the clean stop finds room for them.
    pub(super) fn seal_if_room(&mut self, index: usize) -> Result<(), IoError> {
        let Some(segment) = self.segments.get_mut(index) else { return Ok(()) };
        match segment.seal(&self.dir) {
            Err(error) if error.is_full() => {}
            sealed => return sealed,
        }
        segment.take_indexes();
        segment.lacks_indexes = true;
        segment.release();
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.dir.remove(segment.base, kind)?;
        }
        self.names_changed = true;
        Ok(())
    }

    /// Writes a snapshot that spares the next start some reading; on a full disk none.
    pub(super) fn write_snapshot_if_room(&mut self) -> Result<(), IoError> {
        match self.write_snapshot() {
            Err(error) if error.is_full() => {
                self.dir.remove(self.producers.end(), FileKind::Snapshot)
            }
            written => written,
        }
    }

    /// Writes the file of epochs; on a full disk the next flush does.
    pub(super) fn save_epochs_if_room(&mut self) -> Result<(), IoError> {
        match self.save_epochs() {
            Err(error) if error.is_full() => {
                self.unsaved_epochs = true;
                Ok(())
            }
            saved => saved,
        }
    }
}
