//! A line on the terminal that says how far long work is, and is written over.
//!
//! It is for work whose records do not go to the same terminal; without a terminal there is none.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::say;

/// How often it is shown. Faster cannot be read.
const INTERVAL: Duration = Duration::from_millis(200);

/// Work that ends sooner needs none.
const AFTER: Duration = Duration::from_secs(1);

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// How far work with records is.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    shown: Option<Instant>,
    /// All bytes that there are, if that is known.
    bytes_total: Option<u64>,
    is_terminal: bool,
}

impl Progress {
    /// Of work that begins now.
    pub(crate) fn new(bytes_total: Option<u64>) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { begun: Instant::now(), shown: None, bytes_total, is_terminal }
    }

    /// Says how far it is, if that is worth it yet.
    pub(crate) fn show(&mut self, done: Amount) {
        let now = Instant::now();
        let is_early = now - self.begun < AFTER;
        if !self.is_terminal || is_early || self.shown.is_some_and(|last| now - last < INTERVAL) {
            return;
        }
        self.shown = Some(now);
        draw(line(done, self.bytes_total, now - self.begun));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            draw("");
        }
    }
}

/// Puts a line in the place of the one before. Nobody needs to see it.
fn draw(line: impl Display) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}

fn line(done: Amount, bytes_total: Option<u64>, time: Duration) -> String {
    let per_second = done.bytes / time.as_secs().max(1);
    let share = match bytes_total {
        Some(total) if total > 0 => format!("{} %, ", done.bytes.saturating_mul(100) / total),
        _ => String::new(),
    };
    let (records, bytes) = (say::count(done.records, "record"), say::size(done.bytes));
    format!("{share}{records}, {bytes}, {}/s", say::size(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_and_how_fast() {
        let done = Amount { records: 300, bytes: 3_000_000 };
        let time = Duration::from_millis(2_500);
        assert_eq!(line(done, None, time), "300 records, 3.0 MB, 1.5 MB/s");
        assert_eq!(line(done, Some(4_000_000), time), "75 %, 300 records, 3.0 MB, 1.5 MB/s");
        assert_eq!(line(Amount::default(), Some(0), time), "0 records, 0 B, 0 B/s");
    }
}
