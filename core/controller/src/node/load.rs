//! A node from what its metadata directory holds.
//!
//! Order: `new` with `quorum-state`; `checkpoint` with the newest complete snapshot, which may be the
//! one that formatting left; `old_bootstrap` with `bootstrap.checkpoint`, if there is one; `log` with
//! where the log begins and ends; `batch` with each batch of it from `snapshot_end` on; `start`.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Now, Offset, Rng};
use dohle_machine::{Machine, Runtime};
use dohle_metadata::{BadRecord, Bootstrap, MetadataRecord};
use dohle_protocol::DecodeError;
use dohle_raft::{Checkpoint, CheckpointError, LoadError, Loader, SnapshotId, data_values};
use dohle_records::{BatchError, BatchView};

use super::{Node, NodeConfig, Published, Snapshots};
use crate::{Controller, Fault};

/// Why a metadata directory cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The log, the voters or `quorum-state`.
    #[error("{0}")]
    Raft(#[from] LoadError),
    /// A checkpoint is damaged or not complete.
    #[error("checkpoint {name}: {fault}")]
    Checkpoint {
        /// The file's name.
        name: String,
        /// What is wrong.
        fault: CheckpointError,
    },
    /// A record of a checkpoint cannot be decoded.
    #[error("checkpoint {name}: {fault}")]
    CheckpointRecord {
        /// The file's name.
        name: String,
        /// What is wrong.
        fault: BadRecord,
    },
    /// A batch of the log cannot be decoded.
    #[error("metadata log, offset {offset}: {fault}")]
    Batch {
        /// Its first offset.
        offset: Offset,
        /// What is wrong.
        fault: BatchError,
    },
    /// A record of the log cannot be decoded: newer software wrote it, or it is damaged.
    #[error("metadata log, offset {offset}: {fault}")]
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong.
        fault: DecodeError,
    },
    /// A record of the log does not fit those before it.
    #[error("{0}")]
    Replay(#[from] Fault),
}

/// The file of bootstrap records of Kafka up to 4.3.
const OLD_BOOTSTRAP: &str = "bootstrap.checkpoint";

/// A node that reads what it has.
#[derive(Debug)]
pub struct NodeLoader {
    config: NodeConfig,
    raft: Loader,
    runtime: Runtime<Controller>,
    zero: Option<Checkpoint>,
    old: Option<Checkpoint>,
    /// Bytes of the log behind the snapshot.
    bytes: u64,
}

impl NodeLoader {
    /// Begins with the content of `quorum-state`; none if there is no such file.
    ///
    /// # Errors
    /// The file is unusable.
    pub fn new(config: NodeConfig, quorum_state: Option<&[u8]>) -> Result<Self, OpenError> {
        let raft = Loader::new(config.raft.clone(), quorum_state)?;
        let controller = Controller::new(config.settings.clone());
        let runtime = Runtime::from_snapshot(controller, Offset::ZERO);
        Ok(Self { config, raft, runtime, zero: None, old: None, bytes: 0 })
    }

    /// The newest complete snapshot, before any batch.
    ///
    /// # Errors
    /// It is damaged, or its records do not fit.
    pub fn checkpoint(&mut self, id: SnapshotId, file: &Bytes) -> Result<(), OpenError> {
        let checkpoint = Checkpoint::parse(id, file)
            .map_err(|fault| OpenError::Checkpoint { name: id.file_name(), fault })?;
        self.raft.checkpoint(&checkpoint);
        if id == SnapshotId::BOOTSTRAP {
            self.zero = Some(checkpoint);
            return Ok(());
        }
        let mut controller = Controller::new(self.config.settings.clone());
        let offset = Offset(id.end_offset.0 - 1);
        for (index, value) in checkpoint.records.into_iter().enumerate() {
            let (record, _) = MetadataRecord::decode(value).map_err(|fault| {
                let fault = BadRecord { index, fault };
                OpenError::CheckpointRecord { name: id.file_name(), fault }
            })?;
            controller.apply(offset, &record);
        }
        check(&controller)?;
        self.runtime = Runtime::from_snapshot(controller, id.end_offset);
        Ok(())
    }

    /// The content of `bootstrap.checkpoint`, where Kafka up to 4.3 put the first records.
    ///
    /// # Errors
    /// It is damaged.
    pub fn old_bootstrap(&mut self, file: &Bytes) -> Result<(), OpenError> {
        let checkpoint = Checkpoint::parse(SnapshotId::BOOTSTRAP, file)
            .map_err(|fault| OpenError::Checkpoint { name: OLD_BOOTSTRAP.into(), fault })?;
        self.old = Some(checkpoint);
        Ok(())
    }

    /// Where the log begins and ends, and where each of its epochs begins, in ascending order.
    ///
    /// # Errors
    /// It begins behind the snapshot.
    pub fn log(
        &mut self,
        start: Offset,
        end: Offset,
        epochs: impl IntoIterator<Item = (LeaderEpoch, Offset)>,
    ) -> Result<(), OpenError> {
        Ok(self.raft.log(start, end, epochs)?)
    }

    /// The offset from which on the log is to be read: what is below is in the snapshot.
    pub fn snapshot_end(&self) -> Offset {
        self.raft.snapshot_end()
    }

    /// The next batch of the log, whose checksum was found to be right.
    ///
    /// # Errors
    /// It does not continue the log, or its records do not fit.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> Result<(), OpenError> {
        self.raft.batch(batch)?;
        let from = self.raft.snapshot_end();
        self.bytes += batch.size() as u64;
        let values = data_values(batch)
            .map_err(|fault| OpenError::Batch { offset: batch.base_offset(), fault })?;
        for (offset, value) in values.into_iter().filter(|(offset, _)| *offset >= from) {
            let (record, _) = MetadataRecord::decode(value)
                .map_err(|fault| OpenError::Record { offset, fault })?;
            self.runtime.replay(offset, &record);
        }
        check(self.runtime.machine())
    }

    /// All was read. A sole voter leads at once; what follows waits in [`Node::poll_output`].
    ///
    /// # Errors
    /// The voters cannot be served, or the first records cannot be decoded.
    pub fn start(self, now: Now) -> Result<Node, OpenError> {
        let bootstrap = Bootstrap::from_checkpoints(self.zero.as_ref(), self.old.as_ref());
        let bootstrap = bootstrap.map_err(|fault| OpenError::CheckpointRecord {
            name: SnapshotId::BOOTSTRAP.file_name(),
            fault,
        })?;
        let last_end = self.raft.snapshot_end();
        let rng = Rng::from_seed(self.config.seed);
        let mut node = Node {
            config: self.config,
            raft: self.raft.start(now)?,
            runtime: self.runtime,
            bootstrap,
            rng,
            active: false,
            images: Default::default(),
            published: Published::default(),
            snapshots: Snapshots {
                bytes: self.bytes,
                last_end,
                last_at: now.instant,
                running: false,
            },
            outputs: Default::default(),
        };
        node.note_image();
        node.settle(now);
        Ok(node)
    }
}

fn check(controller: &Controller) -> Result<(), OpenError> {
    controller.fault().cloned().map_or(Ok(()), |fault| Err(fault.into()))
}
