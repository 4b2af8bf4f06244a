//! The four codecs, each in one file: whole payloads in, whole payloads out.
//!
//! A payload says how large it becomes, or not, and either way it is not believed: room grows with
//! what really comes out, up to a limit that the caller sets. So a few bytes of a bomb cost no more
//! than the limit, and a false claim costs nothing.

mod gzip;
mod lz4;
mod snappy;
mod stream;
mod zstd;

use std::fmt;
use std::io::Read;
use std::ops::RangeInclusive;

use crate::BatchError;
pub(crate) use stream::plain;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Codec {
    /// Not compressed.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks, framed as xerial's Java library does or bare.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878. Source: KIP-110.
    Zstd,
}

impl Codec {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a number; `None` for 5, 6 and 7, which nobody has given a meaning.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name in configurations and tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The most bytes that one compressed byte can stand for, in any stream that the codec reads.
    pub(crate) const fn ratio_max(self) -> u64 {
        match self {
            Self::None => 1,
            Self::Gzip => gzip::RATIO_MAX,
            Self::Snappy => snappy::RATIO_MAX as u64,
            Self::Lz4 => lz4::RATIO_MAX as u64,
            Self::Zstd => zstd::RATIO_MAX,
        }
    }

    /// The codec of a name; `None` for a name that is none's.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

/// The codec does not know the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{codec} has no level {level}")]
pub struct BadLevel {
    /// The codec.
    pub codec: Codec,
    /// The level.
    pub level: i32,
}

impl Compression {
    /// Not compressed.
    pub const NONE: Self = Self { codec: Codec::None, level: 0 };

    /// A codec with its default level.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self { codec, level: codec.default_level() }
    }

    /// A codec with a level. LZ4 has but one speed here, whatever its level; `None` and Snappy have
    /// no levels and ignore it.
    ///
    /// # Errors
    /// `BadLevel` if it is neither in the codec's range nor its default.
    pub fn with_level(codec: Codec, level: i32) -> Result<Self, BadLevel> {
        match codec.levels() {
            None => Ok(Self::new(codec)),
            Some(range) if range.contains(&level) || level == codec.default_level() => {
                Ok(Self { codec, level })
            }
            Some(_) => Err(BadLevel { codec, level }),
        }
    }

    /// The codec.
    #[must_use]
    pub const fn codec(self) -> Codec {
        self.codec
    }

    /// The level; 0 for codecs without levels.
    #[must_use]
    pub const fn level(self) -> i32 {
        self.level
    }
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        Self::new(codec)
    }
}

impl Codec {
    /// The levels that configurations may name, besides the default. Source: KIP-390.
    #[must_use]
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(1..=9),
            Self::Lz4 => Some(1..=17),
            // What libzstd 1.5 gives for its least and greatest level.
            Self::Zstd => Some(-131_072..=22),
        }
    }

    /// The level if none is named. Source: KIP-390.
    #[must_use]
    pub const fn default_level(self) -> i32 {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => -1,
            Self::Lz4 => 9,
            Self::Zstd => 3,
        }
    }
}

/// Which rules a compressed payload was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// Messages of magic 0 and 1, some of them made by writers with known faults.
    Legacy,
    /// Batches.
    Current,
}

/// Compresses a payload. Always the same bytes for the same payload.
pub(crate) fn compress(compression: Compression, plain: &[u8]) -> Vec<u8> {
    match compression.codec {
        Codec::None => plain.to_vec(),
        Codec::Gzip => gzip::compress(plain, compression.level),
        Codec::Snappy => snappy::compress(plain),
        Codec::Lz4 => lz4::compress(plain),
        Codec::Zstd => zstd::compress(plain, compression.level),
    }
}

/// Decompresses a payload to `limit` bytes at most.
pub(crate) fn decompress(
    codec: Codec,
    era: Era,
    packed: &[u8],
    limit: usize,
) -> Result<Vec<u8>, BatchError> {
    let plain = match codec {
        Codec::None if packed.len() > limit => Err(Fault::TooLarge),
        Codec::None => Ok(packed.to_vec()),
        Codec::Gzip => gzip::decompress(packed, limit),
        Codec::Snappy => snappy::decompress(packed, limit),
        Codec::Lz4 => lz4::decompress(packed, limit, era),
        Codec::Zstd => zstd::decompress(packed, limit),
    };
    plain.map_err(|fault| match fault {
        Fault::Broken => BatchError::BadCompression { codec },
        Fault::TooLarge => BatchError::TooLarge { limit },
    })
}

/// Why a payload cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Broken,
    TooLarge,
}

/// Reads a stream to its end, but no more than `limit` bytes. The room doubles as it fills.
fn read_bounded(stream: impl Read, limit: usize) -> Result<Vec<u8>, Fault> {
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    stream.take(one_more).read_to_end(&mut plain).map_err(|_| Fault::Broken)?;
    if plain.len() > limit { Err(Fault::TooLarge) } else { Ok(plain) }
}

/// Decompressed bytes of codecs that work block by block.
struct Output {
    /// The filled part, then zeroes that the next block may take.
    bytes: Vec<u8>,
    filled: usize,
    limit: usize,
}

impl Output {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), filled: 0, limit }
    }

    /// What is filled, and room for a block of `size` bytes or for what the limit leaves of it.
    /// `size` must be in proportion to bytes that are there, not a mere claim.
    fn room(&mut self, size: usize) -> (&[u8], &mut [u8]) {
        let end = self.filled.saturating_add(size).min(self.limit);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let (filled, room) = self.bytes.split_at_mut(self.filled);
        let size = end - filled.len();
        (filled, room.get_mut(..size).unwrap_or_default())
    }

    fn fill(&mut self, size: usize) {
        self.filled += size;
        assert!(self.filled <= self.bytes.len(), "a block stays in its room");
    }

    fn append(&mut self, block: &[u8]) -> Result<(), Fault> {
        let (_, room) = self.room(block.len());
        if room.len() < block.len() {
            return Err(Fault::TooLarge);
        }
        room.copy_from_slice(block);
        self.fill(block.len());
        Ok(())
    }

    /// Forgets all but the last `size` bytes, and says how many those were.
    fn forget_before(&mut self, size: usize) -> usize {
        let forgotten = self.filled.saturating_sub(size);
        self.bytes.copy_within(forgotten..self.filled, 0);
        self.filled -= forgotten;
        forgotten
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}

/// Takes `N` bytes from the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(Fault::Broken)?;
    *bytes = rest;
    Ok(*taken)
}

/// Takes a block of `size` bytes from the front.
fn take_block<'a>(bytes: &mut &'a [u8], size: usize) -> Result<&'a [u8], Fault> {
    let (taken, rest) = bytes.split_at_checked(size).ok_or(Fault::Broken)?;
    *bytes = rest;
    Ok(taken)
}
