//! A file that is written round and round, so that its pages are in memory and its blocks on the
//! disk.
//!
//! A position counts the bytes that ever went by: one byte later than another is written later.

use std::{fs::File, rc::Rc};

use anyhow::{Context, Result};
use rustix::{
    fs::fdatasync,
    io::{Errno, pwrite},
};

/// Large enough for a pass of the fetch load, small enough to stay in memory.
pub(super) const FILE_SIZE: u64 = 256 << 20;

/// What the durable topics share; all of it is written once before it is used.
const DURABLE_SIZE: u64 = 64 << 20;

/// What a disk writes at the least: a sync that ends within a page makes the next one write that
/// page again.
const PAGE: u64 = 4_096;

pub(super) struct Ring {
    file: Rc<File>,
    size: u64,
    /// Where the next bytes go.
    end: u64,
    needs_sync: bool,
}

impl Ring {
    pub(super) fn over(file: Rc<File>, size: u64) -> Self {
        Self { file, size, end: 0, needs_sync: false }
    }

    /// One whose blocks the file system knows, so that a sync writes data and nothing else.
    pub(super) fn durable(file: Rc<File>) -> Result<Self> {
        let zeros = vec![0; 1 << 20];
        for position in (0..DURABLE_SIZE).step_by(zeros.len()) {
            write_all(&file, &zeros, position)?;
        }
        file.sync_all().context("sync")?;
        Ok(Self::over(file, DURABLE_SIZE))
    }

    pub(super) fn file(&self) -> &Rc<File> {
        &self.file
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What lies before this is written over.
    pub(super) fn start(&self) -> u64 {
        self.end.saturating_sub(self.size)
    }

    /// Where in the file a position lies.
    pub(super) fn place(&self, position: u64) -> u64 {
        position % self.size
    }

    /// Writes bytes, which must not be more than the size, and gives their position. They never lie
    /// across the end of the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u64> {
        let lap_end = (self.end / self.size + 1) * self.size;
        if self.end + bytes.len() as u64 > lap_end {
            self.end = lap_end;
        }
        let position = self.end;
        write_all(&self.file, bytes, self.place(position))?;
        self.end += bytes.len() as u64;
        self.needs_sync = true;
        Ok(position)
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

fn write_all(file: &File, bytes: &[u8], position: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < bytes.len() {
        written += pwrite(file, &bytes[written..], position + written as u64)?;
    }
    Ok(())
}
