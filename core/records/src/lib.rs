//! Record batches: what a partition's log is made of, on the wire and on the disk alike.
//!
//! Batches of magic 2 are read where they lie, patched in place and built; messages of magic 0 and
//! 1 are read only. Each check is a call of its own, so that the produce path can do just what it
//! needs: `check_produce_batch` looks at each byte once and at no record.
//!
//! What the records mean is not known here, except for control records' types.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

mod attributes;
mod batch;
mod builder;
mod checksum;
mod codec;
mod control;
mod encode;
mod entries;
mod error;
mod header;
mod layout;
mod legacy;
mod owned;
mod patch;
mod payload;
mod produce;
mod record;
mod survey;
mod varint;

#[cfg(test)]
mod tests;

pub use attributes::{Attributes, TimestampType};
pub use batch::{Batch, BatchView};
pub use builder::{BatchBuilder, BatchFull, BatchSpec, NewRecord, Producer, empty_batch};
pub use checksum::Checksum;
pub use codec::{BadLevel, Codec, Compression};
pub use control::{ControlError, ControlRecord, ControlType, EndTxnMarker, control_batch};
pub use entries::{Entries, Entry, EntryPrefix, PEEK_SIZE, entries, split_batches};
pub use error::{BatchError, RecordFault};
pub use header::{BatchHeader, sequence_after};
pub use layout::{HEADER_SIZE, MAGIC_V2, PREFIX_SIZE};
pub use legacy::LegacyMessage;
pub use owned::{OwnedHeader, OwnedRecord, owned_records};
pub use patch::BatchMut;
pub use payload::{DECOMPRESSED_SIZE_MAX, Payload, Records, RecordsSummary};
pub use produce::{BatchSummary, check_produce_batch};
pub use record::{Header, Headers, HeadersIter, Record};
