//! The quorum under `__cluster_metadata`: who may append, what is committed, and what must be on the
//! disk before anyone is told.
//!
//! [`Loader`] takes what the host read from the disk and gives a [`Raft`]; from then on
//! [`Raft::handle`] takes what happened, [`Raft::poll_output`] gives what to do, in order, and
//! whatever must not be seen before something is durable stays inside until
//! [`Input::Persisted`] says so.
//!
//! ```text
//!   quorum-state, checkpoint, log ──▶ Loader ──▶ Raft ──▶ PersistElection, Append, HighWatermark, …
//!                                                 ▲                │
//!                                                 └── Persisted ◀──┘ host: write, fsync
//! ```
//!
//! A quorum of one votes and leads here; several voters are refused with an error that says so.
//! What is counted (votes, replicated offsets, majorities) is counted for any number of voters.
//!
//! Not here: files, sockets, clocks, and what the records mean.

mod batch;
mod candidate;
mod checkpoint;
mod control;
mod describe;
mod election;
mod epochs;
mod history;
mod identity;
mod leader;
mod load;
mod output;
mod progress;
mod prospective;
mod quorum;
mod raft;
mod resigned;
mod retention;
mod snapshot_id;
mod unattached;
mod voters;

pub use batch::{BATCH_SIZE_MAX, data_values};
pub use checkpoint::{Checkpoint, CheckpointBuilder, CheckpointError};
pub use control::{ControlError, ControlRecord};
pub use describe::{QuorumDescription, ReplicaState};
pub use election::{ElectionState, ElectionStateError};
pub use epochs::EpochHistory;
pub use history::{ControlHistory, ControlState, VotersSource};
pub use identity::{Endpoint, ReplicaKey};
pub use leader::Leader;
pub use load::{Config, LoadError, Loader};
pub use output::{Input, Output, Token};
pub use progress::{Progress, majority_end};
pub use raft::{AppendError, Raft};
pub use retention::{Retention, StoredSnapshot};
pub use snapshot_id::SnapshotId;
pub use voters::{KRAFT_VERSION_MAX, StaticVotersError, Voter, VoterSet};

/// The directory of the metadata log's one partition.
pub const METADATA_LOG_DIR: &str = "__cluster_metadata-0";

/// The file that holds the vote and the leader, in the directory of the metadata log.
pub const QUORUM_STATE_FILE: &str = "quorum-state";
