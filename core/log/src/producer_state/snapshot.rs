//! A `.snapshot`: the producers' state before the offset in the file's name.
//!
//! ```text
//! 0         2     6       10
//! | version | crc | count | entries …         big-endian; the CRC-32C is of all that follows it
//!
//! | producer id 8 | epoch 2 | last sequence 4 | last offset 8 | offset delta 4 | timestamp 8 |
//! | coordinator epoch 4 | first offset of the open transaction 8 |                −1 for none
//! ```
//!
//! Of each producer only the newest batch is there. What is not written whole fails its checksum:
//! the file need not be synced before the log is.

use bytes::{Buf, BufMut};
use dohle_base::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{ProducerBatch, ProducerState, Producers};

const VERSION: i16 = 1;
const CRC_POSITION: usize = 2;
const COUNT_POSITION: usize = 6;
const HEAD_SIZE: usize = 10;
const ENTRY_SIZE: usize = 46;

/// Why a snapshot is of no use; an older one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The file is of a version that is not known.
    #[error("version {0} of a producer snapshot, not {VERSION}")]
    Version(i16),
    /// The bytes are not those that the checksum was taken of.
    #[error("checksum is {computed:#010x}, expected {stored:#010x} as the snapshot says")]
    Crc {
        /// What the snapshot says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The entries are not all there.
    #[error("{size} bytes, {} for {count} entries", needed(*count))]
    Size {
        /// How many there should be.
        count: i32,
        /// Bytes of the file.
        size: usize,
    },
}

impl SnapshotError {
    /// The byte from which on it is of no use.
    pub fn position(&self) -> usize {
        match self {
            Self::Version(_) => 0,
            Self::Crc { .. } => CRC_POSITION,
            Self::Size { size, .. } => (*size).min(COUNT_POSITION),
        }
    }
}

/// Bytes of a snapshot of so many producers; none if there cannot be so many.
fn needed(count: i32) -> String {
    match usize::try_from(count) {
        Ok(count) => format!("not the {}", HEAD_SIZE + count * ENTRY_SIZE),
        Err(_) => "and there are none".to_owned(),
    }
}

/// The bytes of a snapshot of all producers.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let states = producers.states();
    let mut bytes = Vec::with_capacity(HEAD_SIZE + states.len() * ENTRY_SIZE);
    bytes.put_i16(VERSION);
    bytes.put_u32(0);
    bytes.put_i32(i32::try_from(states.len()).expect("fewer producers than 2^31 fit the memory"));
    for state in states {
        let none = ProducerBatch {
            last_sequence: -1,
            last_offset: Offset(-1),
            offset_delta: 0,
            timestamp: Timestamp::NONE,
        };
        let batch = state.batches().last().unwrap_or(&none);
        bytes.put_i64(state.id.0);
        bytes.put_i16(state.epoch.0);
        bytes.put_i32(batch.last_sequence);
        bytes.put_i64(batch.last_offset.0);
        bytes.put_i32(batch.offset_delta);
        bytes.put_i64(state.last_timestamp.0);
        bytes.put_i32(state.coordinator_epoch);
        bytes.put_i64(state.transaction_start.map_or(-1, |offset| offset.0));
    }
    let crc = crc32c::crc32c(&bytes[COUNT_POSITION..]);
    bytes[CRC_POSITION..COUNT_POSITION].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The producers that a snapshot holds.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<ProducerState>, SnapshotError> {
    let size = bytes.len();
    let Some((mut head, mut entries)) = bytes.split_at_checked(HEAD_SIZE) else {
        return Err(SnapshotError::Size { count: 0, size });
    };
    let (version, crc, count) = (head.get_i16(), head.get_u32(), head.get_i32());
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    // Later minor versions may add tagged fields, so only too few bytes are wrong.
    let needed = usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_SIZE));
    if needed.is_none_or(|needed| needed > entries.len()) {
        return Err(SnapshotError::Size { count, size });
    }
    let computed = crc32c::crc32c(bytes.get(COUNT_POSITION..).unwrap_or_default());
    if crc != computed {
        return Err(SnapshotError::Crc { stored: crc, computed });
    }
    Ok((0..count).map(|_| decode_entry(&mut entries)).collect())
}

/// Takes an entry from bytes that hold one.
fn decode_entry(bytes: &mut &[u8]) -> ProducerState {
    let mut state = ProducerState::new(ProducerId(bytes.get_i64()));
    state.epoch = ProducerEpoch(bytes.get_i16());
    let mut batch = ProducerBatch {
        last_sequence: bytes.get_i32(),
        last_offset: Offset(bytes.get_i64()),
        offset_delta: bytes.get_i32(),
        timestamp: Timestamp::NONE,
    };
    state.last_timestamp = Timestamp(bytes.get_i64());
    state.coordinator_epoch = bytes.get_i32();
    let transaction_start = bytes.get_i64();
    state.transaction_start = (transaction_start >= 0).then_some(Offset(transaction_start));
    batch.timestamp = state.last_timestamp;
    if batch.last_offset.0 >= 0 {
        state.push(batch);
        state.batches.has_earlier = true;
    }
    state
}
