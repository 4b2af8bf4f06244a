//! The head of a batch, read where it lies.
//!
//! A head alone is enough to index, to route and to skip: the log reads 61 bytes from a file and
//! never touches the records. Nothing read here is trusted; `check` says whether the numbers agree.

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use zerocopy::FromBytes;

use crate::layout::{HEADER_SIZE, Layout, MAGIC_V2, PREFIX_SIZE};
use crate::{Attributes, BatchError, Codec, Producer};

/// The fewest bytes of a record: a size, attributes, two deltas, two null lengths, no headers.
const RECORD_SIZE_MIN: u64 = 7;

/// The 61 bytes before the records.
#[derive(Clone, Copy)]
pub struct BatchHeader<'a> {
    layout: &'a Layout,
    size: usize,
}

impl<'a> BatchHeader<'a> {
    /// Reads the head at the start of `bytes`; the records need not be there.
    ///
    /// # Errors
    /// `Truncated` if fewer than 61 bytes are there, `BadMagic` for any magic but 2, `BadLength`
    /// for a length that does not even cover the head.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let Ok((layout, _)) = Layout::ref_from_prefix(bytes) else {
            return Err(BatchError::Truncated {
                position: 0,
                needed: HEADER_SIZE,
                available: bytes.len(),
            });
        };
        if layout.magic != MAGIC_V2 {
            return Err(BatchError::BadMagic { position: 0, magic: layout.magic });
        }
        let length = layout.batch_length.get();
        let size = usize::try_from(length).ok().and_then(|length| length.checked_add(PREFIX_SIZE));
        match size {
            Some(size) if size >= HEADER_SIZE => Ok(Self { layout, size }),
            _ => Err(BatchError::BadLength { position: 0, length }),
        }
    }

    /// Whether the numbers of the head agree with one another: a known codec, offsets in range, no
    /// more records than offsets, and no more records than the bytes can hold.
    ///
    /// Fewer records than offsets are fine: the cleaner leaves such batches behind.
    ///
    /// # Errors
    /// `UnknownCodec`, `BadOffsets`, `BadCount`.
    pub fn check(&self) -> Result<(), BatchError> {
        let Some(codec) = self.attributes().codec() else {
            return Err(BatchError::UnknownCodec { id: self.attributes().codec_id() });
        };
        let (base_offset, last_offset_delta) = (self.base_offset().0, self.last_offset_delta());
        let last_offset = base_offset.checked_add(i64::from(last_offset_delta));
        // The offset behind the batch must exist, too: a log's end points there.
        if base_offset < 0 || last_offset_delta < 0 || last_offset.is_none_or(|o| o == i64::MAX) {
            return Err(BatchError::BadOffsets { base_offset, last_offset_delta });
        }
        let count = self.record_count();
        let fits = count >= 0
            && i64::from(count) <= i64::from(last_offset_delta) + 1
            && (codec != Codec::None || self.plain_size_min() <= self.payload_size() as u64);
        if fits { Ok(()) } else { Err(BatchError::BadCount { count, last_offset_delta }) }
    }

    /// Bytes of the whole batch, head and prefix included; at least 61.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the records as they are stored, compressed or not.
    #[must_use]
    pub fn payload_size(&self) -> usize {
        self.size - HEADER_SIZE
    }

    /// The fewest bytes that as many records as are counted have before they are compressed.
    #[must_use]
    pub fn plain_size_min(&self) -> u64 {
        u64::try_from(self.record_count()).unwrap_or(0) * RECORD_SIZE_MIN
    }

    /// The offset of the first record that the batch was made with.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(self.layout.base_offset.get())
    }

    /// The offset of the last record that the batch was made with. Saturates where `check` fails.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.saturating_add(i64::from(self.last_offset_delta())))
    }

    /// The offset behind the batch. Saturates where `check` fails.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The length field: bytes behind it.
    #[must_use]
    pub fn batch_length(&self) -> i32 {
        self.layout.batch_length.get()
    }

    /// The epoch of the leader that appended the batch.
    #[must_use]
    pub fn partition_leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.layout.partition_leader_epoch.get())
    }

    /// The CRC-32C that the batch claims.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.layout.crc.get()
    }

    /// The attribute bits.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(self.layout.attributes.get())
    }

    /// The last offset less the base offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        self.layout.last_offset_delta.get()
    }

    /// What the records' timestamps count from, or the delete horizon if the attributes say so.
    #[must_use]
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(self.layout.base_timestamp.get())
    }

    /// The greatest timestamp of the records.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(self.layout.max_timestamp.get())
    }

    /// From when on the cleaner may drop this batch's tombstones, if it has said so.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes().has_delete_horizon().then(|| self.base_timestamp())
    }

    /// Who produced the batch; `ProducerId::NONE` unless idempotent.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(self.layout.producer_id.get())
    }

    /// Whether an idempotent or transactional producer made the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id().0 > ProducerId::NONE.0
    }

    /// In which of its epochs.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.layout.producer_epoch.get())
    }

    /// The sequence number of the first record; −1 without a producer id and in control batches.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        self.layout.base_sequence.get()
    }

    /// The sequence number of the last record; −1 if there is none. Sequences wrap to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            -1 => -1,
            base => sequence_after(base, self.last_offset_delta()),
        }
    }

    /// Who numbered the records; `None` unless idempotent.
    #[must_use]
    pub fn producer(&self) -> Option<Producer> {
        self.has_producer_id().then(|| Producer {
            id: self.producer_id(),
            epoch: self.producer_epoch(),
            base_sequence: self.base_sequence(),
        })
    }

    /// How many records there are; 0 in what the cleaner leaves of a producer's last batch.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.layout.record_count.get()
    }
}

/// The sequence number `count` after `sequence`: behind `i32::MAX` comes 0.
#[must_use]
pub fn sequence_after(sequence: i32, count: i32) -> i32 {
    match sequence.checked_add(count) {
        Some(next) => next,
        None => count.wrapping_sub(i32::MAX.wrapping_sub(sequence)).wrapping_sub(1),
    }
}

impl std::fmt::Debug for BatchHeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.base_offset())
            .field("last_offset_delta", &self.last_offset_delta())
            .field("size", &self.size)
            .field("partition_leader_epoch", &self.partition_leader_epoch())
            .field("attributes", &self.attributes())
            .field("base_timestamp", &self.base_timestamp())
            .field("max_timestamp", &self.max_timestamp())
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .field("record_count", &self.record_count())
            .finish_non_exhaustive()
    }
}
