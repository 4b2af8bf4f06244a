//! Gzip, RFC 1952. Several members one behind another are one payload.

use std::io::{Read, Write};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

use super::{Fault, read_bounded};

/// The most bytes for one compressed byte: 258, the longest match, for each two bits.
pub(super) const RATIO_MAX: u64 = 258 * 4;

pub(super) fn compress(plain: &[u8], level: i32) -> Vec<u8> {
    // −1 is zlib's word for its default.
    let level = u32::try_from(level).map_or_else(|_| Compression::default(), Compression::new);
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    read_bounded(stream(packed), limit)
}

pub(super) fn stream(packed: &[u8]) -> impl Read {
    MultiGzDecoder::new(packed)
}
