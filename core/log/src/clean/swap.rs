//! Puts cleaned segments in the place of those that they were made of.
//!
//! ```text
//! .cleaned, durable ─▶ .swap, the last segment first ─▶ sync
//!                      the old ones ─▶ .deleted       ─▶ sync
//!                      .swap ─▶ names in use          ─▶ sync
//! ```
//!
//! Each step is durable before the next begins. While a file is called `.cleaned` a start finds the
//! old segments; once none is, it finishes what was begun. There is no moment with both or neither.
//!
//! Source: interop facts A.8; the syncs between the steps are ours, Kafka relies on the order in
//! which a file system keeps names.

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::{Disk, IoError},
    error::LogError,
    log::Log,
    names::{FileKind, FileStage, SegmentFile},
};

use super::run::{Replacement, path};

impl<D: Disk> Log<D> {
    /// Puts a replacement in its place. `false` if the log has changed too much since the clean began, or is not
    /// compacted any more: the replacement is discarded then, and the rest of the clean is worth nothing.
    ///
    /// # Errors
    /// `Io`; the log is closed, and what was begun is undone or finished when it is opened.
    pub fn swap_in(
        &mut self,
        replacement: Replacement<D>,
        now: Timestamp,
    ) -> Result<bool, LogError> {
        self.check_usable()?;
        let Some(first) = self.find_inputs(&replacement) else {
            replacement.discard();
            return Ok(false);
        };
        let Replacement { inputs, outputs, mut files, .. } = replacement;
        self.poisoned = true;
        files.sort_unstable_by_key(|file| rank(*file));
        self.rename(files.iter().rev(), FileStage::Cleaned, FileStage::Swap)?;
        for input in &inputs {
            self.retire_segment(input.base, now)?;
        }
        self.dir.disk.sync_dir(self.dir.path())?;
        self.rename(files.iter(), FileStage::Swap, FileStage::Current)?;
        self.names_changed = false;
        let end = self.segments.get(first + inputs.len()).map_or(self.log_end, |next| next.base);
        let cleaned = inputs.first().map_or(end, |input| input.base)..end;
        self.segments.splice(first..first + inputs.len(), outputs);
        self.sealed_open.iter_mut().for_each(|open| open.forget(|base| cleaned.contains(&base)));
        self.poisoned = false;
        // State from before the clean would wait for markers that may have gone.
        self.retire_snapshots(|offset| cleaned.contains(&offset), now)?;
        Ok(true)
    }

    /// Where the segments of a replacement begin, if all of them are still there.
    fn find_inputs(&self, replacement: &Replacement<D>) -> Option<usize> {
        if replacement.truncations != self.truncations || !self.config.compacted {
            return None;
        }
        let base = replacement.inputs.first()?.base;
        let first = self.segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        let end = first + replacement.inputs.len();
        // The segment behind them is the one that is written, or before it.
        self.segments.get(end)?;
        let present = self.segments.get(first..end)?;
        let mut pairs = present.iter().zip(&replacement.inputs);
        let is_same =
            pairs.all(|(segment, input)| segment.base == input.base && segment.size == input.size);
        is_same.then_some(first)
    }

    /// One segment after another for sure: a start takes what lies between two that are replaced for
    /// replaced, too.
    fn rename<'a>(
        &self,
        files: impl Iterator<Item = &'a SegmentFile>,
        from: FileStage,
        to: FileStage,
    ) -> Result<(), IoError> {
        let mut last = None;
        for file in files {
            if last.replace(file.base).is_some_and(|last| last != file.base) {
                self.dir.disk.sync_dir(self.dir.path())?;
            }
            let (from, to) = (path(&self.dir, *file, from), path(&self.dir, *file, to));
            self.dir.disk.rename(&from, &to)?;
        }
        self.dir.disk.sync_dir(self.dir.path())
    }
}

/// By segment, and of each the batches behind the indexes: what has batches is whole.
fn rank(file: SegmentFile) -> (Offset, bool) {
    (file.base, file.kind == FileKind::Log)
}
