//! The room that a segment has on the disk ahead of its end.
//!
//! A file system looks for blocks at each append to a file, unless it has set them aside before. So a
//! segment that has become large asks for many at once. How many is in proportion to what it holds:
//! should the log never grow again, that is all that lies idle. What was not used goes back when the
//! segment is written no more. Size and bytes of the file are the same with and without, for Kafka too.
//! Source: docs/adr/0016-room-ahead.md.

#[cfg(test)]
mod tests;

use crate::config::LogConfig;

/// From this size on a segment asks for room; the blocks of smaller ones are found soon enough.
pub(crate) const SIZE_MIN: u32 = 1 << 20;

/// The most bytes asked for at once. Source: the system needs milliseconds for more on a full disk.
const STEP_MAX: u32 = 16 << 20;

/// How far a segment's file has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Up to this position, as far as is known; after a crash there may be more.
    end: u32,
}

impl Reserve {
    /// Up to where to ask for room before `coming` bytes are written at `size`; `None` if that is
    /// not due.
    pub(crate) fn due(self, size: u32, coming: u32, config: &LogConfig) -> Option<u32> {
        let size_max = config.segment_bytes_max;
        if size.saturating_add(coming) <= self.end {
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

    /// The disk gives none: this segment asks no more.
    pub(crate) fn give_up(&mut self) {
        self.end = u32::MAX;
    }

    /// Whether a file of `size` that is written no more may have room to give back.
    pub(crate) fn may_exceed(self, size: u32) -> bool {
        size >= SIZE_MIN || self.end > size
    }
}
