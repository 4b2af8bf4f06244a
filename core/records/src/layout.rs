//! The fixed head of a record batch (magic 2), field by field.
//!
//! ```text
//!  0        8        12      16 17       21  23      27       35       43      51  53       57      61
//!  | base   | batch  | leader|m | crc    |att| last  | base   | max    | producer|ep | base   | record|
//!  | offset | length | epoch |  |        |   | delta | time   | time   | id      |   | seq.   | count | records…
//!                                        '---------------- covered by the CRC-32C ---------------------…
//! ```
//!
//! What lies before the CRC's range can be patched in place: the offset and the epoch are the
//! broker's to assign, and assigning them must not cost a pass over the bytes.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I16, I32, I64, U32},
};

/// The only batch format that is written. Source: KIP-98.
pub const MAGIC_V2: i8 = 2;

/// Bytes of a batch's fixed head. A batch without records is exactly this long.
pub const HEADER_SIZE: usize = size_of::<Layout>();

/// Bytes that the length field does not count: itself and the base offset.
pub const PREFIX_SIZE: usize = 12;

/// Where the bytes that the CRC covers begin: at the attributes.
pub(crate) const CRC_START: usize = 21;

/// The head as it lies in memory; every field is big-endian and unaligned.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Layout {
    pub(crate) base_offset: I64,
    pub(crate) batch_length: I32,
    pub(crate) partition_leader_epoch: I32,
    pub(crate) magic: i8,
    pub(crate) crc: U32,
    pub(crate) attributes: I16,
    pub(crate) last_offset_delta: I32,
    pub(crate) base_timestamp: I64,
    pub(crate) max_timestamp: I64,
    pub(crate) producer_id: I64,
    pub(crate) producer_epoch: I16,
    pub(crate) base_sequence: I32,
    pub(crate) record_count: I32,
}

const _: () = assert!(HEADER_SIZE == 61);
