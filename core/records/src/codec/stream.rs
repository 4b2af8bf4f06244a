//! Payloads read as a stream, with room for no more than a codec needs to look back.

use std::io::{self, Read};

use super::{Codec, Fault, gzip, lz4, snappy, zstd};
use crate::BatchError;

/// The decompressed bytes of a payload. An error of the reader means that the stream is broken.
pub(crate) fn plain(codec: Codec, packed: &[u8]) -> Result<Box<dyn Read + '_>, BatchError> {
    Ok(match codec {
        Codec::None => Box::new(packed),
        Codec::Gzip => Box::new(gzip::stream(packed)),
        Codec::Snappy => Box::new(BlockStream::new(snappy::Blocks::new(packed))),
        Codec::Lz4 => Box::new(BlockStream::new(lz4::Blocks::new(packed))),
        Codec::Zstd => {
            let broken = |_| BatchError::BadCompression { codec };
            Box::new(zstd::stream(packed).map_err(broken)?)
        }
    })
}

/// The payload of a codec that works block by block.
pub(super) trait Blocks {
    /// Goes to the next block; false at the end.
    fn advance(&mut self) -> Result<bool, Fault>;

    /// The block, decompressed; empty before the first.
    fn block(&self) -> &[u8];
}

struct BlockStream<B> {
    blocks: B,
    /// What of the block is read.
    at: usize,
}

impl<B: Blocks> BlockStream<B> {
    fn new(blocks: B) -> Self {
        Self { blocks, at: 0 }
    }
}

impl<B: Blocks> Read for BlockStream<B> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut rest = self.blocks.block().get(self.at..).unwrap_or_default();
            if !rest.is_empty() {
                let size = rest.read(room)?;
                self.at += size;
                return Ok(size);
            }
            self.at = 0;
            if !self.blocks.advance().map_err(|_| io::ErrorKind::InvalidData)? {
                return Ok(0);
            }
        }
    }
}
