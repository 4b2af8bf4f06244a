//! A connection's bytes: requests in a window that connections share between whole requests, and answers.

use std::{cell::RefCell, io, mem, net::TcpStream, ops::Range, rc::Rc};

use anyhow::{Result, bail};
use dohle_protocol::{
    ApiKey, Message, Writer, api::request_header::RequestHeader, encode_response,
};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::output::{Output, Spare};
use crate::poller::EventFlags;

/// What one read may bring: half a second-level cache, so that bytes are still in it when their
/// checksum is taken. A window grows for larger requests.
const WINDOW: usize = 512 << 10;

/// Bytes of a request's size.
const PREFIX: usize = 4;

/// As Kafka's `socket.request.max.bytes`.
const REQUEST_SIZE_MAX: usize = 100 << 20;

/// Windows that no connection has.
pub(super) type Windows = Rc<RefCell<Vec<Vec<u8>>>>;

pub(super) struct Connection {
    socket: TcpStream,
    /// None between whole requests.
    buffer: Vec<u8>,
    /// Who needs none leaves it here, the one that is most in cache last.
    windows: Windows,
    /// What of the buffer is received and not handled.
    pending: Range<usize>,
    output: Output,
    /// Whether it was asked to be told when the socket takes more.
    waits_for_room: bool,
}

impl Connection {
    /// Connections share `windows` and a `spare`.
    pub(super) fn new(socket: TcpStream, windows: &Windows, spare: &Spare) -> Self {
        let (buffer, windows, output) = (Vec::new(), Rc::clone(windows), Output::new(spare));
        Self { socket, buffer, windows, pending: 0..0, output, waits_for_room: false }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads, and goes on until a request is whole or nothing is there; `false` if the peer has closed.
    ///
    /// Measured with four connections of five requests in flight, CPU of the floor in s/GB: one read at a time makes a
    /// megabyte cost 0.25 to 0.39 and this 0.20 to 0.23, for the windows of all connections that have begun one do not
    /// fit into the cache; 64 KiB cost 0.17 either way, and 0.18 with a window for each connection.
    pub(super) fn read(&mut self) -> Result<bool> {
        if self.buffer.is_empty() {
            let window = self.windows.borrow_mut().pop();
            self.buffer = window.unwrap_or_else(|| vec![0; WINDOW]);
        }
        while self.pending.len() < self.needed() {
            let end = self.buffer.len().min(self.pending.end + WINDOW);
            let room = &mut self.buffer[self.pending.end..end];
            match recv(&self.socket, room, RecvFlags::empty()) {
                Ok((0, _)) => return Ok(false),
                Ok((count, _)) => self.pending.end += count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if self.needed() > REQUEST_SIZE_MAX {
                bail!("a request of {} bytes", self.needed());
            }
            self.make_room();
        }
        Ok(true)
    }

    /// Where in the buffer the next whole request is, without its size.
    pub(super) fn next_frame(&mut self) -> Option<Range<usize>> {
        let needed = self.needed();
        if needed == PREFIX || self.pending.len() < needed {
            return None;
        }
        let start = self.pending.start;
        self.pending.start += needed;
        Some(start + PREFIX..start + needed)
    }

    /// Leaves the window to others if no request has begun, when nobody needs those before any more.
    pub(super) fn leave_window(&mut self) {
        if self.pending.is_empty() {
            self.pending = 0..0;
            self.windows.borrow_mut().push(mem::take(&mut self.buffer));
        } else {
            self.make_room();
        }
    }

    /// Makes room for the rest of the request that has begun.
    fn make_room(&mut self) {
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
    pub(super) fn buffers(&mut self) -> (&mut [u8], &mut Output) {
        (&mut self.buffer, &mut self.output)
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
        self.output.put_bytes(&w.into_bytes());
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
