//! A file that is written round and round, so that its pages are in memory and its blocks on the
//! disk; or a new file for each round, as whoever keeps records has it.
//!
//! A position counts the bytes that ever went by: one byte later than another is written later.

use std::{fs::File, io::IoSlice, ops::Range, rc::Rc};

use anyhow::{Context, Result};
use rustix::{
    fs::{FallocateFlags, fallocate, fdatasync},
    io::{Errno, pwrite, pwritev},
};

use smallvec::SmallVec;

use super::new_files::NewFiles;

/// Large enough for a pass of the fetch load, small enough to stay in memory. Of a topic that says so, less.
pub(super) const FILE_SIZE: u64 = 256 << 20;

/// What the durable topics share; all of it is written once before it is used.
const DURABLE_SIZE: u64 = 64 << 20;

/// A file of a log in new files, unless its topic asks for others (`segment.bytes`), of [`FILE_SIZE`] at the most. Four
/// are kept: of these as much as is written over else.
pub(super) const NEW_FILE_SIZE: u64 = 64 << 20;

/// How much room is asked for at once in new files: the cheapest way that there is to append.
const ROOM: u64 = 16 << 20;

/// What a disk writes at the least: a sync that ends within a page makes the next one write that
/// page again.
const PAGE: u64 = 4_096;

/// The least that a partition's log can be made of.
pub(super) const SIZE_MIN: u64 = PAGE;

/// What the system writes at once.
const PARTS_MAX: usize = 1_024;

/// In which pieces the pages of a file lie: the system keeps them as large as the writes that brought them, reads small
/// ones more slowly, and goes through the whole of a large one for each write into it.
///
/// Measured, CPU of the floor a request, with pieces of 4 KiB, 64 KiB and 1 MiB: 1 KiB to one partition after the other of
/// 16 2.7, 2.8 and 6.0 µs; 1 KiB to one 1.9, 1.9 and 2.2; 64 KiB 25, 17 and 17. A fetch of 64 KiB with pieces of 64 KiB and
/// 1 MiB 27 and 25, of 1 MiB 129 and 123.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pieces {
    ToWrite = 64 << 10,
    ToRead = 1 << 20,
}

/// Writes of up to so many parts need no allocation.
const PARTS_INLINE: usize = 32;

pub(super) struct Ring {
    file: Rc<File>,
    size: u64,
    /// Where the next bytes go.
    end: u64,
    needs_sync: bool,
    /// Where the bytes lie in the buffer of whoever brings them that are still to be written, one behind the other.
    waiting: Vec<Range<usize>>,
    /// The position of the first of them.
    waiting_at: u64,
    /// What each round gets a file from, if it gets one.
    new_files: Option<NewFiles>,
    /// Where the file begins.
    file_start: u64,
    /// Up to where the file has room.
    room_end: u64,
}

impl Ring {
    pub(super) fn over(file: Rc<File>, size: u64) -> Self {
        Self {
            file,
            size,
            end: 0,
            needs_sync: false,
            waiting: Vec::new(),
            waiting_at: 0,
            new_files: None,
            file_start: 0,
            room_end: 0,
        }
    }

    /// One that begins a new file of such a size with each round.
    pub(super) fn in_new_files(mut files: NewFiles, size: u64) -> Result<Self> {
        let file = files.next()?;
        Ok(Self { new_files: Some(files), ..Self::over(file, size) })
    }

    /// Whether its file can be another log's when this one is gone.
    pub(super) fn can_be_used_again(&self) -> bool {
        self.new_files.is_none()
    }

    /// One whose blocks the file system knows, so that a sync writes data and nothing else.
    pub(super) fn durable(file: Rc<File>) -> Result<Self> {
        lay_out(&file, DURABLE_SIZE, Pieces::ToWrite)?;
        file.sync_all().context("sync")?;
        Ok(Self::over(file, DURABLE_SIZE))
    }

    pub(super) fn file(&self) -> &Rc<File> {
        &self.file
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What lies before this is written over, or in an earlier file.
    pub(super) fn start(&self) -> u64 {
        self.end.saturating_sub(self.size).max(self.file_start)
    }

    /// Where in the file a position lies.
    pub(super) fn place(&self, position: u64) -> u64 {
        position % self.size
    }

    /// Takes in a part of `buffer`, which must not be more than the size, and gives its position. It never
    /// lies across the end of the file. It is written by [`Self::write`], with others that came in one read.
    pub(super) fn put(&mut self, buffer: &[u8], part: Range<usize>) -> Result<u64> {
        let size = part.len() as u64;
        let lap_end = (self.end / self.size + 1) * self.size;
        if self.end + size > lap_end {
            self.write(buffer)?;
            self.end = lap_end;
        }
        if self.is_at_end_of_file() || self.waiting.len() == PARTS_MAX {
            self.write(buffer)?;
        }
        self.prepare(size)?;
        if self.waiting.is_empty() {
            self.waiting_at = self.end;
        }
        self.waiting.push(part);
        let position = self.end;
        self.end += size;
        self.needs_sync = true;
        Ok(position)
    }

    /// Whether it was given something that is still to be written.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes the parts of `buffer` that it was given.
    pub(super) fn write(&mut self, buffer: &[u8]) -> Result<()> {
        let mut position = self.place(self.waiting_at);
        let mut parts: SmallVec<[IoSlice<'_>; PARTS_INLINE]> =
            self.waiting.drain(..).map(|part| IoSlice::new(&buffer[part])).collect();
        let mut rest = &mut parts[..];
        while !rest.is_empty() {
            let written = pwritev(&*self.file, rest, position)?;
            position += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn is_at_end_of_file(&self) -> bool {
        self.end == self.file_start + self.size
    }

    /// In new files: begins the next one and asks for room, as it is due.
    fn prepare(&mut self, coming: u64) -> Result<()> {
        let begins = self.is_at_end_of_file();
        let Some(files) = &mut self.new_files else { return Ok(()) };
        if begins {
            self.file = files.next()?;
            (self.file_start, self.room_end) = (self.end, self.end);
        }
        while self.end + coming > self.room_end {
            let (place, room) = (self.room_end - self.file_start, ROOM.min(self.size));
            fallocate(&*self.file, FallocateFlags::KEEP_SIZE, place, room).context("room")?;
            self.room_end += room;
        }
        Ok(())
    }

    pub(super) fn needs_sync(&self) -> bool {
        self.needs_sync
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> Result<()> {
        fdatasync(&*self.file)?;
        self.end = self.end.next_multiple_of(PAGE);
        self.needs_sync = false;
        Ok(())
    }
}

/// Has the pages of a file, also of one that was used before, as if they had been written in such pieces.
///
/// Measured: a fetch of 64 KiB behind a load of 1 KiB requests cost 0.31 CPU s/GB without this, and 0.22 with it.
pub(super) fn lay_out_anew(file: &File, size: u64, pieces: Pieces) -> Result<()> {
    file.set_len(0)?;
    lay_out(file, size, pieces)
}

/// Writes so many zeros.
fn lay_out(file: &File, size: u64, pieces: Pieces) -> Result<()> {
    let zeros = vec![0; pieces as usize];
    for position in (0..size).step_by(zeros.len()) {
        let count = zeros.len().min(usize::try_from(size - position)?);
        write_all(file, &zeros[..count], position)?;
    }
    Ok(())
}

fn write_all(file: &File, bytes: &[u8], position: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < bytes.len() {
        written += pwrite(file, &bytes[written..], position + written as u64)?;
    }
    Ok(())
}
