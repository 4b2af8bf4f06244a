//! A connection's bytes: requests in one buffer that is used again and again, answers in another,
//! with pieces of files between them.

use std::{
    cell::RefCell, collections::VecDeque, fs::File, io, mem, net::TcpStream, ops::Range, rc::Rc,
};

use anyhow::{Result, bail};
use dohle_protocol::{
    ApiKey, Message, Writer, api::request_header::RequestHeader, encode_response,
};
use rustix::{
    buffer::spare_capacity,
    fs::sendfile,
    io::{Errno, pread},
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::poller::EventFlags;

/// What one read may bring: half a second-level cache, so that bytes are still in it when their
/// checksum is taken. Grows for larger requests.
const WINDOW: usize = 512 << 10;

/// What the first may bring: a connection that is silent behind its first request costs no more.
const WINDOW_FIRST: usize = 512;

/// Bytes of a request's size.
const PREFIX: usize = 4;

/// As Kafka's `socket.request.max.bytes`.
const REQUEST_SIZE_MAX: usize = 100 << 20;

/// Up to so many bytes of a file are copied, so that an answer is one write; more is sent by the system.
/// Measured with four connections, sendfile and copy: 64 KiB 38 and 29 µs a fetch, 128 KiB 44 and 54.
const COPIED_MAX: usize = 64 << 10;

/// As long as what follows the records of an answer, or longer.
const BEHIND_RECORDS: usize = 16;

/// A range of a file that goes out as it is.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) file: Rc<File>,
    pub(super) position: u64,
    pub(super) size: usize,
}

pub(super) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is received and not handled.
    pending: Range<usize>,
    output: Output,
    /// Whether it was asked to be told when the socket takes more.
    waits_for_room: bool,
}

impl Connection {
    /// Connections share a `spare`.
    pub(super) fn new(socket: TcpStream, spare: &Spare) -> Self {
        let output = Output { spare: Rc::clone(spare), ..Output::default() };
        let buffer = vec![0; WINDOW_FIRST];
        Self { socket, buffer, pending: 0..0, output, waits_for_room: false }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads once; `false` if the peer has closed.
    pub(super) fn read(&mut self) -> Result<bool> {
        if self.pending.is_empty() {
            self.pending = 0..0;
        }
        let room = &mut self.buffer[self.pending.end..];
        match recv(&self.socket, room, RecvFlags::empty()) {
            Ok((0, _)) => Ok(false),
            Ok((count, _)) => {
                self.pending.end += count;
                if self.pending.end == self.buffer.len() && self.buffer.len() < WINDOW {
                    self.buffer.resize(WINDOW, 0);
                }
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(true),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Where in the buffer the next whole request is, without its size.
    pub(super) fn next_frame(&mut self) -> Result<Option<Range<usize>>> {
        let needed = self.needed();
        if needed > REQUEST_SIZE_MAX {
            bail!("a request of {needed} bytes");
        }
        if needed == PREFIX || self.pending.len() < needed {
            return Ok(None);
        }
        let start = self.pending.start;
        self.pending.start += needed;
        Ok(Some(start + PREFIX..start + needed))
    }

    /// Makes room for the rest of the request that has begun, when nobody needs those before it any more.
    pub(super) fn make_room(&mut self) {
        let needed = self.needed();
        if self.pending.start + needed > self.buffer.len() {
            self.buffer.copy_within(self.pending.clone(), 0);
            self.pending = 0..self.pending.len();
            let size = self.buffer.len().max(needed);
            self.buffer.resize(size, 0);
        }
    }

    /// Size of the request that has begun; at least that of its size.
    fn needed(&self) -> usize {
        match self.buffer[self.pending.clone()].first_chunk() {
            None => PREFIX,
            Some(size) => PREFIX + u32::from_be_bytes(*size) as usize,
        }
    }

    /// What was received.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// What was received, and where answers go.
    pub(super) fn buffers(&mut self) -> (&mut [u8], &mut Vec<u8>) {
        (&mut self.buffer, &mut self.output.tail)
    }

    /// Answers with a message.
    pub(super) fn answer<M: Message>(
        &mut self,
        key: ApiKey,
        request: &RequestHeader,
        response: &M,
    ) -> Result<()> {
        let mut w = Writer::new();
        let version = request.request_api_version;
        encode_response(&mut w, key, version, request.correlation_id, response)?;
        self.output.tail.extend_from_slice(&w.into_bytes());
        Ok(())
    }

    /// Answers with encoded bytes and with those of a file, if there are any, where the writer has
    /// left a gap.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn put(&mut self, answer: Writer, file: Option<&Slice>) -> io::Result<()> {
        let (bytes, splices) = answer.into_parts();
        let mut from = 0;
        for (splice, slice) in splices.iter().zip(file) {
            self.output.tail.extend_from_slice(&bytes[from..splice.at]);
            if slice.size <= COPIED_MAX {
                self.output.copy_file(slice)?;
            } else {
                self.output.push_file(slice.clone());
            }
            from = splice.at;
        }
        self.output.tail.extend_from_slice(&bytes[from..]);
        Ok(())
    }

    /// Sends what the socket takes; gives what to wait for from now on, if that has changed.
    pub(super) fn flush(&mut self) -> Result<Option<EventFlags>> {
        let blocked = !self.output.send(&self.socket)?;
        if blocked == self.waits_for_room {
            return Ok(None);
        }
        self.waits_for_room = blocked;
        Ok(Some(if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }))
    }
}

/// A buffer for whoever sends pieces of files, still in cache from the one before.
pub(super) type Spare = Rc<RefCell<Vec<u8>>>;

/// Bytes and pieces of files in the order in which they leave.
#[derive(Default)]
struct Output {
    queue: VecDeque<Piece>,
    /// Behind the queue; stays allocated.
    tail: Vec<u8>,
    tail_sent: usize,
    spare: Spare,
}

enum Piece {
    Bytes { bytes: Vec<u8>, sent: usize },
    File(Slice),
}

impl Output {
    fn push_file(&mut self, slice: Slice) {
        if self.tail_sent < self.tail.len() {
            let (bytes, sent) = (mem::take(&mut self.tail), mem::take(&mut self.tail_sent));
            self.queue.push_back(Piece::Bytes { bytes, sent });
        }
        self.queue.push_back(Piece::File(slice));
    }

    /// Puts the bytes themselves behind what there is.
    fn copy_file(&mut self, slice: &Slice) -> io::Result<()> {
        let mut spare = self.spare.borrow_mut();
        if spare.capacity() > self.tail.capacity() {
            spare.extend_from_slice(&self.tail);
            mem::swap(&mut *spare, &mut self.tail);
            spare.clear();
        }
        let (start, end) = (self.tail.len(), self.tail.len() + slice.size);
        // Exactly: what there is room for is read.
        self.tail.reserve_exact(slice.size + BEHIND_RECORDS);
        while self.tail.len() < end {
            let position = slice.position + (self.tail.len() - start) as u64;
            if pread(&*slice.file, spare_capacity(&mut self.tail), position)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.tail.truncate(end);
        Ok(())
    }

    /// Whether all is sent; if not, the socket is full.
    fn send(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while let Some(piece) = self.queue.front_mut() {
            let done = match piece {
                // A file follows: its first bytes share a packet with these.
                Piece::Bytes { bytes, sent } => send_some(socket, bytes, sent, SendFlags::MORE)?,
                Piece::File(slice) => send_file(socket, slice)?,
            };
            if !done {
                return Ok(false);
            }
            self.queue.pop_front();
        }
        let done = send_some(socket, &self.tail, &mut self.tail_sent, SendFlags::empty())?;
        if done {
            self.tail.clear();
            self.tail_sent = 0;
            let mut spare = self.spare.borrow_mut();
            if self.tail.capacity() > spare.capacity() {
                mem::swap(&mut *spare, &mut self.tail);
            }
        }
        Ok(done)
    }
}

fn send_some(
    socket: &TcpStream,
    bytes: &[u8],
    sent: &mut usize,
    flags: SendFlags,
) -> io::Result<bool> {
    while *sent < bytes.len() {
        match send(socket, &bytes[*sent..], flags | SendFlags::NOSIGNAL) {
            Ok(count) => *sent += count,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn send_file(socket: &TcpStream, slice: &mut Slice) -> io::Result<bool> {
    while slice.size > 0 {
        match sendfile(socket, &*slice.file, Some(&mut slice.position), slice.size) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => slice.size -= count,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
