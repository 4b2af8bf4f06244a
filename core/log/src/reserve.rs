//! The room that a segment has on the disk ahead of its end.
//!
//! A file system looks for blocks at each append to a file, unless it has set them aside before.
//! So a segment that has become large asks for many at once; how many is in proportion to what it
//! holds, and little: that is all that lies idle should the log never grow again. What was not used
//! goes back when the segment is written no more. Size and bytes of the file are the same with and
//! without, for Kafka too. Source: docs/adr/0016-room-ahead.md.

#[cfg(test)]
mod tests;

use crate::config::LogConfig;

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
