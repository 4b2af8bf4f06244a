//! A partition's log in a ring: its own, or the one that all durable topics share.
//!
//! Which batch lies where is remembered in memory only. A batch is forgotten when another one is
//! written over it.

use std::{cell::RefCell, collections::VecDeque, ops::Range, rc::Rc};

use anyhow::{Result, bail};
use dohle_base::Offset;
use dohle_records::{BatchMut, BatchView};

use super::{output::Slice, ring::Ring};

pub(super) struct Log {
    ring: Rc<RefCell<Ring>>,
    next_offset: Offset,
    /// Oldest first, and therefore by offset and by position.
    batches: VecDeque<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    base_offset: Offset,
    position: u64,
    size: u32,
}

impl Batch {
    fn end(self) -> u64 {
        self.position + u64::from(self.size)
    }
}

impl Log {
    pub(super) fn over(ring: Rc<RefCell<Ring>>) -> Self {
        Self { ring, next_offset: Offset::ZERO, batches: VecDeque::new() }
    }

    pub(super) fn ring(&self) -> &Rc<RefCell<Ring>> {
        &self.ring
    }

    pub(super) fn into_ring(self) -> Rc<RefCell<Ring>> {
        self.ring
    }

    pub(super) fn start_offset(&self) -> Offset {
        let first = self.batches.get(self.forgotten());
        first.map_or(self.next_offset, |batch| batch.base_offset)
    }

    pub(super) fn end_offset(&self) -> Offset {
        self.next_offset
    }

    /// How many of the batches are written over.
    fn forgotten(&self) -> usize {
        let start = self.ring.borrow().start();
        if self.batches.front().is_none_or(|first| first.position >= start) {
            return 0;
        }
        self.batches.partition_point(|batch| batch.position < start)
    }

    /// Checks a batch that is a part of `buffer`, says where it lies, and has it written with those
    /// behind it.
    ///
    /// # Errors
    /// Bytes that are not one batch with its checksum, or more than fit; a disk that fails.
    pub(super) fn append(&mut self, buffer: &mut [u8], part: Range<usize>) -> Result<Offset> {
        let bytes = &mut buffer[part.clone()];
        let view = BatchView::parse(bytes)?;
        let records = i64::from(view.record_count());
        let mut ring = self.ring.borrow_mut();
        if view.size() != bytes.len() || bytes.len() as u64 > ring.size() || records < 1 {
            bail!("{} bytes with a batch of {} and {records} records", bytes.len(), view.size());
        }
        view.check_crc()?;
        let base_offset = self.next_offset;
        BatchMut::parse(bytes)?.set_base_offset(base_offset);

        let size = u32::try_from(bytes.len())?;
        let position = ring.put(buffer, part)?;
        let start = ring.start();
        while self.batches.front().is_some_and(|batch| batch.position < start) {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch { base_offset, position, size });
        self.next_offset = Offset(base_offset.0 + records);
        Ok(base_offset)
    }

    /// The batches from the one with `offset` on, up to `size_max` bytes but at least one; none at
    /// the end of the log or outside it.
    pub(super) fn read(&self, offset: Offset, size_max: usize) -> Option<Slice> {
        if offset >= self.next_offset || offset < self.start_offset() {
            return None;
        }
        let ring = self.ring.borrow();
        let behind = self.batches.partition_point(|batch| batch.base_offset <= offset);
        let first = *self.batches.get(behind.checked_sub(1)?)?;
        let mut end = first.end();
        for batch in self.batches.range(behind..) {
            let adjacent = batch.position == end && ring.place(end) != 0;
            if !adjacent || batch.end() - first.position > size_max as u64 {
                break;
            }
            end = batch.end();
        }
        let size = usize::try_from(end - first.position).ok()?;
        Some(Slice { file: Rc::clone(ring.file()), position: ring.place(first.position), size })
    }
}

#[cfg(test)]
mod tests;
