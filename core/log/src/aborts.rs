//! The aborted transactions of a segment: in its index, or in memory as long as a full disk has no
//! room for that.
//!
//! A flush writes down what is in memory before it moves the recovery point past it. Until then a
//! start after a crash finds it out again, by reading the batches from the recovery point on. What
//! lies before that point it would not read, so an index that lacks some of it is left such that no
//! start takes it for whole: with one byte too many, which needs no room.
//!
//! What a start finds is believed only as far as the batches bear it out: see `believed`.

use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode, read_file},
    error::LogError,
    names::FileKind,
    segment::{Dir, Segment},
    txn_index::{self, AbortedTransaction, ENTRY_SIZE, Told},
};

/// The aborted transactions of a segment whose index lacks some.
#[derive(Debug)]
pub(crate) struct UnsavedAborts {
    /// All of them, in the order of their markers.
    entries: Vec<AbortedTransaction>,
    /// How many of them, from the first on, are in the file.
    saved: usize,
    /// Whether the file lacks what a start would not find out again.
    lacks_durable: bool,
}

/// What a flush writes of them.
#[derive(Debug)]
pub(crate) struct AbortsWrite {
    pub(crate) base: Offset,
    entries: Vec<AbortedTransaction>,
    saved: usize,
    lacks_durable: bool,
}

impl AbortsWrite {
    /// Writes the index. Nothing is synced.
    ///
    /// # Errors
    /// `Io`; on a full disk the file is what it was.
    pub(crate) fn run<D: Disk>(&self, dir: &Dir<D>) -> Result<(), IoError> {
        let bytes = txn_index::encode(&self.entries);
        let written = dir.put_from(self.base, FileKind::TxnIndex, &bytes, self.saved * ENTRY_SIZE);
        match written {
            Err(error) if error.is_full() => {
                self.leave(dir)?;
                Err(error)
            }
            written => written,
        }
    }

    /// Leaves the file with what is saved.
    fn leave<D: Disk>(&self, dir: &Dir<D>) -> Result<(), IoError> {
        let size = self.saved * ENTRY_SIZE + usize::from(self.lacks_durable);
        if size == 0 {
            return dir.remove(self.base, FileKind::TxnIndex);
        }
        dir.open(self.base, FileKind::TxnIndex, OpenMode::Create)?.truncate(size as u64)
    }
}

impl<F: DiskFile> Segment<F> {
    /// The aborted transactions whose marker is in the segment, in the order of the markers.
    pub(crate) fn aborts<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        match &self.unsaved_aborts {
            _ if !self.has_aborts => Ok(Vec::new()),
            Some(unsaved) => Ok(unsaved.entries.clone()),
            None => txn_index::read(&dir.disk, &dir.file(self.base, FileKind::TxnIndex)),
        }
    }

    /// Those of them that a reader of the records from `from` on below `up_to` must be told, and what that
    /// rests on, with those that follow up to `ahead`.
    pub(crate) fn aborts_told<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        (from, up_to): (Offset, Offset),
        ahead: Offset,
    ) -> Result<Told, LogError> {
        let path = dir.file(self.base, FileKind::TxnIndex);
        match &self.unsaved_aborts {
            _ if !self.has_aborts => Ok(Told::default()),
            Some(unsaved) => txn_index::told_of(&unsaved.entries, &path, (from, up_to), ahead),
            None => txn_index::read_told(&dir.disk, &path, (from, up_to), ahead),
        }
    }

    /// Adds one, with the marker that was written last.
    pub(crate) fn add_abort<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        entry: AbortedTransaction,
    ) -> Result<(), LogError> {
        if let Some(believed) = &mut self.believed_aborts {
            believed.believe_from(entry.last_offset);
        }
        if let Some(unsaved) = &mut self.unsaved_aborts {
            unsaved.entries.push(entry);
            return Ok(());
        }
        let path = dir.file(self.base, FileKind::TxnIndex);
        match txn_index::append(&dir.disk, &path, &entry) {
            Err(error) if error.is_full() => {
                let mut entries = self.aborts_before(dir, entry.last_offset)?;
                entries.push(entry);
                self.put_aborts(dir, entries, Offset::ZERO)?;
            }
            written => written?,
        }
        self.has_aborts = true;
        Ok(())
    }

    /// Those whose marker lies before `end`, of a file that may have been torn behind them.
    fn aborts_before<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        end: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        if !self.has_aborts {
            return Ok(Vec::new());
        }
        let path = dir.file(self.base, FileKind::TxnIndex);
        let file = dir.disk.open(&path, OpenMode::Write)?;
        let size = file.size()?;
        file.truncate(size - size % ENTRY_SIZE as u64)?;
        let mut entries = txn_index::read(&dir.disk, &path)?;
        entries.retain(|entry| entry.last_offset < end);
        Ok(entries)
    }

    /// Makes them be these. What a full disk has no room for stays in memory. The batches before
    /// `recovery_point` no start reads again.
    pub(crate) fn put_aborts<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        entries: Vec<AbortedTransaction>,
        recovery_point: Offset,
    ) -> Result<(), IoError> {
        let had_some = std::mem::replace(&mut self.has_aborts, !entries.is_empty());
        self.unsaved_aborts = None;
        if entries.is_empty() {
            return if had_some { dir.remove(self.base, FileKind::TxnIndex) } else { Ok(()) };
        }
        let path = dir.file(self.base, FileKind::TxnIndex);
        let known = read_file(&dir.disk, &path, txn_index::FILE_SIZE_MAX)?.unwrap_or_default();
        let wanted = txn_index::encode(&entries);
        if known == wanted {
            return Ok(());
        }
        let both = known.as_chunks::<ENTRY_SIZE>().0.iter().zip(wanted.as_chunks().0);
        let saved = both.take_while(|(known, wanted)| known == wanted).count();
        let mut lacking = entries.iter().skip(saved);
        let lacks_durable = lacking.any(|entry| entry.last_offset < recovery_point);
        let write = AbortsWrite { base: self.base, entries, saved, lacks_durable };
        match write.run(dir) {
            // Also one that could not be left as it has to be.
            Err(error) if error.is_full() => write.leave(dir)?,
            written => return written,
        }
        let AbortsWrite { entries, .. } = write;
        self.unsaved_aborts = Some(Box::new(UnsavedAborts { entries, saved, lacks_durable }));
        Ok(())
    }

    /// What a flush has to write of them, if anything.
    pub(crate) fn begin_save_aborts(&self) -> Option<AbortsWrite> {
        let UnsavedAborts { entries, saved, lacks_durable } = &**self.unsaved_aborts.as_ref()?;
        let (entries, saved, lacks_durable) = (entries.clone(), *saved, *lacks_durable);
        Some(AbortsWrite { base: self.base, entries, saved, lacks_durable })
    }

    /// A flush has written those before `end`.
    pub(crate) fn finish_save_aborts(&mut self, end: Offset) {
        let Some(unsaved) = &mut self.unsaved_aborts else { return };
        unsaved.saved = unsaved.entries.partition_point(|entry| entry.last_offset < end);
        unsaved.lacks_durable = false;
        if unsaved.saved == unsaved.entries.len() {
            self.unsaved_aborts = None;
        }
    }

    /// Whether the index of aborted transactions is there, whole, or none is needed.
    pub(crate) fn aborts_are_readable<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
    ) -> Result<bool, LogError> {
        match self.aborts(dir) {
            Ok(_) => Ok(true),
            Err(LogError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops the aborted transactions whose marker lies at `end` or behind.
    pub(crate) fn cut_aborts<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        end: Offset,
    ) -> Result<(), LogError> {
        if !self.has_aborts {
            return Ok(());
        }
        let Some(unsaved) = &mut self.unsaved_aborts else {
            return txn_index::truncate(&dir.disk, &dir.file(self.base, FileKind::TxnIndex), end);
        };
        let kept = unsaved.entries.partition_point(|entry| entry.last_offset < end);
        unsaved.entries.truncate(kept);
        if kept <= unsaved.saved {
            self.has_aborts = kept > 0;
            self.unsaved_aborts = None;
            let write = AbortsWrite {
                base: self.base,
                entries: Vec::new(),
                saved: kept,
                lacks_durable: false,
            };
            write.leave(dir)?;
        }
        Ok(())
    }
}
