//! Reads of what is not in memory, kept off the network threads.
//!
//! `sendfile` of such a range waits for the disk, and with it every connection of its thread: a consumer
//! that reads yesterday's records would hold up producers. So a range is looked at first, which costs a
//! call of a quarter of a microsecond, and if the disk is to be waited for another thread does it.
//!
//! ```text
//!  range ──▶ in memory? ──yes──▶ sendfile
//!                └──no──▶ read by a thread of the pool ──▶ the connection is woken ──▶ sendfile
//! ```
//!
//! What is read leaves memory again only if the system is short of it: then the thread waits after all.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::limits::{COLD_PROBE_BYTES, COLD_READ_BYTES};

/// Whether some of the range is not in memory. Logs are read forwards, so it is the end that is missing.
/// A file system that does not tell has all of it there.
pub(super) fn is_cold(file: BorrowedFd<'_>, position: u64, len: usize) -> bool {
    let last = len.saturating_sub(1);
    let mut probes = (0..last).step_by(COLD_PROBE_BYTES).skip(1).chain([last]);
    probes.any(|at| {
        let mut byte = [0];
        let mut buffer = [IoSliceMut::new(&mut byte)];
        let read = preadv2(file, &mut buffer, position + at as u64, ReadWriteFlags::NOWAIT);
        read == Err(Errno::AGAIN)
    })
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
