//! An `.index`, compared with its segment.

use std::path::Path;

use dohle_base::Offset;
use dohle_log::inspect::{Batches, IndexEntries, IndexedOffset, offset_index};
use dohle_os::OsFile;

use super::{
    IndexKind, IndexView,
    fault::{Fault, Problem},
    file::{absolute, disk, open, sibling, start},
    findings::{self, Findings},
    page::Page,
    segment,
};

/// How much of a segment is read at once: heads of batches.
pub(super) const HEADS_SIZE: usize = 4096;

/// Shows or checks all entries.
pub(super) fn show(
    path: &Path,
    view: IndexView,
    page: &mut Page<'_>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let base = start(path)?;
    let segment = Segment::open(path)?;
    let file = open(path)?;
    let mut entries = offset_index(&file, base).map_err(|error| disk(path, error))?;
    if entries.entry_count() == 0 {
        return Ok(page.line(format_args!("{} is empty.", path.display()))?);
    }
    if view.kind == IndexKind::Sanity {
        check_sanity(path, base, &mut entries)?;
        return Ok(page.line(format_args!("{} passed sanity check.", path.display()))?);
    }
    let key = findings::key(path);
    for (index, entry) in entries.enumerate() {
        let entry = entry.map_err(|error| disk(path, error))?;
        // What is not written yet is zeros.
        if entry.offset == base && index > 0 {
            return Ok(());
        }
        let stored = segment.last_offset_at(&entry, view.batch_size_max)?;
        if stored != entry.offset {
            findings.offset_mismatch(&key, entry.offset.0, stored.0);
        }
        if view.kind == IndexKind::Shown {
            let position = entry.position.cast_signed();
            page.line(format_args!("offset: {} position: {position}", entry.offset.0))?;
        }
    }
    Ok(())
}

/// What a node asks before it trusts an index.
fn check_sanity(
    path: &Path,
    base: Offset,
    entries: &mut IndexEntries<'_, OsFile, IndexedOffset>,
) -> Result<(), Fault> {
    let sanity = |text| Err(Fault::at(path, None, Problem::Sanity(text)));
    let name = absolute(path);
    let name = name.display();
    let last = entries.at(entries.entry_count() - 1).map_err(|error| disk(path, error))?;
    if let Some(IndexedOffset { offset, .. }) = last.filter(|entry| entry.offset < base) {
        return sanity(format!(
            "Corrupt index found, index file {name} has non-zero size but the last offset is {offset} which is less than the base offset {base}"
        ));
    }
    let (size, entry_size) = (entries.file_size(), entries.entry_size());
    if size % entry_size as u64 != 0 {
        return sanity(format!(
            "Index file {name} is corrupt, found {size} bytes which is neither positive nor a multiple of {entry_size}"
        ));
    }
    Ok(())
}

/// The segment that an index is about.
pub(super) struct Segment<'a> {
    index: &'a Path,
    path: std::path::PathBuf,
    pub(super) file: OsFile,
    pub(super) size: u64,
}

impl<'a> Segment<'a> {
    /// The one beside the index.
    pub(super) fn open(index: &'a Path) -> Result<Self, Fault> {
        let path = sibling(index, "log");
        let file = open(&path)?;
        let size = segment::size(&path, &file)?;
        Ok(Self { index, path, file, size })
    }

    /// The batches from a position that an index tells.
    pub(super) fn batches_from(
        &self,
        position: u32,
        size_max: i32,
    ) -> Result<Batches<'_, OsFile>, Fault> {
        let signed = i64::from(position.cast_signed());
        if signed < 0 || signed as u64 > self.size {
            let (file_size, segment) = (self.size, self.path.clone());
            let problem = Problem::OutOfSegment { position: signed, file_size, segment };
            return Err(Fault::at(self.index, None, problem));
        }
        let Ok(size_max) = u64::try_from(size_max) else {
            let problem = Problem::NegativeLimit { limit: size_max, file_size: self.size };
            return Err(Fault::at(&self.path, None, problem));
        };
        let position = u64::from(position);
        let walk =
            Batches::new(&self.file, (position, self.size.min(position + size_max)), HEADS_SIZE);
        walk.map_err(|error| disk(&self.path, error))
    }

    /// The last offset of the batch that an entry points to.
    fn last_offset_at(&self, entry: &IndexedOffset, size_max: i32) -> Result<Offset, Fault> {
        let mut batches = self.batches_from(entry.position, size_max)?;
        match batches.next_batch().map_err(|error| Fault::of_walk(&self.path, error))? {
            Some(batch) => Ok(batch.last_offset()),
            None => {
                let problem = Problem::NothingThere { position: i64::from(entry.position) };
                Err(Fault::at(self.index, None, problem))
            }
        }
    }

    /// A fault of the segment itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
