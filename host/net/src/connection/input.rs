//! The read side of a connection: from a stream of bytes to whole frames.
//!
//! ```text
//!  ┌────────────┬───────────────┬────────────┬──────────
//!  │ length i32 │ frame         │ length i32 │ frame …      big endian, length excludes itself
//!  └────────────┴───────────────┴────────────┴──────────
//! ```
//!
//! A connection borrows a window from its thread while it reads. What is left of an unfinished
//! frame stays in a buffer that is at most [`GROWTH_FACTOR`] times as large as what has arrived,
//! unless it is one of the few windows that a thread leaves with its connections. Frames are slices
//! of the buffer and are not copied.

use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    buffers::{Buffer, Buffers},
    limits::{GROWTH_FACTOR, HEAD_BYTES, REST_COPIED_MAX, WINDOW_BYTES},
};

const PREFIX_BYTES: usize = 4;

/// Bytes received and not yet handed out as frames.
pub(crate) struct Input {
    pool: Rc<RefCell<Buffers>>,
    /// None between turns, unless a frame is unfinished.
    buffer: Option<Buffer>,
    frame_bytes_max: usize,
    /// Size of the last frame with its prefix: the best guess for the next.
    frame_bytes_last: usize,
}

/// A length that no frame may have. What follows it cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) i32);

impl Input {
    /// With `rest` already received.
    pub(crate) fn new(pool: Rc<RefCell<Buffers>>, frame_bytes_max: usize, rest: &[u8]) -> Self {
        let buffer = (!rest.is_empty()).then(|| Buffer::copied(rest));
        Self { pool, buffer, frame_bytes_max, frame_bytes_last: 0 }
    }

    /// Takes a copy of everything received and not handed out.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        let rest = self.buffer.as_ref().map(|buffer| Bytes::copy_from_slice(&buffer.bytes));
        self.discard();
        rest.unwrap_or_default()
    }

    /// Takes the next whole frame off the received bytes, without its prefix.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, BadLength> {
        let Some(total) = self.frame_size()? else { return Ok(None) };
        let Some(buffer) = self.buffer.as_mut().filter(|buffer| buffer.bytes.len() >= total) else {
            return Ok(None);
        };
        buffer.bytes.advance(PREFIX_BYTES);
        self.frame_bytes_last = total;
        Ok(Some(buffer.bytes.split_to(total - PREFIX_BYTES).freeze()))
    }

    /// The frame that [`Self::next_frame`] has to give, if it has.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        let total = self.frame_size().ok()??;
        self.buffer.as_ref()?.bytes.get(PREFIX_BYTES..total)
    }

    /// Whether [`Self::next_frame`] has a frame or an error to give.
    pub(crate) fn is_ready(&self) -> bool {
        match self.frame_size() {
            Ok(Some(total)) => self.held() >= total,
            Ok(None) => false,
            Err(BadLength(_)) => true,
        }
    }

    /// Reads once, at most a window, or the rest of a frame that is hardly longer. No bytes mean that the peer has closed its side.
    ///
    /// A read that does not fill its room empties the socket, of which the runtime takes note: the
    /// next call then waits for news without a system call.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<io::Result<usize>> {
        if stream.poll_read_ready(cx)?.is_pending() {
            return Poll::Pending;
        }
        let (buffer, limit) = self.room();
        let mut limited = (&mut buffer.bytes).limit(limit);
        pin!(stream.read_buf(&mut limited)).poll(cx)
    }

    /// Forgets everything received and not handed out.
    pub(crate) fn discard(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.bytes.clear();
        }
    }

    /// Parts with the buffer at the end of a turn, as far as no unfinished frame needs it.
    pub(crate) fn settle(&mut self) {
        let Some(mut buffer) = self.buffer.take() else { return };
        let held = buffer.bytes.len();
        let mut pool = self.pool.borrow_mut();
        if held == 0 {
            pool.give(buffer);
        } else if buffer.size <= GROWTH_FACTOR * held {
            pool.release(&mut buffer);
            self.buffer = Some(buffer);
        } else if held > REST_COPIED_MAX && pool.may_keep(&mut buffer) {
            self.buffer = Some(buffer);
        } else {
            self.buffer = Some(Buffer::copied(&buffer.bytes));
            pool.give(buffer);
        }
    }

    /// Bytes received and not handed out.
    pub(crate) fn held(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes.len())
    }

    /// Size of the first frame with its prefix, as soon as its prefix is there.
    fn frame_size(&self) -> Result<Option<usize>, BadLength> {
        let prefix = self.buffer.as_ref().and_then(|buffer| buffer.bytes.first_chunk());
        let Some(&prefix) = prefix else { return Ok(None) };
        let length = i32::from_be_bytes(prefix);
        match usize::try_from(length) {
            Ok(size) if size <= self.frame_bytes_max => Ok(Some(size + PREFIX_BYTES)),
            _ => Err(BadLength(length)),
        }
    }

    /// Where the next bytes go, and how many may be read at most.
    fn room(&mut self) -> (&mut Buffer, usize) {
        let frame = self.frame_size().ok().flatten();
        let held = self.held();
        let buffer = self.make_room(held, frame);
        let room = buffer.bytes.capacity() - held;
        let limit = match frame {
            // No further than its end, so that no next frame begins in a buffer made for this one.
            Some(total) if total > WINDOW_BYTES => match total - held {
                rest if rest <= WINDOW_BYTES + HEAD_BYTES => rest,
                _ => WINDOW_BYTES,
            },
            _ => WINDOW_BYTES,
        };
        (buffer, limit.min(room))
    }

    /// A buffer that begins with the bytes held and has room for more of them.
    fn make_room(&mut self, held: usize, frame: Option<usize>) -> &mut Buffer {
        let mut pool = self.pool.borrow_mut();
        let size = wanted_size(held, frame);
        let fits = self.buffer.as_mut().is_some_and(|buffer| {
            let enough = match frame {
                // A large frame uses up its room before it is copied to a larger one.
                Some(total) if total > WINDOW_BYTES => 1,
                Some(total) => total - held,
                None => PREFIX_BYTES,
            };
            buffer.size >= size && buffer.bytes.try_reclaim(size - held)
                || buffer.bytes.capacity() - held >= enough
        });
        if !fits {
            let guess = if held == 0 { self.frame_bytes_last } else { 0 };
            let pooled = if guess > WINDOW_BYTES { pool.take_pooled(guess) } else { None };
            let mut larger = pooled.unwrap_or_else(|| pool.take(size));
            if let Some(buffer) = self.buffer.take() {
                larger.bytes.extend_from_slice(&buffer.bytes);
                pool.give(buffer);
            }
            self.buffer = Some(larger);
        }
        self.buffer.as_mut().expect("just made if it was not there")
    }
}

/// How large a buffer may be for `held` bytes of a frame of the claimed size.
fn wanted_size(held: usize, frame: Option<usize>) -> usize {
    match frame {
        Some(total) => total.min(GROWTH_FACTOR * held).max(WINDOW_BYTES),
        None => WINDOW_BYTES,
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.borrow_mut().give(buffer);
        }
    }
}

#[cfg(test)]
mod tests;
