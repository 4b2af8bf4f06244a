//! The room that a segment has on the disk ahead of its end.
//!
//! A file system looks for blocks at each append to a file, unless it has set them aside before.
//! So a segment that has become large asks for many at once; how many is in proportion to what it
//! holds, and little: that is all that lies idle should the log never grow again. What was not used
//! goes back when the segment is written no more. Size and bytes of the file are the same with and
//! without, for Kafka too. Source: docs/adr/0016-room-ahead.md.

#[cfg(test)]
mod tests;

use crate::{
    config::LogConfig,
    disk::{Disk, DiskFile, IoError},
    segment::{Dir, Segment},
};

/// From this size on a segment asks for room; the blocks of smaller ones are found soon enough.
const SIZE_MIN: u32 = 1 << 20;

/// The most bytes asked for at once. Source: four times as much saves no more.
const STEP_MAX: u32 = 4 << 20;

/// So little is left to a segment that has been rolled: to give it back may take as long as the disk
/// takes for the segment's last page.
const LEFT_MAX: u32 = 1 << 20;

/// How far a segment's file has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Up to this position.
    end: u32,
    /// Whether that is all that there is: not of a file that somebody else may have written.
    is_known: bool,
    /// Whether the disk has refused.
    is_refused: bool,
}

impl Reserve {
    /// A file that has none.
    pub(crate) const NONE: Self = Self { end: 0, is_known: true, is_refused: false };
    /// A file that was left behind by a crash.
    pub(crate) const UNKNOWN: Self = Self { is_known: false, ..Self::NONE };

    /// Up to where to ask for room before `coming` bytes are written at `size`; `None` if that is
    /// not due.
    pub(crate) fn due(self, size: u32, coming: u32, config: &LogConfig) -> Option<u32> {
        let size_max = config.segment_bytes_max;
        if self.is_refused || size.saturating_add(coming) <= self.end {
            return None;
        }
        let wanted = match config.preallocate {
            true => size_max,
            false if size < SIZE_MIN => return None,
            false => size.saturating_add((size / 4).min(STEP_MAX)).min(size_max),
        };
        // A batch that fits into no step is one itself.
        (wanted >= size.saturating_add(coming)).then_some(wanted)
    }

    /// There is room up to `end`.
    pub(crate) fn reach(&mut self, end: u32) {
        self.end = end;
    }

    /// The disk gives none, and has back what it gave: this segment asks no more.
    pub(crate) fn refuse(&mut self) {
        *self = Self { is_refused: true, ..Self::NONE };
    }

    /// Whether a file of `size` may have room ahead.
    pub(crate) fn exceeds(self, size: u32) -> bool {
        !self.is_known || self.end > size
    }

    /// Whether it may have more than is left to it.
    pub(crate) fn exceeds_much(self, size: u32) -> bool {
        !self.is_known || self.end.saturating_sub(size) > LEFT_MAX
    }
}

impl<F: DiskFile> Segment<F> {
    /// Sets room aside for `coming` bytes and more, if that is due.
    pub(crate) fn reserve<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        coming: usize,
        config: &LogConfig,
    ) -> Result<(), IoError> {
        let (size, coming) = (self.size, u32::try_from(coming).unwrap_or(u32::MAX));
        let Some(end) = self.reserve.due(size, coming, config) else { return Ok(()) };
        let file = self.file(dir)?;
        if file.reserve(size.into(), end.into()).is_ok() {
            self.reserve.reach(end);
        } else {
            // The last that the disk has is for whoever needs it.
            file.truncate(size.into())?;
            self.reserve.refuse();
        }
        Ok(())
    }

    /// The segment is about to be written no more: what room it has ahead is for others, but for a
    /// little. What lies behind its batches goes, too.
    pub(crate) fn give_back_most<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
    ) -> Result<(), IoError> {
        if self.reserve.exceeds_much(self.size) { self.give_back_all(dir) } else { Ok(()) }
    }

    /// The same before a stop: nothing is left, whoever made the file.
    pub(crate) fn give_back_all<D: Disk<File = F>>(&mut self, dir: &Dir<D>) -> Result<(), IoError> {
        let (reserve, size) = (self.reserve, self.size);
        let file = self.file(dir)?;
        // Kafka may have made the file longer than its content.
        if reserve.exceeds(size) || file.size()? > u64::from(size) {
            file.truncate(size.into())?;
        }
        self.reserve = Reserve::NONE;
        Ok(())
    }

    /// Nobody knows what room the file has: a crash has left it behind.
    pub(crate) fn forget_room(&mut self) {
        self.reserve = Reserve::UNKNOWN;
    }
}
