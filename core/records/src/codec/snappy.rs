//! Snappy, framed as xerial's Java library does, which Java clients send; bare, as all others do.
//!
//! ```text
//! | 82 S N A P P Y 00 | version | least compatible version | size, block | size, block | …
//! ```
//!
//! A bare payload cannot begin like this: its fourth byte would be a copy of what came before, and
//! nothing did.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Fault, Output, stream, take, take_block};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Both of the version that is written and of the least version that can read it.
const VERSION: i32 = 1;
/// Uncompressed bytes of a block, the Java library's default.
const BLOCK_SIZE: usize = 32 * 1024;
/// A block's most bytes for one compressed byte: 64 by a copy that takes three, rounded up.
pub(super) const RATIO_MAX: usize = 22;

pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut room = vec![0; max_compress_len(BLOCK_SIZE.min(plain.len()))];
    let mut packed = MAGIC.to_vec();
    packed.extend_from_slice(&VERSION.to_be_bytes());
    packed.extend_from_slice(&VERSION.to_be_bytes());
    for chunk in plain.chunks(BLOCK_SIZE) {
        let size = encoder.compress(chunk, &mut room).expect("the room is the most it takes");
        let block = room.get(..size).expect("what was written lies in the room");
        let size = i32::try_from(size).expect("a block is some 32 KiB");
        packed.extend_from_slice(&size.to_be_bytes());
        packed.extend_from_slice(block);
    }
    packed
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut blocks = Blocks { output: Output::new(limit), ..Blocks::new(packed) };
    while blocks.take_block()? {}
    Ok(blocks.output.into_bytes())
}

/// The blocks of a payload, one at a time.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
    decoder: Decoder,
    output: Output,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        let framed = packed.starts_with(&MAGIC);
        Self { rest: packed, framed, decoder: Decoder::new(), output: Output::new(usize::MAX) }
    }

    /// Decompresses the next block behind what there is; false at the end.
    fn take_block(&mut self) -> Result<bool, Fault> {
        // Streams one behind another are one stream.
        while self.framed
            && let Some(next) = self.rest.strip_prefix(&MAGIC)
        {
            self.rest = next;
            take_versions(&mut self.rest)?;
        }
        let block = if self.framed && self.rest.is_empty() {
            return Ok(false);
        } else if self.framed {
            let size = usize::try_from(i32::from_be_bytes(take(&mut self.rest)?));
            take_block(&mut self.rest, size.map_err(|_| Fault::Broken)?)?
        } else {
            // Bare, all is one block, and behind it an empty stream.
            self.framed = true;
            std::mem::take(&mut self.rest)
        };
        decompress_block(&mut self.decoder, block, &mut self.output)?;
        Ok(true)
    }
}

impl stream::Blocks for Blocks<'_> {
    fn advance(&mut self) -> Result<bool, Fault> {
        self.output.forget_before(0);
        self.take_block()
    }

    fn block(&self) -> &[u8] {
        self.output.bytes.get(..self.output.filled).unwrap_or_default()
    }
}

fn take_versions(rest: &mut &[u8]) -> Result<(), Fault> {
    let _written = i32::from_be_bytes(take(rest)?);
    let least = i32::from_be_bytes(take(rest)?);
    if least > VERSION { Err(Fault::Broken) } else { Ok(()) }
}

fn decompress_block(decoder: &mut Decoder, block: &[u8], output: &mut Output) -> Result<(), Fault> {
    let size = decompress_len(block).map_err(|_| Fault::Broken)?;
    if size > block.len().saturating_mul(RATIO_MAX) {
        return Err(Fault::Broken);
    }
    let (_, room) = output.room(size);
    if room.len() < size {
        return Err(Fault::TooLarge);
    }
    let written = decoder.decompress(block, room).map_err(|_| Fault::Broken)?;
    output.fill(written);
    Ok(())
}
