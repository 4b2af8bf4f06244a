//! The receive buffers of one network thread, reused by its connections and never zeroed.
//!
//! A buffer is free again when nobody holds a slice of it any more; the pool finds that out when it
//! is asked for the next one, and takes the buffer that was used last, which is still in cache.

use bytes::BytesMut;

use crate::limits::{POOL_BYTES_MAX, WINDOW_BYTES, WINDOWS_KEPT_MAX};

/// A receive buffer on loan to a connection.
pub(crate) struct Buffer {
    pub(crate) bytes: BytesMut,
    /// Size of the allocation; `bytes` may see only a part of it.
    pub(crate) size: usize,
    /// Counted as kept by a connection between two turns.
    kept: bool,
}

/// Buffers of which no connection makes use now, although handlers may hold slices of them.
#[derive(Default)]
pub(crate) struct Buffers {
    windows: Vec<Buffer>,
    /// Buffers of frames larger than the window.
    large: Vec<Buffer>,
    pooled_bytes: usize,
    kept: usize,
}

impl Buffer {
    /// A buffer of the exact size of `bytes`, for a connection whose frame will be long in coming.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self { bytes: BytesMut::from(bytes), size: bytes.len(), kept: false }
    }

    fn allocate(size: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(size), size, kept: false }
    }
}

impl Buffers {
    /// An empty buffer with room for `size` bytes, rounded up to whole windows so that frames of
    /// about the same size can use each other's buffers.
    pub(crate) fn take(&mut self, size: usize) -> Buffer {
        if size <= WINDOW_BYTES {
            let free = reclaim(&mut self.windows, WINDOW_BYTES);
            return self.taken(free).unwrap_or_else(|| Buffer::allocate(WINDOW_BYTES));
        }
        self.take_pooled(size)
            .unwrap_or_else(|| Buffer::allocate(size.next_multiple_of(WINDOW_BYTES)))
    }

    /// An empty buffer larger than a window, if one is at hand: for a size that is only a guess.
    pub(crate) fn take_pooled(&mut self, size: usize) -> Option<Buffer> {
        let free = reclaim(&mut self.large, size);
        self.taken(free)
    }

    fn taken(&mut self, buffer: Option<Buffer>) -> Option<Buffer> {
        self.pooled_bytes -= buffer.as_ref().map_or(0, |buffer| buffer.size);
        buffer
    }

    /// Takes a buffer back, with whatever it holds discarded.
    pub(crate) fn give(&mut self, mut buffer: Buffer) {
        self.release(&mut buffer);
        if buffer.size < WINDOW_BYTES {
            return;
        }
        buffer.bytes.clear();
        self.pooled_bytes += buffer.size;
        if buffer.size == WINDOW_BYTES {
            self.windows.push(buffer);
        } else {
            self.large.push(buffer);
        }
        while self.pooled_bytes > POOL_BYTES_MAX {
            // The one used longest ago: cold, or held by a handler that keeps its slices.
            let pool = if self.large.is_empty() { &mut self.windows } else { &mut self.large };
            self.pooled_bytes -= pool.remove(0).size;
        }
    }

    /// Whether a connection may keep `buffer` between turns although it holds little.
    pub(crate) fn may_keep(&mut self, buffer: &mut Buffer) -> bool {
        if !buffer.kept && self.kept < WINDOWS_KEPT_MAX {
            buffer.kept = true;
            self.kept += 1;
        }
        buffer.kept
    }

    /// A buffer that is no longer kept, because it is empty, full or used up.
    pub(crate) fn release(&mut self, buffer: &mut Buffer) {
        if buffer.kept {
            buffer.kept = false;
            self.kept -= 1;
        }
    }
}

/// Takes out the last buffer of `pool` that has room for `size` bytes from its start.
fn reclaim(pool: &mut Vec<Buffer>, size: usize) -> Option<Buffer> {
    let index = pool
        .iter_mut()
        .rposition(|buffer| buffer.size >= size && buffer.bytes.try_reclaim(size))?;
    Some(pool.remove(index))
}

#[cfg(test)]
mod tests;
