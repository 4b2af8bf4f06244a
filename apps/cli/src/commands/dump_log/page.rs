//! Where lines go.

use std::{
    fmt,
    io::{self, Write},
};

/// Standard output with a buffer, and standard error, in the order in which they are written.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether what was written last ends a line.
    is_line_ended: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err, is_line_ended: true }
    }

    /// A part of a line.
    pub(super) fn put(&mut self, text: impl fmt::Display) -> io::Result<()> {
        self.is_line_ended = false;
        write!(self.out, "{text}")
    }

    /// A line, or the rest of one.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        self.is_line_ended = true;
        writeln!(self.out, "{text}")
    }

    /// Ends a line that was begun.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if self.is_line_ended { Ok(()) } else { self.line("") }
    }

    /// A line of standard error. That nobody listens there is no reason to stop.
    pub(super) fn aside(&mut self, text: impl fmt::Display) -> io::Result<()> {
        self.flush()?;
        let _ = writeln!(self.err, "{text}");
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
