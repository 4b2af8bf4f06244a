//! A partition's log as a ring in one file, whose pages are therefore always in memory.
//!
//! Which batch lies where is remembered in memory only. A batch is forgotten when another one is
//! written over it; batches never lie across the end of the file.

use std::{collections::VecDeque, fs::File, rc::Rc};

use anyhow::{Result, bail};
use dohle_base::Offset;
use dohle_records::{BatchMut, BatchView};
use rustix::io::pwrite;

use super::connection::Slice;

/// Large enough for a pass of the fetch load, small enough to stay in memory.
pub(super) const FILE_SIZE: u64 = 256 << 20;

pub(super) struct Log {
    file: Rc<File>,
    file_size: u64,
    write_at: u64,
    next_offset: Offset,
    /// Oldest first, and therefore by offset.
    batches: VecDeque<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    base_offset: Offset,
    position: u32,
    size: u32,
}

impl Batch {
    fn end(self) -> u64 {
        u64::from(self.position) + u64::from(self.size)
    }
}

impl Log {
    pub(super) fn over(file: Rc<File>, file_size: u64) -> Self {
        let batches = VecDeque::new();
        Self { file, file_size, write_at: 0, next_offset: Offset::ZERO, batches }
    }

    pub(super) fn into_file(self) -> Rc<File> {
        self.file
    }

    pub(super) fn start_offset(&self) -> Offset {
        self.batches.front().map_or(self.next_offset, |batch| batch.base_offset)
    }

    pub(super) fn end_offset(&self) -> Offset {
        self.next_offset
    }

    /// Checks a batch, says where it lies, and writes it.
    ///
    /// # Errors
    /// Bytes that are not one batch with its checksum, or more than fit; a disk that fails.
    pub(super) fn append(&mut self, bytes: &mut [u8]) -> Result<Offset> {
        let view = BatchView::parse(bytes)?;
        let records = i64::from(view.record_count());
        if view.size() != bytes.len() || bytes.len() as u64 > self.file_size || records < 1 {
            bail!("{} bytes with a batch of {} and {records} records", bytes.len(), view.size());
        }
        view.check_crc()?;
        let base_offset = self.next_offset;
        BatchMut::parse(bytes)?.set_base_offset(base_offset);

        let position = self.make_room(bytes.len() as u64);
        let mut written = 0;
        while written < bytes.len() {
            written += pwrite(&*self.file, &bytes[written..], position + written as u64)?;
        }
        let batch = Batch {
            base_offset,
            position: u32::try_from(position)?,
            size: u32::try_from(bytes.len())?,
        };
        self.write_at = batch.end();
        self.batches.push_back(batch);
        self.next_offset = Offset(base_offset.0 + records);
        Ok(base_offset)
    }

    /// Forgets what will be written over and gives the position to write at.
    fn make_room(&mut self, size: u64) -> u64 {
        if self.write_at + size > self.file_size {
            self.forget(self.write_at..self.file_size);
            self.write_at = 0;
        }
        self.forget(self.write_at..self.write_at + size);
        self.write_at
    }

    fn forget(&mut self, range: std::ops::Range<u64>) {
        while self.batches.front().is_some_and(|batch| range.contains(&u64::from(batch.position))) {
            self.batches.pop_front();
        }
    }

    /// The batches from the one with `offset` on, up to `size_max` bytes but at least one; none at
    /// the end of the log or outside it.
    pub(super) fn read(&self, offset: Offset, size_max: usize) -> Option<Slice> {
        if offset >= self.next_offset || offset < self.start_offset() {
            return None;
        }
        let behind = self.batches.partition_point(|batch| batch.base_offset <= offset);
        let index = behind.checked_sub(1)?;
        let first = self.batches.get(index)?;
        let mut end = first.end();
        for batch in self.batches.range(behind..) {
            let adjacent = u64::from(batch.position) == end;
            if !adjacent || batch.end() - u64::from(first.position) > size_max as u64 {
                break;
            }
            end = batch.end();
        }
        let position = u64::from(first.position);
        let size = usize::try_from(end - position).ok()?;
        Some(Slice { file: Rc::clone(&self.file), position, size })
    }
}

#[cfg(test)]
mod tests;
