//! The sealed segments whose files are open.
//!
//! ```text
//! rolled unflushed ──▶ held for the next flush ──flushed──▶ ┐
//! read ────────────────────────────────────────────────────▶ for readers ──others are read──▶ closed
//! ```
//!
//! Readers of a backlog come back to the segment that they were in: a few stay open for them, each with
//! what its index tells of the place where the last one was. One that was written and is not flushed is
//! none of these: the system tells what it could not write back to those who had the file open then. So
//! no reader displaces it, only one more that is rolled before a flush.

use dohle_base::Offset;

use crate::{disk::Disk, log::Log, offset_index::Stretch};

/// How many are open for readers: consumers that are behind in one partition, in different places.
const READ_MAX: usize = 3;

/// How many are held for a flush. Source: most logs roll once between two flushes at most.
const HELD_MAX: usize = 1;

/// Which they are, those used last behind.
#[derive(Debug, Default)]
pub(crate) struct SealedOpen {
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    /// The segment.
    base: Offset,
    /// Whether it is open since it was written, and was not flushed then.
    is_written: bool,
    /// Of its index what the last reader needed, and goes on with.
    stretch: Option<Stretch>,
}

impl OpenFile {
    /// Whether it is here for a flush only.
    fn is_unread(&self) -> bool {
        self.is_written && self.stretch.is_none()
    }
}

impl SealedOpen {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// What is known here of a segment's index.
    pub(crate) fn stretch_of(&self, base: Offset) -> Option<&Stretch> {
        self.files.iter().find(|file| file.base == base)?.stretch.as_ref()
    }

    /// Forgets segments that there are no more.
    pub(crate) fn forget(&mut self, which: impl Fn(Offset) -> bool) {
        self.files.retain(|file| !which(file.base));
    }

    /// Takes a segment out, or begins with one, to be put behind all others.
    fn take(&mut self, base: Offset) -> OpenFile {
        match self.files.iter().position(|file| file.base == base) {
            Some(index) => self.files.remove(index),
            None => OpenFile { base, is_written: false, stretch: None },
        }
    }
}

impl<D: Disk> Log<D> {
    /// Keeps a sealed segment open that was read just now, with what was read of its index, if anything.
    pub(crate) fn keep_open(&mut self, base: Offset, stretch: Option<Stretch>) {
        let open = self.sealed_open.get_or_insert_default();
        match open.files.last_mut().filter(|last| last.base == base) {
            Some(last) if stretch.is_some() => last.stretch = stretch,
            Some(_) => {}
            None => {
                let file = open.take(base);
                open.files.push(OpenFile { stretch: stretch.or(file.stretch), ..file });
                // Who only read one may let it go, flushed or not: it is as if nobody had opened it.
                self.close_sealed(READ_MAX, |log, file| !log.is_held(file));
            }
        }
    }

    /// Keeps a segment open that was sealed just now and is not flushed, and lets go of those before it.
    pub(crate) fn hold_open(&mut self, base: Offset) {
        let open = self.sealed_open.get_or_insert_default();
        open.files.retain(|file| file.base != base);
        open.files.push(OpenFile { base, is_written: true, stretch: None });
        self.closed_unflushed |= self.close_sealed(HELD_MAX, Self::is_held);
        self.close_sealed(0, |log, file| file.is_unread() && !log.is_held(file));
        self.close_sealed(READ_MAX, |log, file| !log.is_held(file));
    }

    /// Forgets segments from `base` on, which are gone or written again.
    pub(crate) fn forget_sealed(&mut self, base: Offset) {
        self.sealed_open.iter_mut().for_each(|open| open.forget(|other| other >= base));
    }

    /// Forgets a segment that is gone while later ones stay.
    pub(crate) fn forget_one_sealed(&mut self, base: Offset) {
        self.sealed_open.iter_mut().for_each(|open| open.forget(|other| other == base));
    }

    /// Closes the files of a kind but for the last ones, so many. Says whether there were more.
    fn close_sealed(&mut self, kept: usize, kind: impl Fn(&Self, &OpenFile) -> bool) -> bool {
        let Some(mut open) = self.sealed_open.take() else { return false };
        let count = open.files.iter().filter(|file| kind(self, file)).count();
        let mut surplus = count.saturating_sub(kept);
        open.files.retain(|file| {
            let goes = surplus > 0 && kind(self, file);
            if goes {
                surplus -= 1;
                self.release_sealed(file.base);
            }
            !goes
        });
        self.sealed_open = Some(open);
        count > kept
    }

    fn release_sealed(&mut self, base: Offset) {
        let index = self.segments.binary_search_by_key(&base, |segment| segment.base);
        if let Some(segment) = index.ok().and_then(|index| self.segments.get_mut(index)) {
            segment.release();
        }
    }

    /// Whether the next flush is to have this file.
    fn is_held(&self, file: &OpenFile) -> bool {
        let next = self.segments.get(self.floor(file.base) + 1).map_or(self.log_end, |s| s.base);
        file.is_written && next > self.recovery_point
    }
}
