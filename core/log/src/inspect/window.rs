//! A piece of a file that is read from front to back.

use crate::disk::{DiskFile, IoError};

/// Holds what was read last, so that small reads one behind another cost few calls.
#[derive(Debug)]
pub(super) struct Window<'a, F> {
    file: &'a F,
    file_size: u64,
    piece_size: usize,
    start: u64,
    held: Vec<u8>,
}

impl<'a, F: DiskFile> Window<'a, F> {
    /// Reads `piece_size` bytes at once, or more where more are asked for.
    pub(super) fn new(file: &'a F, piece_size: usize) -> Result<Self, IoError> {
        let file_size = file.size()?;
        Ok(Self { file, file_size, piece_size, start: 0, held: Vec::new() })
    }

    pub(super) fn file(&self) -> &'a F {
        self.file
    }

    pub(super) fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The bytes there, fewer than `size` only at the end of the file.
    pub(super) fn bytes(&mut self, position: u64, size: usize) -> Result<&[u8], IoError> {
        let left = usize::try_from(self.file_size.saturating_sub(position)).unwrap_or(usize::MAX);
        let size = size.min(left);
        if self.range(position, size).is_none() {
            self.held.resize(size.max(self.piece_size).min(left), 0);
            let read = self.file.read_up_to(&mut self.held, position)?;
            self.held.truncate(read);
            self.start = position;
        }
        // The file may have become shorter meanwhile.
        let range = self.range(position, size).unwrap_or(0..self.held.len());
        Ok(self.held.get(range).unwrap_or_default())
    }

    fn range(&self, position: u64, size: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(position.checked_sub(self.start)?).ok()?;
        let end = start.checked_add(size)?;
        (end <= self.held.len()).then_some(start..end)
    }
}
