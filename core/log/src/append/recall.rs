//! Reading back whether a client's batch repeats one that no snapshot tells of: see
//! `producer_state::recall`.
//!
//! ```text
//!   entries of a segment's index   0        1        2
//!   its batches                    │ ·  ·  · │ ·  · │ ·  ▼ known from here on
//!                                  └──third──┴second┴first stretch
//! ```
//!
//! Batches can be walked forward only, so each stretch goes from an entry of the index to where the one
//! before began. Only heads are read: one read for some small batches, or for a large one. The caller holds
//! the log meanwhile; `READS_MAX` bounds for how long.

use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, OpenMode},
    error::LogError,
    log::Log,
    names::FileKind,
    offset_index::{self, ENTRY_SIZE, IndexedOffset},
    producer_state::{Batch, Producers, Recalled, Standing},
    scan::{Head, HeadScan},
    search::{Entries, InFile, InMemory},
};

/// How many reads are made for one batch at most. Source: five batches of each of two hundred producers
/// with the usual `batch.size` are a thousand; measured, 4 ms if they are cached.
const READS_MAX: u32 = 4096;

/// A walk back through the heads of the log.
struct Back<'a> {
    producers: &'a mut Producers,
    /// What there is to find out.
    batch: &'a Batch,
    log_start: Offset,
    /// The first offset of what was read.
    end: Offset,
    reads_left: u32,
}

/// What of a segment is yet to be read.
struct Place<'a, F> {
    file: &'a F,
    base: Offset,
    /// Where it ends.
    end: u32,
}

impl<D: Disk> Log<D> {
    /// Reads back until it is clear whether a client's batch repeats one before those that are known, or
    /// until there is no more to read. What is damaged is not read: whoever reads those batches is told.
    ///
    /// # Errors
    /// `Io`; to try again is safe.
    pub(super) fn recall(&mut self, batch: &Batch) -> Result<(), LogError> {
        let Some(end) = self.producers.recall_from(batch.producer.id) else { return Ok(()) };
        let last = self.floor(Offset(end.0.saturating_sub(1)));
        let reads_max = READS_MAX.min(self.producers.recall_reads_left());
        let (dir, log_start) = (&self.dir, self.log_start);
        let mut back =
            Back { producers: &mut self.producers, batch, log_start, end, reads_left: reads_max };
        let mut result = Ok(true);
        for segment in self.segments.iter_mut().take(last + 1).rev() {
            if !matches!(result, Ok(true)) || !back.goes_on() {
                break;
            }
            if segment.size == 0 {
                continue;
            }
            let is_open = segment.open_file().is_some();
            let file = segment.file(dir)?.clone();
            let place = Place { file: &file, base: segment.base, end: segment.size };
            result = match &segment.indexes {
                Some(indexes) => back.read(place, &mut InMemory(indexes.offsets.bytes())),
                None => match dir.open(segment.base, FileKind::OffsetIndex, OpenMode::Read) {
                    Ok(index) => back.read(place, &mut InFile::new(&index)?),
                    Err(error) if error.is_not_found() => back.read(place, &mut InMemory(&[])),
                    Err(error) => Err(error.into()),
                },
            };
            if !is_open {
                segment.release();
            }
        }
        let (is_unclear, reads_left) = (back.is_unclear(), back.reads_left);
        self.producers.count_recall_reads(reads_max - reads_left);
        result?;
        if is_unclear {
            self.producers.end_recall(batch.producer.id);
        }
        Ok(())
    }
}

impl Back<'_> {
    fn is_unclear(&self) -> bool {
        self.producers.judge_client(self.batch) == Ok(Standing::Unclear)
    }

    fn goes_on(&self) -> bool {
        self.reads_left > 0 && self.end > self.log_start && self.is_unclear()
    }

    /// Reads a segment back to its beginning, or until it is clear or no more may be read; `false` if it is
    /// damaged.
    fn read<F: DiskFile>(
        &mut self,
        mut place: Place<'_, F>,
        entries: &mut impl Entries<ENTRY_SIZE>,
    ) -> Result<bool, LogError> {
        let last = Offset(self.end.0.saturating_sub(1));
        let mut count = offset_index::count_up_to(entries, place.base, last)?;
        while self.goes_on() {
            let entry = match count.checked_sub(1) {
                Some(index) => Some(offset_index::decode(place.base, &entries.entry(index)?)),
                None => None,
            };
            let was_read = self.read_stretch(&mut place, entry)?;
            match entry {
                None => return Ok(was_read),
                Some(_) if was_read => count -= 1,
                // An index costs time, no truth: the segment's beginning is known without.
                Some(_) => count = 0,
            }
        }
        Ok(true)
    }

    /// Reads the stretch that begins at an entry of the index, or with the segment; `false` if there are no
    /// such batches, or no more may be read.
    fn read_stretch<F: DiskFile>(
        &mut self,
        place: &mut Place<'_, F>,
        entry: Option<IndexedOffset>,
    ) -> Result<bool, LogError> {
        let start = entry.map_or(0, |entry| entry.position);
        let mut scan = HeadScan::new(place.file, start, place.end);
        let walked = self.walk(&mut scan, place.base);
        self.reads_left = self.reads_left.saturating_sub(scan.reads());
        let (first, read) = match walked {
            Ok(Some(walked)) => walked,
            Err(error @ LogError::Io(_)) => return Err(error),
            Ok(None) | Err(_) => return Ok(false),
        };
        if entry.is_some_and(|entry| entry.offset != first.last) {
            return Ok(false);
        }
        self.producers.recall(&read, first.base..self.end);
        (self.end, place.end) = (first.base, start);
        Ok(true)
    }

    /// Walks to the end of what is yet to be read: the first head, and what all of them tell of producers.
    fn walk<F: DiskFile>(
        &self,
        scan: &mut HeadScan<'_, F>,
        base: Offset,
    ) -> Result<Option<(Head, Vec<Recalled>)>, LogError> {
        let (mut first, mut expected, mut read) = (None, base, Vec::new());
        while scan.reads() < self.reads_left {
            let head = match scan.next()? {
                Some(head) if head.base < self.end => head,
                _ => return Ok(first.map(|first| (first, read))),
            };
            if head.base < expected || head.last >= self.end {
                return Ok(None);
            }
            first = first.or(Some(head));
            expected = head.last.next();
            let header = scan.header(&head).filter(|_| head.last >= self.log_start);
            read.extend(header.and_then(|header| self.producers.recallable_batch(&header)));
        }
        Ok(None)
    }
}
