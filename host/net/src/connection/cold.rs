//! Reads of what is not in memory, kept off the network threads.
//!
//! To send such a range waits for the disk, and with it every connection of its thread: a consumer
//! that reads yesterday's records would hold up producers. So a short range is read only if that
//! needs no waiting, a long one is looked at before `sendfile`, and if the disk is to be waited for
//! another thread does it.
//!
//! ```text
//!  range ──▶ in memory? ──yes──▶ sent
//!               └──no──▶ read by a thread of the pool ──▶ the connection is woken ──▶ sent
//! ```
//!
//! What was read leaves memory again only if the system is short of it: then the thread waits after
//! all.

use std::{
    cell::Cell,
    io::{self, IoSliceMut},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::limits::{COLD_PROBE_BYTES, COLD_READ_BYTES};

thread_local! {
    /// Counts the looks.
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

/// Whether some of the range is not in memory, as far as a byte of each part tells. A file system
/// that does not tell has all of it there.
///
/// Each look goes to another place, and to two of them before it says yes: a look that finds nothing
/// makes the system read just there, and whoever else appends may be in the way of one.
pub(super) fn is_cold(file: BorrowedFd<'_>, position: u64, len: usize) -> bool {
    (0..len).step_by(COLD_PROBE_BYTES).any(|start| {
        let size = COLD_PROBE_BYTES.min(len - start);
        (0..2).all(|_| is_missing(file, position + (start + another_place(size)) as u64))
    })
}

fn another_place(size: usize) -> usize {
    let look = LOOKS.get().wrapping_add(1);
    LOOKS.set(look);
    // Spread evenly. Source: Fibonacci hashing.
    (look.wrapping_mul(0x9E37_79B1) >> 8) as usize % size
}

/// How many looks this thread has made.
#[cfg(test)]
pub(super) fn looks() -> u32 {
    LOOKS.get()
}

fn is_missing(file: BorrowedFd<'_>, position: u64) -> bool {
    let mut byte = [0];
    let mut buffer = [IoSliceMut::new(&mut byte)];
    preadv2(file, &mut buffer, position, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
}

/// Fills the buffer, if that needs no waiting; `false` if it does.
///
/// # Errors
/// The file's, and `UnexpectedEof` if it is too short.
pub fn read_now(file: BorrowedFd<'_>, buffer: &mut [u8], position: u64) -> io::Result<bool> {
    let now = ReadWriteFlags::NOWAIT;
    let read = retry_on_intr(|| preadv2(file, &mut [IoSliceMut::new(buffer)], position, now));
    match read {
        Ok(read) if read == buffer.len() => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => read_waiting(file, buffer, position).map(|()| true),
        Ok(_) | Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Fills the buffer.
///
/// # Errors
/// As `read_now`.
pub(super) fn read_waiting(
    file: BorrowedFd<'_>,
    mut buffer: &mut [u8],
    mut position: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = retry_on_intr(|| pread(file, &mut *buffer, position))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        position += read as u64;
    }
    Ok(())
}

/// Reads the range into memory, on another thread. If that fails, so does what comes after it.
pub(super) fn read(file: impl AsFd + Send + 'static, position: u64, len: usize) -> JoinHandle<()> {
    spawn_blocking(move || {
        let mut buffer = vec![0; COLD_READ_BYTES.min(len)];
        let (mut at, end) = (position, position + len as u64);
        while at < end {
            match retry_on_intr(|| pread(file.as_fd(), &mut buffer[..], at)) {
                Ok(0) | Err(_) => return,
                Ok(read) => at += read as u64,
            }
        }
    })
}

#[cfg(test)]
mod tests;
