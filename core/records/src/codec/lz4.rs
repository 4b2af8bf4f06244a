//! The LZ4 frame format, as Kafka's Java client writes it.
//!
//! ```text
//! | 04 22 4d 18 | flags | block size | (content size) | checksum | size, block, (checksum) | … | 0 |
//! ```
//!
//! All integers are little-endian. Written are independent blocks of 64 KiB without checksums; read
//! are all frames without a dictionary. Checksums of whole contents are passed over: the batch has
//! its own.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into_with_dict, get_maximum_output_size,
};
use twox_hash::XxHash32;

use super::{Era, Fault, Output, stream, take, take_block};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// In the flags: version 1 of the format.
const VERSION: u8 = 0b0100_0000;
const VERSION_MASK: u8 = 0b1100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
/// A reserved bit, and one for dictionaries, which nobody could know.
const UNREADABLE: u8 = 0b11;
/// The code of blocks of 64 KiB.
const BLOCK_64K: u8 = 4 << 4;
const BLOCK_SIZE: usize = 64 * 1024;
/// In a block's size: the block is not compressed.
const STORED: u32 = 1 << 31;
/// How far a block that is not independent may look back.
const WINDOW_SIZE: usize = 64 * 1024;
/// A block's most bytes for one compressed byte: a length goes on by 255 for each.
pub(super) const RATIO_MAX: usize = 255;

pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let descriptor = [VERSION | INDEPENDENT, BLOCK_64K];
    let mut packed = MAGIC.to_vec();
    packed.extend_from_slice(&descriptor);
    packed.push(descriptor_checksum(&descriptor));
    let mut table = CompressTable::default();
    let mut room = vec![0; get_maximum_output_size(BLOCK_SIZE.min(plain.len()))];
    for chunk in plain.chunks(BLOCK_SIZE) {
        let size = compress_into_with_table(chunk, &mut room, &mut table)
            .expect("the room is the most it takes");
        let (flag, block) = match room.get(..size) {
            Some(block) if size < chunk.len() => (0, block),
            _ => (STORED, chunk),
        };
        let size = u32::try_from(block.len()).expect("a block has 64 KiB at most");
        packed.extend_from_slice(&(size | flag).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed.extend_from_slice(&[0; 4]);
    packed
}

pub(super) fn decompress(mut packed: &[u8], limit: usize, era: Era) -> Result<Vec<u8>, Fault> {
    let mut output = Output::new(limit);
    loop {
        let frame = Frame::take(&mut packed, era)?;
        let start = output.filled;
        while frame.take_block(&mut packed, start, &mut output)? {}
        // Frames one behind another are one payload.
        if packed.is_empty() {
            return Ok(output.into_bytes());
        }
    }
}

/// The blocks of a payload, one at a time.
pub(super) struct Blocks<'a> {
    packed: &'a [u8],
    frame: Option<Frame>,
    /// Where in the output the frame begins.
    start: usize,
    output: Output,
    /// Where in the output the block begins.
    block: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self { packed, frame: None, start: 0, output: Output::new(usize::MAX), block: 0 }
    }
}

impl stream::Blocks for Blocks<'_> {
    fn advance(&mut self) -> Result<bool, Fault> {
        loop {
            let forgotten = self.output.forget_before(WINDOW_SIZE);
            self.start = self.start.saturating_sub(forgotten);
            self.block = self.output.filled;
            match &self.frame {
                Some(frame)
                    if frame.take_block(&mut self.packed, self.start, &mut self.output)? =>
                {
                    return Ok(true);
                }
                // Frames one behind another are one payload.
                Some(_) if self.packed.is_empty() => return Ok(false),
                _ => {
                    self.frame = Some(Frame::take(&mut self.packed, Era::Current)?);
                    self.start = self.output.filled;
                }
            }
        }
    }

    fn block(&self) -> &[u8] {
        self.output.bytes.get(self.block..self.output.filled).unwrap_or_default()
    }
}

/// What the head of a frame says.
struct Frame {
    flags: u8,
    block_size_max: usize,
}

impl Frame {
    fn take(packed: &mut &[u8], era: Era) -> Result<Self, Fault> {
        if take(packed)? != MAGIC {
            return Err(Fault::Broken);
        }
        let descriptor_start = *packed;
        let [flags, block_size_code] = take(packed)?;
        if flags & VERSION_MASK != VERSION || flags & UNREADABLE != 0 {
            return Err(Fault::Broken);
        }
        let block_size_max = match block_size_code {
            0x40 => BLOCK_SIZE,
            0x50 => 256 * 1024,
            0x60 => 1024 * 1024,
            0x70 => 4 * 1024 * 1024,
            _ => return Err(Fault::Broken),
        };
        if flags & CONTENT_SIZE != 0 {
            take::<8>(packed)?;
        }
        let size = descriptor_start.len() - packed.len();
        let descriptor = descriptor_start.get(..size).unwrap_or_default();
        let [checksum] = take(packed)?;
        // Old writers took the checksum of the magic, too (KAFKA-3160).
        if era == Era::Current && checksum != descriptor_checksum(descriptor) {
            return Err(Fault::Broken);
        }
        Ok(Self { flags, block_size_max })
    }

    /// Takes one block of the frame that began at `start` of the output; false at the frame's end.
    fn take_block(
        &self,
        packed: &mut &[u8],
        start: usize,
        output: &mut Output,
    ) -> Result<bool, Fault> {
        let word = u32::from_le_bytes(take(packed)?);
        let size = usize::try_from(word & !STORED).map_err(|_| Fault::Broken)?;
        if size == 0 {
            if self.flags & CONTENT_CHECKSUM != 0 {
                take::<4>(packed)?;
            }
            return Ok(false);
        }
        if size > self.block_size_max {
            return Err(Fault::Broken);
        }
        let block = take_block(packed, size)?;
        if self.flags & BLOCK_CHECKSUM != 0
            && u32::from_le_bytes(take(packed)?) != XxHash32::oneshot(0, block)
        {
            return Err(Fault::Broken);
        }
        if word & STORED != 0 {
            output.append(block)?;
        } else {
            self.decompress_block(block, start, output)?;
        }
        Ok(true)
    }

    fn decompress_block(
        &self,
        block: &[u8],
        start: usize,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let size_max = self.block_size_max.min(block.len().saturating_mul(RATIO_MAX));
        let (before, room) = output.room(size_max);
        let cut = room.len() < size_max;
        let window = if self.flags & INDEPENDENT != 0 {
            &[]
        } else {
            let from = start.max(before.len().saturating_sub(WINDOW_SIZE));
            before.get(from..).unwrap_or_default()
        };
        match decompress_into_with_dict(block, room, window) {
            Ok(written) => {
                output.fill(written);
                Ok(())
            }
            // Only the limit can have made the room too small for a good block.
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if cut => {
                Err(Fault::TooLarge)
            }
            Err(_) => Err(Fault::Broken),
        }
    }
}

fn descriptor_checksum(descriptor: &[u8]) -> u8 {
    let [_, _, second, _] = XxHash32::oneshot(0, descriptor).to_be_bytes();
    second
}
