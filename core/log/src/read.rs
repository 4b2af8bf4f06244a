//! Reading: where in which file the batches lie, never a copy of them.

use bytes::Bytes;
use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, IoError},
    error::{LogError, ReadError},
    log::Log,
    scan::Head,
    txn_index::AbortedTransaction,
};

/// Batches in a file. The first one is whole unless a limit forbade it, and begins at `position`;
/// the last one may be cut off.
#[derive(Clone, Debug)]
pub struct Slice<F> {
    /// The open file: what is in it at this place stays there, even if its name goes.
    pub file: F,
    /// The first byte.
    pub position: u64,
    /// Bytes; at least one.
    pub size: usize,
    /// The first offset of the first batch; it may lie before the one that was asked for.
    pub base_offset: Offset,
    /// Bytes of the first batch.
    pub first_batch_size: usize,
    /// Whether later segments have more of what may be read.
    pub goes_on: bool,
}

/// What a read finds.
#[derive(Clone, Debug)]
pub enum Sought<F> {
    /// Batches.
    Here(Slice<F>),
    /// The first batch is larger than the limit.
    NoRoom,
    /// There is no batch that may be read.
    Nothing,
}

impl<F> Sought<F> {
    /// The batches.
    pub fn slice(self) -> Option<Slice<F>> {
        match self {
            Self::Here(slice) => Some(slice),
            Self::NoRoom | Self::Nothing => None,
        }
    }
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// The first record: the slice begins with the batch that holds it.
    pub from: Offset,
    /// Records from this one on are left out: the high watermark, the last stable offset or the end
    /// of the log.
    pub up_to: Offset,
    /// The most bytes.
    pub size_max: usize,
    /// Whether to return the first batch whole even if it is larger.
    pub at_least_one: bool,
}

impl<F: DiskFile> Slice<F> {
    /// Copies the bytes, for callers that cannot send from a file.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self) -> Result<Bytes, IoError> {
        let mut bytes = vec![0; self.size];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.into())
    }

    /// Copies the bytes to `buffer`, which is as long as the slice.
    ///
    /// # Errors
    /// `Io`.
    pub fn read_into(&self, buffer: &mut [u8]) -> Result<(), IoError> {
        assert_eq!(buffer.len(), self.size, "the buffer is as long as the slice");
        self.file.read_exact_at(buffer, self.position)
    }
}

impl<D: Disk> Log<D> {
    /// Where the batches from an offset on lie, as far as one segment holds them. `None` if there
    /// are none below `up_to`, or the first one is larger than the limit.
    ///
    /// # Errors
    /// `OutOfRange` if `from` lies before the log's start or behind its end; `Corrupt`, `Io`.
    pub fn read(&mut self, range: ReadRange) -> Result<Option<Slice<D::File>>, ReadError> {
        Ok(self.seek(range)?.slice())
    }

    /// The same, and why if there is nothing.
    ///
    /// # Errors
    /// As `read`.
    pub fn seek(&mut self, range: ReadRange) -> Result<Sought<D::File>, ReadError> {
        let (start, end) = (self.log_start, self.log_end);
        if range.from < start || range.from > end {
            return Err(ReadError::OutOfRange { offset: range.from, start, end });
        }
        let up_to = range.up_to.min(end);
        if range.from >= up_to {
            return Ok(Sought::Nothing);
        }
        let located = self.locate(range.from)?.filter(|(_, first)| first.base < up_to);
        let Some((index, first)) = located else { return Ok(Sought::Nothing) };
        let end = self.end_position(index, up_to)?;
        let available = end.saturating_sub(first.position) as usize;
        let first_batch_size = first.size as usize;
        let size = match available.min(range.size_max) {
            _ if available < first_batch_size => return Ok(Sought::Nothing),
            size if size >= first_batch_size => size,
            _ if range.at_least_one => first_batch_size,
            _ => return Ok(Sought::NoRoom),
        };
        let goes_on = self.segments.get(index + 1).is_some_and(|next| next.base < up_to);
        let segment = self.segments.get_mut(index).expect("just located in it");
        let file = segment.file(&self.dir)?.clone();
        let (position, base_offset) = (u64::from(first.position), first.base);
        let slice = Slice { file, position, size, base_offset, first_batch_size, goes_on };
        Ok(Sought::Here(slice))
    }

    /// Whether any transaction with records at `from` or behind was aborted. Where none was, nobody needs
    /// to look where they are.
    pub fn has_aborted_from(&self, from: Offset) -> bool {
        self.segments.iter().skip(self.floor(from)).any(|segment| segment.has_aborts)
    }

    /// Which transactions that lie in part below `up_to` were aborted, of those with records at
    /// `from` or behind: what a read-committed consumer must leave out.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn aborted_transactions(
        &mut self,
        from: Offset,
        up_to: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let mut aborted = Vec::new();
        for index in self.floor(from)..self.segments.len() {
            let told = self.aborts_told(index, (from, up_to))?;
            aborted.extend(told.entries.into_iter().filter(|entry| entry.first_offset < up_to));
            if told.is_all {
                break;
            }
        }
        Ok(aborted)
    }

    /// An offset behind all records of a slice, and not far behind: the next that the index knows.
    ///
    /// # Errors
    /// `Io`.
    pub fn bound_of(&self, slice: &Slice<D::File>) -> Result<Offset, IoError> {
        let index = self.floor(slice.base_offset);
        let Some(segment) = self.segments.get(index) else { return Ok(self.log_end) };
        let end = slice.position + slice.size as u64;
        let entry = segment.index_ceiling(&self.dir, u32::try_from(end).unwrap_or(u32::MAX))?;
        let next = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
        Ok(entry.map_or(next, |entry| entry.offset))
    }

    /// The first batch that ends at `offset` or behind, and its segment.
    pub(crate) fn locate(&mut self, offset: Offset) -> Result<Option<(usize, Head)>, LogError> {
        let last = self.segments.len() - 1;
        if let Some(head) = self.recent.locate(offset) {
            return Ok(Some((last, head)));
        }
        for index in self.floor(offset)..last {
            if let Some(head) = self.locate_in_sealed(index, offset)? {
                return Ok(Some((index, head)));
            }
        }
        let active = self.segments.get_mut(last).expect("a log has at least one segment");
        Ok(active.locate(&self.dir, offset)?.map(|head| (last, head)))
    }

    /// The same in one sealed segment, whose file is then kept open.
    fn locate_in_sealed(&mut self, index: usize, offset: Offset) -> Result<Option<Head>, LogError> {
        let next = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
        let Some(segment) = self.segments.get_mut(index) else { return Ok(None) };
        if segment.size == 0 {
            return Ok(None);
        }
        let (base, was_open) = (segment.base, segment.open_file().is_some());
        let known = self.sealed_open.as_ref().and_then(|open| open.stretch_of(base));
        let (entry, stretch) = match known.and_then(|known| known.floor(offset)) {
            Some(entry) => (entry, None),
            None => segment.index_stretch(&self.dir, offset, next)?,
        };
        let index = stretch.as_ref().or(known);
        let behind = index.zip(entry).and_then(|(index, entry)| index.behind(entry));
        let head = segment.locate_from(&self.dir, (entry, behind), offset)?;
        if head.is_some() {
            self.keep_open(base, stretch);
        } else if !was_open {
            segment.release();
        }
        Ok(head)
    }

    /// Where in a segment the records below `up_to` end.
    fn end_position(&mut self, index: usize, up_to: Offset) -> Result<u32, LogError> {
        let last = index + 1 == self.segments.len();
        let next = self.segments.get(index + 1).map_or(self.log_end, |next| next.base);
        let Some(segment) = self.segments.get_mut(index) else { return Ok(0) };
        if up_to >= next {
            return Ok(segment.size);
        }
        if let Some(head) = self.recent.locate(up_to).filter(|_| last) {
            return Ok(head.position);
        }
        Ok(segment.locate(&self.dir, up_to)?.map_or(segment.size, |head| head.position))
    }
}
