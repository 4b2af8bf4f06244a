//! What a node wants done, and what it publishes.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_metadata::{MetadataImage, record_version, snapshot_records};
use dohle_raft::{CheckpointBuilder, ControlState, SnapshotId, Token};

use crate::Answer;

/// What to do, in this order.
#[derive(Clone, Debug)]
pub enum NodeOutput {
    /// The newest snapshot is ahead of the log: drop all segments and begin a log at `start`.
    ResetLog {
        /// The first offset of the new log.
        start: Offset,
    },
    /// Replace `quorum-state`: temporary file, fsync, rename, fsync of the directory. Then call
    /// `persisted`.
    PersistElection {
        /// To be handed back.
        token: Token,
        /// The content.
        file: Bytes,
    },
    /// Append to the metadata log and fsync. Then call `persisted`.
    Append {
        /// To be handed back.
        token: Token,
        /// The offset of its first record: the end of the log.
        base_offset: Offset,
        /// The offset behind its last record.
        end_offset: Offset,
        /// The batch, ready to be written.
        batch: Bytes,
    },
    /// This node leads, durably.
    Active {
        /// The epoch that it leads.
        epoch: LeaderEpoch,
    },
    /// This node no longer leads; requests are refused.
    Resigned {
        /// The epoch that it led.
        epoch: LeaderEpoch,
    },
    /// A newer image is committed.
    Publish(Published),
    /// A request is answered.
    Reply(Answer),
    /// A snapshot is due: write [`SnapshotJob::file`], on any thread, then call `snapshot_written`.
    Snapshot(SnapshotJob),
}

/// A committed image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// The image.
    pub image: MetadataImage,
    /// The offset behind the last record that it shows.
    pub end_offset: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
}

impl Published {
    /// The offset of the last record that it shows, as heartbeats and ApiVersions tell it; −1 if it
    /// shows none.
    pub fn offset(&self) -> Offset {
        Offset(self.end_offset.0 - 1)
    }
}

/// A snapshot that is to be written.
#[derive(Clone, Debug)]
pub struct SnapshotJob {
    id: SnapshotId,
    last_timestamp: Timestamp,
    control: ControlState,
    image: MetadataImage,
}

impl SnapshotJob {
    pub(crate) fn new(
        id: SnapshotId,
        last_timestamp: Timestamp,
        control: ControlState,
        image: MetadataImage,
    ) -> Self {
        Self { id, last_timestamp, control, image }
    }

    /// Which snapshot; [`SnapshotId::file_name`] says where it goes.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// The content of the file.
    pub fn file(&self) -> Bytes {
        let ControlState { kraft_version, voters, .. } = &self.control;
        let mut builder =
            CheckpointBuilder::new(self.id, self.last_timestamp, *kraft_version, Some(voters));
        let version = self.image.metadata_version();
        for record in snapshot_records(&self.image) {
            let value = record.to_bytes(record_version(&record, version));
            builder.push(value.expect("what came out of a record fits into one"));
        }
        builder.finish()
    }
}
