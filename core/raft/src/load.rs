//! From what the disk holds to a running [`Raft`].
//!
//! Order: `new` with the content of `quorum-state`; `checkpoint` with the newest snapshot, if there
//! is one; `log` with where the log begins and ends; `batch` with each batch from `snapshot_end` on, in
//! order; `start`. What lies before is not read: the voters are in the snapshot, the epochs are told.
//!
//! Invariant: offsets are contiguous and epochs never decrease, or loading fails.

use dohle_base::{BrokerId, LeaderEpoch, Now, Offset, Timestamp, Uuid};
use dohle_records::{BatchError, BatchView, DECOMPRESSED_SIZE_MAX};

use crate::{
    Checkpoint, ControlError, ControlHistory, ControlRecord, ElectionState, ElectionStateError,
    Endpoint, EpochHistory, Raft, ReplicaKey, SnapshotId, VoterSet, VotersSource,
};

/// What a replica is told about itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node, and the directory id of its metadata directory.
    pub own: ReplicaKey,
    /// Its controller listeners as advertised, the default one first; they go into Voters records.
    pub endpoints: Vec<Endpoint>,
    /// The voters of `controller.quorum.voters`; empty if it is not set.
    pub static_voters: VoterSet,
}

/// Why the metadata log cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// `quorum-state` is unusable.
    #[error("{0}")]
    Election(#[from] ElectionStateError),
    /// A batch cannot be decoded.
    #[error("metadata log, offset {offset}: {fault}")]
    BadBatch {
        /// The batch's first offset.
        offset: Offset,
        /// What is wrong.
        fault: BatchError,
    },
    /// A control record is not understood.
    #[error("metadata log, offset {offset}: {fault}")]
    BadControl {
        /// The record's offset.
        offset: Offset,
        /// What is wrong.
        fault: ControlError,
    },
    /// A batch does not begin where the one before it ends, or the last one not where the log does.
    #[error("metadata log: batch at offset {got}, expected {expected}")]
    Gap {
        /// Where the log ended.
        expected: Offset,
        /// Where the batch begins.
        got: Offset,
    },
    /// A batch bears an older epoch than the one before it.
    #[error("metadata log, offset {offset}: epoch {epoch}, expected {last} or more")]
    EpochDecreases {
        /// The batch's first offset.
        offset: Offset,
        /// Its epoch.
        epoch: LeaderEpoch,
        /// The epoch before it.
        last: LeaderEpoch,
    },
    /// The log begins above 0 and no snapshot tells what came before.
    #[error("metadata log begins at {log_start}, expected a snapshot up to there")]
    NoSnapshot {
        /// Where it begins.
        log_start: Offset,
    },
    /// Nobody votes: there is neither a voter set in the log nor `controller.quorum.voters`.
    #[error("no voters: format with --standalone or set controller.quorum.voters")]
    NoVoters,
    /// This replica is not among the voters.
    #[error(
        "directory.id is {}, expected that of a voter: with it node {id} is none, and observers are not supported yet", directory_id.unwrap_or(Uuid::ZERO)
    )]
    NotAVoter {
        /// The node.
        id: BrokerId,
        /// Its metadata directory; none if that has no id.
        directory_id: Option<Uuid>,
    },
    /// There are other voters.
    #[error("{count} voters: quorums of more than one are not supported yet")]
    SeveralVoters {
        /// How many.
        count: usize,
    },
    /// The log needs newer software.
    #[error("kraft.version {version} is not supported")]
    KRaftVersion {
        /// The version.
        version: i16,
    },
}

/// A replica that reads what it has.
#[derive(Debug)]
pub struct Loader {
    pub(crate) config: Config,
    pub(crate) election: ElectionState,
    pub(crate) history: ControlHistory,
    pub(crate) epochs: EpochHistory,
    /// The newest snapshot.
    pub(crate) snapshot: Option<SnapshotId>,
    pub(crate) log: LogRange,
    /// Where the next batch begins.
    next: Offset,
    /// The time of the newest record.
    pub(crate) last_timestamp: Timestamp,
}

/// The offsets of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogRange {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

impl Loader {
    /// Begins with the content of `quorum-state`; none if there is no such file.
    ///
    /// # Errors
    /// `Election`.
    pub fn new(config: Config, quorum_state: Option<&[u8]>) -> Result<Self, LoadError> {
        let election = quorum_state.map(ElectionState::parse).transpose()?.unwrap_or_default();
        let history = ControlHistory::new(config.static_voters.clone());
        Ok(Self {
            config,
            election,
            history,
            epochs: EpochHistory::default(),
            snapshot: None,
            log: LogRange::default(),
            next: Offset::ZERO,
            last_timestamp: Timestamp::NONE,
        })
    }

    /// The newest snapshot, before the log.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        assert_eq!(self.log.end, Offset::ZERO, "the snapshot comes before the log");
        let bootstrap = checkpoint.id == SnapshotId::BOOTSTRAP;
        let source = if bootstrap { VotersSource::Bootstrap } else { VotersSource::Snapshot };
        self.history.restart(source, checkpoint.kraft_version, checkpoint.voters.clone());
        self.snapshot = Some(checkpoint.id);
        self.next = checkpoint.id.end_offset;
        self.last_timestamp = checkpoint.last_timestamp;
    }

    /// The offset from which on records are to be applied: what is below is in the snapshot.
    pub fn snapshot_end(&self) -> Offset {
        self.snapshot.map_or(Offset::ZERO, |id| id.end_offset)
    }

    /// Where the log begins and ends, and where each of its epochs begins, in ascending order.
    ///
    /// # Errors
    /// `NoSnapshot`.
    pub fn log(
        &mut self,
        start: Offset,
        end: Offset,
        epochs: impl IntoIterator<Item = (LeaderEpoch, Offset)>,
    ) -> Result<(), LoadError> {
        if start > self.snapshot_end() {
            return Err(LoadError::NoSnapshot { log_start: start });
        }
        self.log = LogRange { start, end };
        // The batches tell the others.
        for (epoch, begins) in epochs.into_iter().take_while(|(_, begins)| *begins < self.next) {
            self.epochs.note(epoch, begins);
        }
        Ok(())
    }

    /// The next batch of the log. The first one may begin before the snapshot's end.
    ///
    /// # Errors
    /// `Gap`, `EpochDecreases`, `BadBatch`, `BadControl`.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> Result<(), LoadError> {
        let (base, end) = (batch.base_offset(), batch.next_offset());
        let is_next = match self.next == self.snapshot_end() {
            true => base <= self.next && self.next < end,
            false => base == self.next,
        };
        if !is_next {
            return Err(LoadError::Gap { expected: self.next, got: base });
        }
        let epoch = batch.partition_leader_epoch();
        let last = self.epochs.last().max(self.snapshot.map(|id| id.epoch));
        if let Some(last) = last.filter(|last| *last > epoch) {
            return Err(LoadError::EpochDecreases { offset: base, epoch, last });
        }
        if batch.attributes().is_control() {
            self.control(batch)?;
        }
        self.epochs.note(epoch, base.max(self.next));
        self.next = end;
        self.last_timestamp = self.last_timestamp.max(batch.max_timestamp());
        Ok(())
    }

    fn control(&mut self, batch: &BatchView<'_>) -> Result<(), LoadError> {
        let bad_batch = |fault| LoadError::BadBatch { offset: batch.base_offset(), fault };
        let payload = batch.decompress(DECOMPRESSED_SIZE_MAX).map_err(bad_batch)?;
        for record in payload.records() {
            let record = record.map_err(bad_batch)?;
            let offset = record.offset;
            let control = ControlRecord::parse(record.key, record.value)
                .map_err(|fault| LoadError::BadControl { offset, fault })?;
            if offset < self.snapshot_end() {
                continue;
            }
            match control {
                ControlRecord::KRaftVersion(record) => {
                    self.history.note_kraft_version(offset, record.kraft_version);
                }
                ControlRecord::Voters(record) => {
                    self.history.note_voters(offset, VoterSet::from_record(&record));
                }
                ControlRecord::LeaderChange(_)
                | ControlRecord::SnapshotHeader(_)
                | ControlRecord::SnapshotFooter(_) => {}
            }
        }
        Ok(())
    }

    /// All was read: take part. A sole voter leads at once; what follows from that waits in
    /// [`Raft::poll_output`].
    ///
    /// # Errors
    /// `Gap` if batches are missing; `NoVoters`, `NotAVoter`, `SeveralVoters`, `KRaftVersion`.
    pub fn start(self, now: Now) -> Result<Raft, LoadError> {
        if self.next < self.log.end {
            return Err(LoadError::Gap { expected: self.next, got: self.log.end });
        }
        let state = self.history.latest();
        if !(0..=crate::KRAFT_VERSION_MAX).contains(&state.kraft_version) {
            return Err(LoadError::KRaftVersion { version: state.kraft_version });
        }
        if state.voters.is_empty() {
            return Err(LoadError::NoVoters);
        }
        if state.voters.len() > 1 {
            return Err(LoadError::SeveralVoters { count: state.voters.len() });
        }
        if !state.voters.contains(&self.config.own) {
            let ReplicaKey { id, directory_id } = self.config.own;
            return Err(LoadError::NotAVoter { id, directory_id });
        }
        Ok(Raft::new(self, now))
    }
}
