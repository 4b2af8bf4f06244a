//! The write side of a connection: answers in their order, sent with as few system calls as
//! possible.
//!
//! Consecutive pieces in memory, and file ranges up to `FILE_COPIED_MAX` read into the thread's
//! scratch buffer, leave in one vectored write. A longer file range follows by `sendfile`; what
//! precedes it is sent with the flag that more follows, so that the head of an answer shares a packet
//! with its data. A range that is not in memory is waited for first (`cold`), and what precedes it is
//! not held back for it.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Buf;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use smallvec::SmallVec;
use tokio::{io::Interest, net::TcpStream, task::JoinHandle};

use super::cold;
use crate::{
    Part, Response,
    limits::{
        FILE_COPIED_MAX, FILE_REST_COPIED_MAX, PIECE_OVERHEAD, SENDFILE_MAX, WARM_FOR,
        WRITE_PIECES_MAX,
    },
};

/// Vectored writes up to this many pieces need no allocation.
const PIECES_INLINE: usize = 64;

/// A queue that grew beyond this is replaced when it is empty.
const QUEUE_KEPT: usize = 32;

/// Answers whose turn has come and which the socket has not taken yet.
#[derive(Default)]
pub(crate) struct Output {
    parts: VecDeque<Part>,
    memory_bytes: usize,
    /// If the file range at the front has been sent in part: how much the last write took of it.
    taken: Option<usize>,
    /// How many of its bytes are known to be in memory.
    warm: usize,
    /// If the socket was full since that is known: until when it is believed.
    warm_until: Option<Instant>,
    /// Whether it is known that they are not.
    is_cold: bool,
    /// The read that brings them there.
    cold_read: Option<JoinHandle<()>>,
    /// How many there were.
    cold_reads: u64,
}

/// The next pieces for one vectored write.
struct Gathered {
    pieces: usize,
    bytes: usize,
    next: Next,
}

/// What comes behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing, or something that may be long in coming.
    Later,
    /// More bytes, or a file range of which so many are in memory.
    AtOnce { warm: usize },
}

impl Output {
    pub(crate) fn push(&mut self, response: Response) {
        self.push_part(Part::Bytes(response.head));
        response.parts.into_iter().for_each(|part| self.push_part(part));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What the queue costs in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.parts.len() * PIECE_OVERHEAD
    }

    /// Sends until the queue is empty, the socket is full (pending) or `budget` bytes have gone.
    /// What is sent is taken off `budget`.
    ///
    /// # Errors
    /// The socket's, and `UnexpectedEof` if a file is shorter than an answer promised. The
    /// connection is then of no more use.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &TcpStream,
        scratch: &mut [u8],
        budget: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.parts.is_empty() && *budget > 0 {
            ready!(stream.poll_write_ready(cx))?;
            ready!(self.poll_warm(cx));
            let mut sent = 0;
            let result =
                stream.try_io(Interest::WRITABLE, || self.send(stream, scratch, &mut sent));
            *budget = budget.saturating_sub(sent);
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.parts.is_empty() && self.parts.capacity() > QUEUE_KEPT {
            self.parts = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a read of the disk is under way.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.cold_read.is_some()
    }

    /// How often it had to be waited for since the last call.
    pub(crate) fn take_cold_reads(&mut self) -> u64 {
        std::mem::take(&mut self.cold_reads)
    }

    /// Waits until nothing that is sent next waits for the disk.
    fn poll_warm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.warm_until.is_some_and(|until| Instant::now() > until) {
            self.knows_warm(0);
        }
        let Some(Part::File { file, position, len }) = self.parts.front() else {
            return Poll::Ready(());
        };
        let is_long = *len as usize > self.copied_max(0);
        let len = SENDFILE_MAX.min(*len as usize);
        if self.cold_read.is_none() && self.warm == 0 {
            self.is_cold |= is_long && cold::is_cold(file.as_fd(), *position, len);
            if std::mem::take(&mut self.is_cold) {
                self.cold_read = Some(cold::read(Arc::clone(file), *position, len));
                self.cold_reads += 1;
            } else if is_long {
                self.knows_warm(len);
            }
        }
        if let Some(read) = &mut self.cold_read {
            // What went wrong with it whoever sends the range finds out.
            let _ = ready!(Pin::new(read).poll(cx));
            self.cold_read = None;
            self.knows_warm(len);
        }
        Poll::Ready(())
    }

    fn knows_warm(&mut self, bytes: usize) {
        (self.warm, self.warm_until) = (bytes, None);
    }

    /// The socket is full. If it takes no more for long, memory may be needed for something else meanwhile.
    fn blocked(&mut self) {
        if self.warm > 0 {
            self.warm_until.get_or_insert_with(|| Instant::now() + WARM_FOR);
        }
    }

    /// Up to which size the part at `index`, a file range, is copied. A peer that has not taken it at once
    /// may take little at a time, and then all that is left would be copied each time.
    fn copied_max(&self, index: usize) -> usize {
        match self.taken {
            Some(taken) if index == 0 => taken.clamp(FILE_REST_COPIED_MAX, FILE_COPIED_MAX),
            _ => FILE_COPIED_MAX,
        }
    }

    fn push_part(&mut self, part: Part) {
        if part.size() > 0 {
            self.memory_bytes += part.memory_size();
            self.parts.push_back(part);
        }
    }

    /// One system call. `WouldBlock` means that the socket is full, even if some bytes were sent.
    fn send(&mut self, stream: &TcpStream, scratch: &mut [u8], sent: &mut usize) -> io::Result<()> {
        if let Some(Part::File { file, position, len }) = self.parts.front()
            && *len as usize > self.copied_max(0)
        {
            *sent = send_file(stream, file.as_fd(), *position, *len)?;
            self.advance(*sent);
            return Ok(());
        }
        let gathered = self.gather(scratch)?;
        if gathered.pieces == 0 {
            self.is_cold = true;
            return Ok(());
        }
        *sent = self.send_gathered(stream, scratch, &gathered)?;
        self.advance(*sent);
        if let (Next::AtOnce { warm }, true) = (gathered.next, *sent == gathered.bytes) {
            self.knows_warm(warm);
        }
        // A stream socket takes less than it is given only when it is full.
        if *sent < gathered.bytes { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Finds what goes into one write, and reads the short file ranges among it; nothing if the first
    /// of them is to be waited for.
    fn gather(&self, scratch: &mut [u8]) -> io::Result<Gathered> {
        let mut used = 0;
        let mut gathered = Gathered { pieces: 0, bytes: 0, next: Next::Later };
        for (index, part) in self.parts.iter().enumerate() {
            if index == WRITE_PIECES_MAX {
                // Of a file range it is not known yet.
                if matches!(part, Part::Bytes(_)) {
                    gathered.next = Next::AtOnce { warm: 0 };
                }
                break;
            }
            let size = match part {
                Part::Bytes(bytes) => bytes.len(),
                Part::File { file, position, len } => {
                    let len = *len as usize;
                    if len > self.copied_max(index) {
                        let warm = SENDFILE_MAX.min(len);
                        if !cold::is_cold(file.as_fd(), *position, warm) {
                            gathered.next = Next::AtOnce { warm };
                        }
                        break;
                    }
                    if len > scratch.len() - used {
                        break;
                    }
                    let buffer = &mut scratch[used..used + len];
                    if index == 0 && self.warm > 0 {
                        cold::read_waiting(file.as_fd(), buffer, *position)?;
                    } else if !cold::read_now(file.as_fd(), buffer, *position)? {
                        break;
                    }
                    used += len;
                    len
                }
            };
            gathered.pieces += 1;
            gathered.bytes += size;
        }
        Ok(gathered)
    }

    fn send_gathered(
        &self,
        stream: &TcpStream,
        scratch: &[u8],
        gathered: &Gathered,
    ) -> io::Result<usize> {
        let mut unused = scratch;
        // Not collected: what is inline would be moved, all of it.
        let mut slices = SmallVec::<[IoSlice<'_>; PIECES_INLINE]>::new();
        for part in self.parts.iter().take(gathered.pieces) {
            slices.push(match part {
                Part::Bytes(bytes) => IoSlice::new(bytes),
                Part::File { len, .. } => {
                    let (piece, rest) = unused.split_at(*len as usize);
                    unused = rest;
                    IoSlice::new(piece)
                }
            });
        }
        let mut flags = SendFlags::NOSIGNAL;
        if gathered.next != Next::Later {
            flags |= SendFlags::MORE;
        }
        Ok(sendmsg(stream, &slices, &mut SendAncillaryBuffer::default(), flags)?)
    }

    /// Takes `sent` bytes off the front of the queue.
    fn advance(&mut self, mut sent: usize) {
        while sent > 0 {
            let part = self.parts.front_mut().expect("no more is sent than was queued");
            let size = usize::try_from(part.size()).unwrap_or(usize::MAX);
            let taken = size.min(sent);
            sent -= taken;
            self.warm = self.warm.saturating_sub(taken);
            match part {
                Part::Bytes(bytes) => {
                    self.memory_bytes -= taken;
                    bytes.advance(taken);
                }
                Part::File { position, len, .. } => {
                    *position += taken as u64;
                    *len -= u32::try_from(taken).expect("at most the length of the part");
                    self.taken = Some(taken);
                }
            }
            if taken == size {
                self.parts.pop_front();
                self.taken = None;
                self.knows_warm(0);
            }
        }
    }
}

impl Drop for Output {
    /// What nobody waits for any more is not read, unless that has begun.
    fn drop(&mut self) {
        if let Some(read) = &self.cold_read {
            read.abort();
        }
    }
}

fn send_file(
    stream: &TcpStream,
    file: BorrowedFd<'_>,
    position: u64,
    len: u32,
) -> io::Result<usize> {
    let mut position = position;
    match rustix::fs::sendfile(stream, file, Some(&mut position), SENDFILE_MAX.min(len as usize))? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        sent => Ok(sent),
    }
}

#[cfg(test)]
mod tests;
