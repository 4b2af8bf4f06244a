//! What a connection sends: bytes, with pieces of files between them, in the order in which they leave.

use std::{cell::RefCell, collections::VecDeque, fs::File, io, mem, net::TcpStream, rc::Rc};

use rustix::{
    fs::sendfile,
    io::{Errno, pread},
    net::{SendFlags, send},
};

/// Up to so many bytes of a file are copied, so that an answer is one write; more is sent by the system.
/// Measured with four connections, sendfile and copy: 64 KiB 38 and 29 µs a fetch, 128 KiB 44 and 54.
const COPIED_MAX: usize = 64 << 10;

/// A range of a file that goes out as it is.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) file: Rc<File>,
    pub(super) position: u64,
    pub(super) size: usize,
}

/// A buffer for whoever sends, still in cache from the one before.
pub(super) type Spare = Rc<RefCell<Vec<u8>>>;

#[derive(Default)]
pub(super) struct Output {
    /// Never shrinks: to make bytes that are written over anyway zero would cost as much as a checksum.
    buffer: Vec<u8>,
    filled: usize,
    sent: usize,
    /// Before which byte they leave.
    files: VecDeque<(usize, Slice)>,
    spare: Spare,
}

impl Output {
    /// Those that are given the same `spare` share it.
    pub(super) fn new(spare: &Spare) -> Self {
        Self { spare: Rc::clone(spare), ..Self::default() }
    }

    /// The next `size` bytes, whatever is in them. They leave when [`Self::put`] says how many of them are written.
    pub(super) fn room(&mut self, size: usize) -> &mut [u8] {
        let end = self.filled + size;
        if end > self.buffer.len() {
            self.grow(end);
        }
        &mut self.buffer[self.filled..end]
    }

    fn grow(&mut self, size: usize) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < size {
            spare.resize(size, 0);
        }
        spare[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        mem::swap(&mut *spare, &mut self.buffer);
    }

    pub(super) fn put(&mut self, size: usize) {
        self.filled += size;
    }

    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.put(bytes.len());
    }

    /// Puts a piece of a file behind what there is.
    ///
    /// # Errors
    /// A file that cannot be read, or ends too soon.
    pub(super) fn put_file(&mut self, slice: Slice) -> io::Result<()> {
        if slice.size > COPIED_MAX {
            self.files.push_back((self.filled, slice));
            return Ok(());
        }
        let mut room = self.room(slice.size);
        let mut position = slice.position;
        while !room.is_empty() {
            let count = pread(&*slice.file, &mut *room, position)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            position += count as u64;
            room = &mut room[count..];
        }
        self.put(slice.size);
        Ok(())
    }

    /// Whether all is sent; if not, the socket is full.
    pub(super) fn send(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while let Some((at, slice)) = self.files.front_mut() {
            // A file follows: its first bytes share a packet with these.
            let done = send_some(socket, &self.buffer[..*at], &mut self.sent, SendFlags::MORE)?
                && send_file(socket, slice)?;
            if !done {
                return Ok(false);
            }
            self.files.pop_front();
        }
        let bytes = &self.buffer[..self.filled];
        let done = send_some(socket, bytes, &mut self.sent, SendFlags::empty())?;
        if done {
            (self.filled, self.sent) = (0, 0);
            let mut spare = self.spare.borrow_mut();
            if self.buffer.len() > spare.len() {
                mem::swap(&mut *spare, &mut self.buffer);
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
