//! A connection's bytes: requests in a window that connections share between whole requests, and answers.

use std::{io, net::TcpStream, ops::Range};

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
/// checksum is taken. Grows for larger requests.
const WINDOW: usize = 512 << 10;

/// What the first may bring: a connection that is silent behind its first request costs no more.
const WINDOW_FIRST: usize = 512;

/// Bytes of a request's size.
const PREFIX: usize = 4;

/// As Kafka's `socket.request.max.bytes`.
const REQUEST_SIZE_MAX: usize = 100 << 20;

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
        let output = Output::new(spare);
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
