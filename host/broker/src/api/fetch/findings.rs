//! What was found in the partitions of a request, and how much of it is copied.

use std::{os::fd::AsFd, sync::Arc};

use bytes::Bytes;
use dohle_base::{ErrorCode, Offset, PartitionId};
use dohle_log::Slice;
use dohle_net::read_now;
use dohle_protocol::api::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, PartitionData};
use dohle_replication::Standing;
use smallvec::SmallVec;

use super::request::Terms;
use crate::{
    api::elsewhere::elsewhere, disk::NodeFile, log_dirs::LogDir, partition::Partition, storage,
};

/// The most bytes of a partition that are copied, but for a larger batch, where file handles are short.
pub(super) const COPIED_MAX: usize = 64 << 10;
/// The most bytes of a request that are copied, but for a larger first batch: a connection may have tens
/// of requests here that wait for a client which reads slowly.
pub(super) const COPIED_IN_ALL_MAX: usize = 4 << 20;

/// What was found in one partition.
pub(super) struct Finding {
    pub(super) data: PartitionData,
    pub(super) slice: Option<Slice<NodeFile>>,
    /// The bytes of the slice, if its file is not to be held until they are sent.
    pub(super) copied: Option<Bytes>,
    /// Where the slice is from, if it is still to be copied, for which the disk has to be waited for.
    pub(super) cold: Option<Origin>,
    /// Whether more can be read behind the slice at once, which has all that one answer takes of it.
    pub(super) goes_on: bool,
    /// Bytes that are there and had no room in the answer, as far as they count.
    pub(super) left_out: usize,
}

/// Where a slice is from.
pub(super) struct Origin {
    pub(super) partition: Arc<Partition>,
    /// Where the partition lay when it was read. It may move meanwhile, and it is this disk that is read.
    pub(super) dir: Arc<LogDir>,
}

impl Finding {
    /// Copies what was found where so many files are held by answers that logs are short of them, if that
    /// needs no waiting. One request may ask for more partitions than there are handles.
    pub(super) fn copy_if_short_of_files(&mut self, origin: Origin) {
        let Some(slice) = &mut self.slice else { return };
        if !origin.dir.open_files().are_held_by_others() {
            return;
        }
        let size = slice.size.min(COPIED_MAX.max(slice.first_batch_size));
        self.goes_on |= size < slice.size;
        slice.size = size;
        let mut bytes = vec![0; slice.size];
        match read_now(slice.file.shared().as_fd(), &mut bytes, slice.position) {
            Ok(true) => (self.slice, self.copied) = (None, Some(bytes.into())),
            // What went wrong whoever waits finds out.
            Ok(false) | Err(_) => self.cold = Some(origin),
        }
    }

    /// Copies what is still to be copied, on another thread.
    pub(super) async fn copy_cold(&mut self) {
        let (Some(slice), Some(origin)) = (self.slice.take(), self.cold.take()) else { return };
        match elsewhere(move || slice.read()).await {
            Ok(Ok(bytes)) => self.copied = Some(bytes),
            Ok(Err(error)) => {
                let error = storage::log_error_in(&origin.dir, &error.into(), &origin.partition);
                *self = unread(self.data.partition_index, error);
            }
            // The node stops.
            Err(_) => *self = unread(self.data.partition_index, ErrorCode::KAFKA_STORAGE_ERROR),
        }
    }

    /// Bytes of records.
    pub(super) fn size(&self) -> usize {
        let copied = self.copied.as_ref().map_or(0, Bytes::len);
        self.slice.as_ref().map_or(copied, |slice| slice.size)
    }
}

/// What was found in all of them, or those before one.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) of_partitions: SmallVec<[Finding; 1]>,
    pub(super) size: i64,
    /// Bytes that nothing has to arrive for: those found, and those that had no room.
    pub(super) available: i64,
    /// What of that is copied.
    copied: usize,
    /// Something must be told at once, whatever the size.
    is_urgent: bool,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let signed = |size| i64::try_from(size).unwrap_or(i64::MAX);
        self.size += signed(finding.size());
        self.available += signed(finding.size() + finding.left_out);
        self.copied += finding.copied.as_ref().map_or(0, Bytes::len);
        // A slice ends with its segment, however much there is behind it: nothing has to arrive for
        // the client to go on. Source: Kafka 4.4, which waits on the last segment only.
        self.is_urgent |= finding.goes_on
            || finding.data.error_code.is_error()
            || finding.data.diverging_epoch != EpochEndOffset::default();
        self.of_partitions.push(finding);
    }

    /// How much may still be read.
    pub(super) fn left(&self, terms: &Terms) -> usize {
        let left = terms.size_max.saturating_sub(usize::try_from(self.size).unwrap_or(usize::MAX));
        match self.copied {
            0 => left,
            copied => left.min(COPIED_IN_ALL_MAX.saturating_sub(copied)),
        }
    }

    pub(super) fn is_ready(&self, terms: &Terms) -> bool {
        self.is_urgent
            // What does not fit any more may be a batch of any size.
            || self.copied > COPIED_IN_ALL_MAX / 2
            || self.available >= terms.size_min
            || terms.wait.is_zero()
            || self.of_partitions.is_empty()
    }
}

/// What is told of a partition that is read.
pub(super) fn told(partition_index: PartitionId, standing: Standing) -> PartitionData {
    PartitionData {
        partition_index,
        high_watermark: standing.high_watermark,
        last_stable_offset: standing.last_stable,
        log_start_offset: standing.log_start,
        aborted_transactions: None,
        ..PartitionData::default()
    }
}

pub(super) fn failed(partition_index: PartitionId, error_code: ErrorCode) -> Finding {
    let data = PartitionData {
        partition_index,
        error_code,
        high_watermark: Offset(-1),
        ..PartitionData::default()
    };
    Finding { data, slice: None, copied: None, cold: None, goes_on: false, left_out: 0 }
}

/// A partition that is there and could not be read. As in Kafka there is no list of transactions then,
/// where one that is not there comes with an empty one.
pub(super) fn unread(partition_index: PartitionId, error_code: ErrorCode) -> Finding {
    let mut finding = failed(partition_index, error_code);
    finding.data.aborted_transactions = None;
    finding
}

/// What is told where this node does not lead, and who does.
pub(super) fn led_elsewhere(
    partition_index: PartitionId,
    known: &dohle_metadata::Partition,
) -> Finding {
    let mut finding = unread(partition_index, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    finding.data.current_leader =
        LeaderIdAndEpoch { leader_id: known.leader, leader_epoch: known.leader_epoch };
    finding
}
