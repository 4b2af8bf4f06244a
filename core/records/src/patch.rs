//! A batch changed where it lies.
//!
//! Base offset and leader epoch are outside the checksum: assigning them is two stores. All else is
//! inside it, so a change there takes one pass over the batch for the new checksum, made once when
//! the changes are done.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use zerocopy::FromBytes;

use crate::batch::crc_of;
use crate::layout::Layout;
use crate::{BatchError, BatchView, Producer, TimestampType};

/// A batch borrowed mutably.
#[derive(Debug)]
pub struct BatchMut<'a> {
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// Takes the batch at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// As `BatchView::parse`.
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, BatchError> {
        let size = BatchView::parse(bytes)?.size();
        let bytes = bytes.get_mut(..size).expect("as long as the batch that was parsed in it");
        Ok(Self { bytes })
    }

    /// The batch to read.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        BatchView::parse(self.bytes).expect("parsed, and no patch touches magic or length")
    }

    /// Says where the batch lies in its partition. The checksum does not change.
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.layout().base_offset = offset.0.into();
    }

    /// Makes the last record's offset this one, as a leader does that appends the batch.
    /// The checksum does not change.
    pub fn set_last_offset(&mut self, offset: Offset) {
        let delta = i64::from(self.view().last_offset_delta());
        self.set_base_offset(Offset(offset.0.saturating_sub(delta)));
    }

    /// Says which leader appended the batch. The checksum does not change.
    pub fn set_partition_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.layout().partition_leader_epoch = epoch.0.into();
    }

    /// Sets whose clock the timestamps are from and the greatest of them. Takes a new checksum
    /// unless both are as they were.
    ///
    /// With `LogAppend` this is the time of all records, whatever their deltas say.
    pub fn set_max_timestamp(&mut self, timestamp_type: TimestampType, max: Timestamp) {
        let view = self.view();
        let attributes = view.attributes();
        if attributes.timestamp_type() == timestamp_type && view.max_timestamp() == max {
            return;
        }
        let layout = self.layout();
        layout.attributes = attributes.with_timestamp_type(timestamp_type).0.into();
        layout.max_timestamp = max.0.into();
        self.seal();
    }

    /// Says who produced the batch, in which epoch and from which sequence number on, and whether
    /// in a transaction. Takes a new checksum.
    pub fn set_producer(&mut self, producer: Producer, transactional: bool) {
        let attributes = self.view().attributes().with_transactional(transactional);
        let layout = self.layout();
        layout.producer_id = producer.id.0.into();
        layout.producer_epoch = producer.epoch.0.into();
        layout.base_sequence = producer.base_sequence.into();
        layout.attributes = attributes.0.into();
        self.seal();
    }

    fn seal(&mut self) {
        let crc = crc_of(self.bytes);
        self.layout().crc = crc.into();
    }

    fn layout(&mut self) -> &mut Layout {
        let (layout, _) =
            Layout::mut_from_prefix(self.bytes).expect("a parsed batch holds its head");
        layout
    }
}
