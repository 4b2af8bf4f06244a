//! Writes the segments that take the place of others: `.cleaned` files, durable before anybody may
//! rely on them.
//!
//! As a rule a group of segments becomes one. Batches can grow, though, when they get a delete
//! horizon or another compressor has a go at them; what does not fit a segment begins another.

use std::{io::IoSlice, sync::Arc};

use dohle_base::{Offset, Timestamp};

use crate::{
    config::LogConfig,
    disk::{Disk, DiskFile, IoError, OpenMode, remove_if_there},
    error::{Corruption, DamageReason, LogError},
    names::{FileKind, FileStage, SegmentFile},
    offset_index::relative,
    scan::Head,
    segment::{Dir, SEGMENT_SIZE_MAX, Segment},
    txn_index::{self, AbortedTransaction},
};

use super::run::{Ended, path};

/// The writer of a replacement.
pub(crate) struct Writer<D: Disk> {
    dir: Dir<D>,
    config: Arc<LogConfig>,
    done: Vec<Segment<D::File>>,
    files: Vec<SegmentFile>,
    open: Option<Output<D::File>>,
    opened_at: Timestamp,
    /// When the segment was last changed whose batches are written, if the disk tells.
    modified: Option<Timestamp>,
    /// How much is written at once, unless a batch is larger.
    io_bytes: usize,
}

/// The segment that is written.
struct Output<F> {
    segment: Segment<F>,
    file: F,
    /// Batches that are not in the file yet.
    buffer: Vec<u8>,
    /// Bytes in the file.
    written: u64,
    aborted: Vec<AbortedTransaction>,
}

/// Segments that are complete, and their files.
pub(crate) type Finished<F> = (Vec<Segment<F>>, Vec<SegmentFile>);

impl<D: Disk> Writer<D> {
    pub(crate) fn new(dir: Dir<D>, config: Arc<LogConfig>, io_bytes: usize) -> Self {
        let (done, files, opened_at) = (Vec::new(), Vec::new(), Timestamp::NONE);
        Self { dir, config, done, files, open: None, opened_at, modified: None, io_bytes }
    }

    /// The batches that follow are those of this file: the age of the segment that they end in counts from its
    /// last change where they have no times. So it does in Kafka.
    pub(crate) fn takes_from(&mut self, file: &D::File) -> Result<(), IoError> {
        self.modified = file.modified()?;
        Ok(())
    }

    /// Begins a segment, which is there even if no batch follows.
    pub(crate) fn begin(&mut self, base: Offset, opened_at: Timestamp) -> Result<(), IoError> {
        self.opened_at = opened_at;
        let file = self.create(base, FileKind::Log)?;
        let mut segment = Segment::sealed(base, 0, opened_at);
        segment.reset(&self.config);
        let (buffer, aborted) = (Vec::new(), Vec::new());
        self.open = Some(Output { segment, file, buffer, written: 0, aborted });
        Ok(())
    }

    /// Appends a batch, and what its segment's index of transactions has to tell of it.
    pub(crate) fn push(&mut self, batch: &[u8], ended: Ended) -> Result<(), LogError> {
        let head = Head::parse(batch, 0).map_err(|error| self.misbuilt(error))?;
        if !self.open.as_ref().is_some_and(|output| output.has_room(&head)) {
            self.close()?;
            self.begin(head.base, self.opened_at)?;
        }
        let Some(output) = &mut self.open else { return Ok(()) };
        let head = Head { position: output.segment.size, ..head };
        output.segment.note(&head, &self.config);
        output.aborted.extend(ended);
        output.buffer.extend_from_slice(batch);
        if output.buffer.len() >= self.io_bytes { Ok(output.write()?) } else { Ok(()) }
    }

    /// Makes all of it durable.
    pub(crate) fn finish(&mut self) -> Result<Finished<D::File>, IoError> {
        self.close()?;
        self.dir.disk.sync_dir(self.dir.path())?;
        Ok((std::mem::take(&mut self.done), std::mem::take(&mut self.files)))
    }

    /// Removes what was written. What stays of it the next start removes.
    pub(crate) fn discard(&mut self) {
        self.open = None;
        for file in self.files.drain(..) {
            let _ = remove_if_there(&self.dir.disk, &path(&self.dir, file, FileStage::Cleaned));
        }
    }

    fn close(&mut self) -> Result<(), IoError> {
        let Some(mut output) = self.open.take() else { return Ok(()) };
        output.write()?;
        self.modified.map_or(Ok(()), |at| output.file.set_modified(at))?;
        output.file.sync()?;
        let mut segment = output.segment;
        let base = segment.base;
        if let Some((offsets, times)) = segment.take_indexes() {
            self.put(base, FileKind::OffsetIndex, offsets.bytes())?;
            self.put(base, FileKind::TimeIndex, times.bytes())?;
        }
        if !output.aborted.is_empty() {
            let entries = txn_index::encode(&output.aborted);
            self.put(base, FileKind::TxnIndex, &entries)?;
            segment.has_aborts = true;
        }
        self.done.push(segment);
        Ok(())
    }

    fn put(&mut self, base: Offset, kind: FileKind, bytes: &[u8]) -> Result<(), IoError> {
        let file = self.create(base, kind)?;
        if !bytes.is_empty() {
            file.write_all_at(&[IoSlice::new(bytes)], 0)?;
        }
        file.sync()
    }

    /// An empty file. One that a clean before this one left is cut.
    fn create(&mut self, base: Offset, kind: FileKind) -> Result<D::File, IoError> {
        let name = SegmentFile { base, kind, stage: FileStage::Cleaned };
        self.files.push(name);
        let file = self.dir.disk.open(&self.dir.path().join(name.name()), OpenMode::Create)?;
        if file.size()? > 0 {
            file.truncate(0)?;
        }
        Ok(file)
    }

    /// A batch that was just built, or read and checked, cannot be parsed: it is told like damage.
    fn misbuilt(&self, error: dohle_records::BatchError) -> LogError {
        let position = self.open.as_ref().map_or(0, |output| output.segment.size);
        Corruption::new(self.dir.path(), u64::from(position), DamageReason::Batch(error)).into()
    }
}

impl<F: DiskFile> Output<F> {
    fn has_room(&self, head: &Head) -> bool {
        let size = u64::from(self.segment.size) + u64::from(head.size);
        let fits = size <= u64::from(SEGMENT_SIZE_MAX)
            && relative(self.segment.base, head.last).is_some()
            && !self.segment.indexes.as_ref().is_some_and(|indexes| indexes.are_full());
        // A segment takes one batch at least; then its base is the batch's.
        fits || (self.segment.size == 0 && self.segment.base == head.base)
    }

    fn write(&mut self) -> Result<(), IoError> {
        if !self.buffer.is_empty() {
            self.file.write_all_at(&[IoSlice::new(&self.buffer)], self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
