//! Answers cut out of what a socket holds, in one buffer that is used again and again.
//!
//! An answer is lent as `Bytes`, so that the real decoders can slice it; when the last slice is
//! dropped, the buffer is whole again without a copy.

use std::{io, mem, os::fd::AsFd};

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use rustix::net::{RecvFlags, recv};

/// What one read may bring at first; grows to the largest answer seen.
const SIZE_FIRST: usize = 64 << 10;

/// No load asks for more.
const ANSWER_SIZE_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    filled: usize,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// All that the socket held.
    All,
    /// As much as there was room for; there may be more.
    Some,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::zeroed(SIZE_FIRST), filled: 0 }
    }

    /// Reads once.
    ///
    /// # Errors
    /// A socket that failed or that the peer closed.
    pub(crate) fn read(&mut self, socket: impl AsFd) -> Result<Arrived> {
        let room = &mut self.buffer[self.filled..];
        let wanted = room.len();
        match recv(socket, room, RecvFlags::DONTWAIT) {
            Ok((0, _)) if wanted > 0 => bail!("the broker closed the connection"),
            Ok((count, _)) => {
                self.filled += count;
                Ok(if count < wanted { Arrived::All } else { Arrived::Some })
            }
            Err(rustix::io::Errno::AGAIN) => Ok(Arrived::All),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Lends every whole answer to `look`, without its size, and keeps what is behind them.
    pub(crate) fn each(&mut self, mut look: impl FnMut(Bytes) -> Result<()>) -> Result<()> {
        let whole = mem::take(&mut self.buffer).freeze();
        let mut start = 0;
        let needed = loop {
            let rest = &whole[start..self.filled];
            let Some(size) = rest.first_chunk() else { break 4 };
            let size = u32::from_be_bytes(*size) as usize;
            if size > ANSWER_SIZE_MAX {
                bail!("an answer of {size} bytes");
            }
            if rest.len() < 4 + size {
                break 4 + size;
            }
            look(whole.slice(start + 4..start + 4 + size))?;
            start += 4 + size;
        };
        // Whoever kept a slice pays with a copy; no load does.
        self.buffer = whole.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
