//! Where in a segment a batch lies, by its index of offsets, in memory or in a file, and by its batches.

use dohle_base::Offset;

use super::{Dir, Segment};
use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode},
    error::LogError,
    names::FileKind,
    offset_index::{self, IndexedOffset, Stretch},
    scan::{HEADS_SIZE, Head, HeadScan},
    search::InFile,
};

/// Entries of an index that are farther apart have a long batch between them, as a rule the only one: then
/// what is looked for is the next entry's, which takes one read, where it takes two from the last one on.
const LONG_STEP: usize = 2 * HEADS_SIZE;

impl<F: DiskFile> Segment<F> {
    /// The first batch that ends at `offset` or behind.
    pub(crate) fn locate<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        offset: Offset,
    ) -> Result<Option<Head>, LogError> {
        if self.size == 0 {
            return Ok(None);
        }
        let before = self.index_floor(dir, offset)?;
        let indexes = self.indexes.as_ref().zip(before);
        let behind = indexes.and_then(|(indexes, before)| indexes.offsets.behind(before));
        self.locate_from(dir, (before, behind), offset)
    }

    /// The same, where the index tells of a batch before, and of a later one as the next, as far as that is
    /// known.
    pub(crate) fn locate_from<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        (entry, next): (Option<IndexedOffset>, Option<IndexedOffset>),
        offset: Offset,
    ) -> Result<Option<Head>, LogError> {
        let (base, size) = (self.base, self.size);
        let file = self.file(dir)?;
        if let (Some(entry), Some(next)) = (entry, next)
            && entry.offset < offset
            && next.position.saturating_sub(entry.position) as usize > LONG_STEP
            && let Some(head) = Head::at(file, next.position, size)
            && head.last == next.offset
            && (base <= head.base && head.base <= offset && offset <= head.last)
        {
            return Ok(Some(head));
        }
        if let Some(entry) = entry.filter(|entry| entry.position < size) {
            let mut scan = HeadScan::new(file, entry.position, size);
            // An index that leads astray costs time, not truth.
            let led = scan.next().ok().flatten();
            if let Some(head) = led.filter(|head| base <= head.base && head.base <= entry.offset) {
                return first_reaching(head, &mut scan, offset);
            }
        }
        let mut scan = HeadScan::new(file, 0, size);
        match scan.next()? {
            Some(head) => first_reaching(head, &mut scan, offset),
            None => Ok(None),
        }
    }

    pub(crate) fn index_floor<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        offset: Offset,
    ) -> Result<Option<IndexedOffset>, IoError> {
        if let Some(indexes) = &self.indexes {
            return Ok(indexes.offsets.floor(offset));
        }
        match dir.open(self.base, FileKind::OffsetIndex, OpenMode::Read) {
            Ok(file) => offset_index::floor(&mut InFile::new(&file)?, self.base, offset),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The last entry up to `offset` of the index on the disk, and what was read with it, where the next
    /// segment begins at `next`.
    pub(crate) fn index_stretch<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        offset: Offset,
        next: Offset,
    ) -> Result<(Option<IndexedOffset>, Option<Stretch>), IoError> {
        let [part, whole] = [offset, next].map(|at| at.0.abs_diff(self.base.0));
        match dir.open(self.base, FileKind::OffsetIndex, OpenMode::Read) {
            Ok(file) => {
                let entries = InFile::new(&file)?.guessing(part, whole);
                let (entry, stretch) = Stretch::read(entries, self.base, offset)?;
                Ok((entry, Some(stretch)))
            }
            Err(error) if error.is_not_found() => Ok((None, None)),
            Err(error) => Err(error),
        }
    }

    /// The first indexed batch that begins at `position` or behind.
    pub(crate) fn index_ceiling<D: Disk<File = F>>(
        &self,
        dir: &Dir<D>,
        position: u32,
    ) -> Result<Option<IndexedOffset>, IoError> {
        if let Some(indexes) = &self.indexes {
            return Ok(indexes.offsets.ceiling(position));
        }
        match dir.open(self.base, FileKind::OffsetIndex, OpenMode::Read) {
            Ok(file) => {
                let entries = InFile::new(&file)?;
                let mut entries = entries.guessing(position.into(), self.size.into());
                offset_index::ceiling(&mut entries, self.base, position)
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Walks the heads of the batches from the one that begins at `position` to the last.
    pub(crate) fn heads<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        position: u32,
    ) -> Result<HeadScan<'_, F>, IoError> {
        let size = self.size;
        Ok(HeadScan::new(self.file(dir)?, position, size))
    }
}

fn first_reaching<F: DiskFile>(
    mut head: Head,
    scan: &mut HeadScan<'_, F>,
    offset: Offset,
) -> Result<Option<Head>, LogError> {
    while head.last < offset {
        match scan.next()? {
            Some(next) => head = next,
            None => return Ok(None),
        }
    }
    Ok(Some(head))
}
