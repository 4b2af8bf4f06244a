//! Lines of an input, read by a thread of their own: reading a terminal or a pipe blocks, and what is
//! under way must go on meanwhile.
//!
//! A line ends with `\n`, which does not belong to it; the last one may lack it. Everything else is
//! left as it is.

use std::{
    io::{self, ErrorKind, Read},
    mem,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

/// How much is asked for at once.
const READ_SIZE: usize = 64 * 1024;

/// Batches of lines that wait for the producer: so much is read ahead, not more.
const BATCHES_MAX: usize = 4;

/// The longest line. No broker takes a longer record by default, so it is most likely not text.
const LINE_SIZE_MAX: usize = 64 * 1024 * 1024;

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Which one, from 1.
    pub(super) number: u64,
    /// Its bytes.
    pub(super) text: Bytes,
}

/// The lines of an input.
#[derive(Debug)]
pub(super) struct Lines {
    batches: mpsc::Receiver<io::Result<Vec<Line>>>,
}

impl Lines {
    /// Reads `input` to its end, ahead of whoever takes the lines.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn read(input: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let reading = move || {
            let mut splitter = Splitter::new(input);
            while let Some(batch) = splitter.next_batch().transpose() {
                let is_error = batch.is_err();
                if sender.blocking_send(batch).is_err() || is_error {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("input".into()).spawn(reading)?;
        Ok(Self { batches })
    }

    /// The lines that came next; none at the end. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Option<io::Result<Vec<Line>>> {
        self.batches.recv().await
    }
}

/// Cuts what is read into lines.
struct Splitter<R> {
    input: R,
    /// What was read and holds no whole line.
    rest: BytesMut,
    number: u64,
    is_at_end: bool,
}

impl<R: Read> Splitter<R> {
    fn new(input: R) -> Self {
        Self { input, rest: BytesMut::new(), number: 0, is_at_end: false }
    }

    /// All whole lines of what is read next, at least one; none at the end.
    fn next_batch(&mut self) -> io::Result<Option<Vec<Line>>> {
        while !self.is_at_end {
            let searched = self.rest.len();
            if searched > LINE_SIZE_MAX {
                let fault = format!("line {} exceeds {LINE_SIZE_MAX} bytes", self.number + 1);
                return Err(io::Error::new(ErrorKind::InvalidData, fault));
            }
            self.rest.resize(searched + READ_SIZE, 0);
            let read = loop {
                match self.input.read(&mut self.rest[searched..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.rest.truncate(searched + read.as_ref().copied().unwrap_or(0));
            self.is_at_end = read? == 0;
            let lines = self.whole_lines(searched);
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        let last = mem::take(&mut self.rest);
        Ok((!last.is_empty()).then(|| vec![self.line(last)]))
    }

    /// Takes the lines whose ends lie behind what was searched before.
    fn whole_lines(&mut self, mut searched: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
            let mut line = self.rest.split_to(searched + end + 1);
            line.truncate(searched + end);
            lines.push(self.line(line));
            searched = 0;
        }
        lines
    }

    fn line(&mut self, text: BytesMut) -> Line {
        self.number += 1;
        Line { number: self.number, text: text.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of this size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    fn lines(input: &[u8], piece: usize) -> Vec<String> {
        let mut splitter = Splitter::new(Pieces(input, piece));
        let mut lines = Vec::new();
        while let Some(batch) = splitter.next_batch().unwrap() {
            assert!(!batch.is_empty());
            for line in batch {
                assert_eq!(line.number, lines.len() as u64 + 1);
                lines.push(String::from_utf8(line.text.to_vec()).unwrap());
            }
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let rows: [(&[u8], &[&str]); 6] = [
            (b"", &[]),
            (b"\n", &[""]),
            (b"a", &["a"]),
            (b"a\nbc\n", &["a", "bc"]),
            (b"a\n\n\nb", &["a", "", "", "b"]),
            (b"one\r\ntwo\rthree\n", &["one\r", "two\rthree"]),
        ];
        for (input, expected) in rows {
            for piece in 1..=input.len().max(1) {
                assert_eq!(lines(input, piece), expected, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_line_longer_than_a_read_is_one() {
        let long = [vec![b'x'; 3 * READ_SIZE], b"\ny".to_vec()].concat();
        let lines = lines(&long, READ_SIZE);
        assert_eq!((lines.len(), lines[0].len(), lines[1].as_str()), (2, 3 * READ_SIZE, "y"));
    }

    #[test]
    fn an_input_without_lines_does_not_fill_the_memory() {
        let mut splitter = Splitter::new(io::repeat(b'x'));
        let error = splitter.next_batch().unwrap_err();
        assert_eq!(error.to_string(), "line 1 exceeds 67108864 bytes");
    }
}
