//! Snappy, framed as xerial's Java library does, which Java clients send; bare, as all others do.
//!
//! ```text
//! | 82 S N A P P Y 00 | version | least compatible version | size, block | size, block | …
//! ```
//!
//! A bare payload cannot begin like this: its fourth byte would be a copy of what came before, and
//! nothing did.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Fault, Output, take, take_block};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Both of the version that is written and of the least version that can read it.
const VERSION: i32 = 1;
/// Uncompressed bytes of a block, the Java library's default.
const BLOCK_SIZE: usize = 32 * 1024;
/// A block's most bytes for one compressed byte: 64 by a copy that takes three, rounded up.
const RATIO_MAX: usize = 22;

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
    let mut output = Output::new(limit);
    let mut decoder = Decoder::new();
    match packed.strip_prefix(&MAGIC) {
        None => decompress_block(&mut decoder, packed, &mut output)?,
        Some(rest) => decompress_framed(&mut decoder, rest, &mut output)?,
    }
    Ok(output.into_bytes())
}

fn decompress_framed(
    decoder: &mut Decoder,
    mut rest: &[u8],
    output: &mut Output,
) -> Result<(), Fault> {
    take_versions(&mut rest)?;
    while !rest.is_empty() {
        // Streams one behind another are one stream.
        if let Some(next) = rest.strip_prefix(&MAGIC) {
            rest = next;
            take_versions(&mut rest)?;
            continue;
        }
        let size = usize::try_from(i32::from_be_bytes(take(&mut rest)?));
        let block = take_block(&mut rest, size.map_err(|_| Fault::Broken)?)?;
        decompress_block(decoder, block, output)?;
    }
    Ok(())
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
