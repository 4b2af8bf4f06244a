//! Zstandard, RFC 8878. Several frames one behind another are one payload.

use std::io::Read;

use zstd::{bulk, stream::read::Decoder};

use super::{Fault, read_bounded};

/// A frame may look back 2^27 bytes, what the library allows unless told otherwise and what other
/// clients' highest levels need. The window is touched only as far as bytes come out.
const WINDOW_LOG_MAX: u32 = 27;
/// The most bytes for one compressed byte: the largest block, of one byte repeated, which takes four.
pub(super) const RATIO_MAX: u64 = (128 << 10) / 4;

pub(super) fn compress(plain: &[u8], level: i32) -> Vec<u8> {
    bulk::compress(plain, level).expect("fails only for want of memory")
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    read_bounded(stream(packed)?, limit)
}

pub(super) fn stream(packed: &[u8]) -> Result<impl Read, Fault> {
    let mut decoder = Decoder::with_buffer(packed).map_err(|_| Fault::Broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(|_| Fault::Broken)?;
    Ok(decoder)
}
