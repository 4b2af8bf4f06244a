//! A stretch of the log: one `.log` file, named by its first offset, and its indexes.
//!
//! Only the last segment of a log is written: its indexes are in memory and get to the disk when it
//! is sealed. Sealed ones cost no memory but this struct; their indexes are searched on the disk.
//! A crash loses nothing by that: what was not sealed is scanned again.

mod locate;

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
};

use dohle_base::{Offset, Timestamp};

use crate::{
    aborts::UnsavedAborts,
    believed::Believed,
    config::LogConfig,
    disk::{Disk, DiskFile, IoError, OpenMode, read_file, remove_if_there, turn_to_disk},
    error::LogError,
    names::{FileKind, SegmentFile},
    offset_index::{IndexedOffset, OffsetIndex},
    reserve::Reserve,
    scan::{Head, HeadScan},
    time_index::{IndexedTime, TimeIndex},
};

/// The most bytes of a segment: positions are signed in Kafka.
pub(crate) const SEGMENT_SIZE_MAX: u32 = i32::MAX as u32;

/// For how many bytes before the last entry a start asks the batches for a time that the index of times may lack.
/// Source: that one is saved with the other, a MiB or a flush behind it, and 16 MiB of heads take some ms.
const ASKED_MAX: u32 = 16 << 20;

/// The directory of a partition, on its disk.
#[derive(Clone, Debug)]
pub(crate) struct Dir<D> {
    pub(crate) disk: D,
    pub(crate) path: PathBuf,
}

impl<D: Disk> Dir<D> {
    pub(crate) fn file(&self, base: Offset, kind: FileKind) -> PathBuf {
        self.path.join(SegmentFile::current(base, kind).name())
    }

    pub(crate) fn open(
        &self,
        base: Offset,
        kind: FileKind,
        mode: OpenMode,
    ) -> Result<D::File, IoError> {
        self.disk.open(&self.file(base, kind), mode)
    }

    pub(crate) fn remove(&self, base: Offset, kind: FileKind) -> Result<(), IoError> {
        remove_if_there(&self.disk, &self.file(base, kind))
    }

    /// Makes a file hold exactly `bytes`, without syncing it.
    pub(crate) fn put(&self, base: Offset, kind: FileKind, bytes: &[u8]) -> Result<(), IoError> {
        self.put_from(base, kind, bytes, 0)
    }

    /// The same where the first bytes, so many, are in the file already.
    pub(crate) fn put_from(
        &self,
        base: Offset,
        kind: FileKind,
        bytes: &[u8],
        saved: usize,
    ) -> Result<(), IoError> {
        let new = bytes.get(saved..).unwrap_or_default();
        let file = self.write_at(base, kind, new, saved as u64)?;
        if file.size()? != bytes.len() as u64 { file.truncate(bytes.len() as u64) } else { Ok(()) }
    }

    /// Writes into a file, which is made if it is missing, without syncing it.
    pub(crate) fn write_at(
        &self,
        base: Offset,
        kind: FileKind,
        bytes: &[u8],
        position: u64,
    ) -> Result<D::File, IoError> {
        let file = self.open(base, kind, OpenMode::Create)?;
        file.write_all_at(&[IoSlice::new(bytes)], position)?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on what is read of its files is what the disk has of them.
    pub(crate) fn turn_to_disk(&self) -> Result<(), IoError> {
        let entries = match self.disk.list(&self.path) {
            Err(error) if error.is_not_found() => return Ok(()),
            entries => entries?,
        };
        let files = entries.iter().filter(|entry| !entry.is_dir);
        files
            .map(|entry| self.path.join(&entry.name))
            .try_for_each(|path| turn_to_disk(&self.disk.open(&path, OpenMode::Read)?))
    }
}

/// The indexes of the segment that is written.
#[derive(Debug)]
pub(crate) struct Indexes {
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    /// Bytes appended since the last batch with an entry, that batch included.
    bytes_since_entry: u32,
    /// How much of them is in their files.
    pub(crate) saved: SavedIndexes,
}

/// How many bytes of the indexes are in their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedIndexes {
    pub(crate) offsets: usize,
    pub(crate) times: usize,
}

#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) base: Offset,
    /// Bytes of whole batches. What lies behind them in the file does not exist.
    pub(crate) size: u32,
    /// When it was made or opened, for rolling segments whose records have no time.
    pub(crate) opened_at: Timestamp,
    /// Whether aborted transactions are indexed.
    pub(crate) has_aborts: bool,
    /// What of their index is believed, where another process, or the one before, has left it; else all is.
    pub(crate) believed_aborts: Option<Box<Believed>>,
    /// They, if there was no room for some of them.
    pub(crate) unsaved_aborts: Option<Box<UnsavedAborts>>,
    /// Of the segment that is written only.
    pub(crate) indexes: Option<Indexes>,
    /// Whether its indexes are to be made anew: a full disk had no room for them when it was sealed, or
    /// its batches contradict them.
    pub(crate) lacks_indexes: bool,
    /// Whether its indexes were written when it was sealed and are not synced yet.
    pub(crate) unsynced_indexes: bool,
    /// Whether the file is yet to be made, by the first append.
    is_unwritten: bool,
    /// The room that the file has ahead.
    pub(crate) reserve: Reserve,
    /// Opened when needed.
    file: Option<F>,
    /// The greatest timestamp; looked up when needed.
    pub(crate) newest: Option<IndexedTime>,
    /// Batches that may have a greater one, from position to position, to be asked before that is needed.
    unasked: Option<(u32, u32)>,
    /// The first batch's timestamp; looked up when needed.
    pub(crate) first_timestamp: Option<Timestamp>,
}

impl Indexes {
    pub(crate) fn new(base: Offset, config: &LogConfig) -> Self {
        let size_max = config.segment_index_bytes_max as usize;
        Self {
            offsets: OffsetIndex::new(base, size_max),
            times: TimeIndex::new(base, size_max),
            bytes_since_entry: 0,
            saved: SavedIndexes::default(),
        }
    }

    /// The indexes of a segment that was sealed, to be written on.
    fn read<D: Disk>(dir: &Dir<D>, base: Offset, config: &LogConfig) -> Result<Self, IoError> {
        let size_max = config.segment_index_bytes_max as usize;
        // A topic's index size can shrink: read what an earlier one allowed.
        let read = |kind| read_file(&dir.disk, &dir.file(base, kind), SEGMENT_SIZE_MAX as usize);
        let offsets = read(FileKind::OffsetIndex)?.unwrap_or_default();
        let times = read(FileKind::TimeIndex)?.unwrap_or_default();
        let mut indexes = Self {
            offsets: OffsetIndex::from_bytes(base, offsets, size_max),
            times: TimeIndex::from_bytes(base, times, size_max),
            bytes_since_entry: 0,
            saved: SavedIndexes::default(),
        };
        indexes.saved = indexes.sizes();
        Ok(indexes)
    }

    pub(crate) fn sizes(&self) -> SavedIndexes {
        SavedIndexes { offsets: self.offsets.bytes().len(), times: self.times.bytes().len() }
    }

    /// Drops the entries from `end` on.
    fn truncate(&mut self, end: Offset) {
        self.offsets.truncate(end);
        self.times.truncate(end);
        let sizes = self.sizes();
        self.saved.offsets = self.saved.offsets.min(sizes.offsets);
        self.saved.times = self.saved.times.min(sizes.times);
    }

    /// Drops all entries of times.
    fn forget_times(&mut self) {
        self.times.truncate(Offset(i64::MIN));
        self.saved.times = 0;
    }

    /// How many entries may be added to both before the segment is rolled.
    pub(crate) fn entries_left(&self) -> usize {
        self.offsets.entries_left().min(self.times.entries_left())
    }

    pub(crate) fn are_full(&self) -> bool {
        self.entries_left() == 0
    }
}

impl<F: DiskFile> Segment<F> {
    /// A segment whose file is there, to be read.
    pub(crate) fn sealed(base: Offset, size: u32, opened_at: Timestamp) -> Self {
        Self {
            base,
            size,
            opened_at,
            has_aborts: false,
            believed_aborts: None,
            unsaved_aborts: None,
            indexes: None,
            lacks_indexes: false,
            unsynced_indexes: false,
            is_unwritten: false,
            reserve: Reserve::NONE,
            file: None,
            newest: None,
            unasked: None,
            first_timestamp: None,
        }
    }

    /// An empty segment in a directory without files. Its own are made when something is written:
    /// a partition that has no records costs a directory.
    pub(crate) fn unwritten(base: Offset, config: &LogConfig, now: Timestamp) -> Self {
        let mut segment = Self::sealed(base, 0, now);
        segment.reset(config);
        segment.is_unwritten = true;
        segment
    }

    /// An empty segment to write on; leftovers of one of the same name are cut.
    pub(crate) fn create<D: Disk<File = F>>(
        dir: &Dir<D>,
        base: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<Self, IoError> {
        // The batches last: if something fails, indexes alone are nothing to a start, but a segment
        // would be one, though the log may go on in the one before.
        dir.put(base, FileKind::OffsetIndex, &[])?;
        dir.put(base, FileKind::TimeIndex, &[])?;
        dir.remove(base, FileKind::TxnIndex)?;
        let file = dir.open(base, FileKind::Log, OpenMode::Create)?;
        if file.size()? > 0 {
            file.truncate(0)?;
        }
        let mut segment = Self::sealed(base, 0, now);
        segment.file = Some(file);
        segment.reset(config);
        Ok(segment)
    }

    /// Takes the indexes into memory, to write on.
    pub(crate) fn unseal<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        config: &LogConfig,
    ) -> Result<(), LogError> {
        self.indexes = Some(Indexes::read(dir, self.base, config)?);
        self.newest(dir)?;
        self.lacks_indexes = false;
        Ok(())
    }

    /// Forgets what was indexed, to index anew.
    pub(crate) fn reset(&mut self, config: &LogConfig) {
        self.indexes = Some(Indexes::new(self.base, config));
        self.lacks_indexes = false;
        self.newest = Some(IndexedTime::none(self.base));
        self.unasked = None;
        self.first_timestamp = None;
        self.size = 0;
    }

    /// The open file.
    pub(crate) fn file<D: Disk<File = F>>(&mut self, dir: &Dir<D>) -> Result<&F, IoError> {
        if self.file.is_none() {
            let mode = if self.is_unwritten { OpenMode::Create } else { OpenMode::Write };
            self.file = Some(dir.open(self.base, FileKind::Log, mode)?);
            self.is_unwritten = false;
        }
        Ok(self.file.as_ref().expect("set just above"))
    }

    /// The file, if it is open.
    pub(crate) fn open_file(&self) -> Option<&F> {
        self.file.as_ref()
    }

    /// Whether the file is yet to be made.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_unwritten
    }

    /// Closes the file until it is needed again.
    pub(crate) fn release(&mut self) {
        self.file = None;
    }

    /// Takes in a batch that now lies at the end of the file.
    pub(crate) fn note(&mut self, head: &Head, config: &LogConfig) {
        assert_eq!(head.position, self.size, "batches lie one behind another");
        let newest = self.newest.unwrap_or(IndexedTime::none(self.base));
        let this = IndexedTime { timestamp: head.max_timestamp, offset: head.last };
        let newest = if this.timestamp > newest.timestamp { this } else { newest };
        self.newest = Some(newest);
        if self.size == 0 {
            self.first_timestamp = Some(head.max_timestamp);
        }
        self.size = head.end();
        let Some(indexes) = &mut self.indexes else { return };
        if indexes.bytes_since_entry > config.index_interval_bytes {
            let entry = IndexedOffset { offset: head.last, position: head.position };
            indexes.offsets.push(entry);
            // An entry says that there is nothing later before, which costs time to go without.
            if self.unasked.is_none() {
                indexes.times.push(newest);
            }
            indexes.bytes_since_entry = 0;
        }
        indexes.bytes_since_entry = indexes.bytes_since_entry.saturating_add(head.size);
    }

    /// Writes the indexes to their files, with the entry that closes the time index. Nothing is
    /// synced.
    pub(crate) fn write_indexes<D: Disk<File = F>>(&mut self, dir: &Dir<D>) -> Result<(), IoError> {
        self.ask_unasked(dir)?;
        let (Some(indexes), Some(newest)) = (&mut self.indexes, self.newest) else { return Ok(()) };
        indexes.times.push(newest);
        let Indexes { offsets, times, saved, .. } = indexes;
        dir.put_from(self.base, FileKind::OffsetIndex, offsets.bytes(), saved.offsets)?;
        dir.put_from(self.base, FileKind::TimeIndex, times.bytes(), saved.times)?;
        indexes.saved = indexes.sizes();
        self.unsynced_indexes = true;
        Ok(())
    }

    /// Makes the indexes of a sealed segment of so many bytes anew. Its batches were checked before.
    /// Nothing is synced.
    pub(crate) fn index_anew<D: Disk<File = F>>(
        dir: &Dir<D>,
        (base, size): (Offset, u32),
        config: &LogConfig,
    ) -> Result<(), LogError> {
        let file = dir.open(base, FileKind::Log, OpenMode::Read)?;
        let mut segment = Self::sealed(base, size, Timestamp::NONE);
        segment.reset(config);
        let mut scan = HeadScan::new(&file, 0, size);
        while let Some(head) = scan.next()? {
            segment.note(&head, config);
        }
        Ok(segment.write_indexes(dir)?)
    }

    /// Takes the indexes into memory as far as they tell of batches before `end`, and says where the
    /// first batch begins that they do not: from there on the segment is to be read. `None` if they
    /// do not fit the batches.
    pub(crate) fn unseal_before<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        end: Offset,
        config: &LogConfig,
    ) -> Result<Option<Head>, LogError> {
        let mut indexes = Indexes::read(dir, self.base, config)?;
        indexes.truncate(end);
        let Some(entry) = indexes.offsets.last() else { return Ok(None) };
        // What the times tell of later batches comes again with them.
        indexes.truncate(entry.offset.next());
        // The batch of the last entry is read again: its entry stays, the bytes behind it count.
        let (base, size) = (self.base, self.size);
        let led = HeadScan::new(self.file(dir)?, entry.position, size).next().ok().flatten();
        let Some(head) = led.filter(|head| base <= head.base && head.last == entry.offset) else {
            return Ok(None);
        };
        self.indexes = Some(indexes);
        self.newest = Some(self.newest_before(dir, &head)?);
        self.first_timestamp = None;
        self.size = entry.position;
        Ok(Some(head))
    }

    /// The greatest timestamp of the batches before the last one with an entry. The index of times may be
    /// older than the other one, for each is saved by itself, or have entries of batches that were cut: what
    /// it tells last counts if a batch confirms it, and those behind are asked, which are few where times
    /// ascend, but not those more than [`ASKED_MAX`] before the last one, for a start is to read a bounded tail.
    /// Where the last one has just that time they may be all those of that time, and are asked later.
    fn newest_before<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        last: &Head,
    ) -> Result<IndexedTime, LogError> {
        let none = IndexedTime::none(self.base);
        let told = self.indexes.as_ref().map_or(none, |indexes| indexes.times.last());
        let confirmed = unless_damaged(self.confirm(dir, told))?.flatten();
        let is_known = confirmed.is_some() || told == none;
        let mut start = confirmed.map_or(0, |head| head.position);
        let tail = last.position.saturating_sub(ASKED_MAX);
        if tail > start && is_known {
            let offsets = self.indexes.as_ref().map(|indexes| &indexes.offsets);
            let entry = offsets.and_then(|offsets| offsets.ceiling(tail));
            start = entry.map_or(last.position, |entry| entry.position);
        }
        let known = if confirmed.is_some() { told } else { none };
        if let Some(indexes) = self.indexes.as_mut().filter(|_| confirmed.is_none()) {
            indexes.forget_times();
        }
        self.newest = Some(known);
        self.unasked = (start < last.position).then_some((start, last.position));
        if !(is_known && told.timestamp == last.max_timestamp) {
            self.ask_unasked(dir)?;
        }
        Ok(self.newest.unwrap_or(known))
    }

    /// Asks the batches that were not asked yet for a greater timestamp than what is known.
    pub(crate) fn ask_unasked<D: Disk<File = F>>(&mut self, dir: &Dir<D>) -> Result<(), IoError> {
        let Some((start, end)) = self.unasked else { return Ok(()) };
        let known = self.newest.unwrap_or(IndexedTime::none(self.base));
        let size = std::mem::replace(&mut self.size, end);
        let newest = self.newest_behind(dir, start, known);
        self.size = size;
        match newest {
            Ok(newest) if newest == known => {}
            Ok(newest) => {
                self.newest = Some(newest);
                // Not with the next entry only: a cut goes by what is indexed.
                self.indexes.iter_mut().for_each(|indexes| indexes.times.push(newest));
            }
            Err(LogError::Io(error)) => return Err(error),
            // Whoever reads what is damaged there is told.
            Err(_) => {}
        }
        self.unasked = None;
        Ok(())
    }

    /// What belongs into the index files, with the entry that closes the time index. They are in
    /// memory no more.
    pub(crate) fn take_indexes(&mut self) -> Option<(OffsetIndex, TimeIndex)> {
        let (mut indexes, newest) = (self.indexes.take()?, self.newest?);
        indexes.times.push(newest);
        Some((indexes.offsets, indexes.times))
    }

    /// The segment will not be written any more.
    pub(crate) fn seal<D: Disk<File = F>>(&mut self, dir: &Dir<D>) -> Result<(), IoError> {
        self.write_indexes(dir)?;
        self.indexes = None;
        self.release();
        Ok(())
    }

    /// Cuts the segment, which is to be written on from now, to the batches before `position`,
    /// where the batch begins that holds `end` or the first one behind it.
    pub(crate) fn cut<D: Disk<File = F>>(
        &mut self,
        dir: &Dir<D>,
        position: u32,
        end: Offset,
        config: &LogConfig,
    ) -> Result<(), LogError> {
        if self.indexes.is_none() {
            self.unseal(dir, config)?;
        }
        self.ask_unasked(dir)?;
        let file = self.file(dir)?;
        file.truncate(u64::from(position))?;
        file.sync()?;
        self.size = position;
        self.reserve = Reserve::NONE;
        if position == 0 {
            self.reset(config);
            return Ok(());
        }
        let Some(indexes) = &mut self.indexes else { return Ok(()) };
        indexes.truncate(end);
        let start = indexes.offsets.last().map_or(0, |entry| entry.position);
        let known = indexes.times.last();
        // Behind the last entry there may be greater timestamps than it tells.
        self.newest = Some(self.newest_behind(dir, start, known)?);
        Ok(())
    }
}

/// `None` for what could not be read because batches are damaged.
fn unless_damaged<T>(read: Result<T, LogError>) -> Result<Option<T>, LogError> {
    match read {
        Err(LogError::Corrupt(_)) => Ok(None),
        read => read.map(Some),
    }
}
