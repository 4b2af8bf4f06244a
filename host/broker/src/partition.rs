//! A partition that this node holds: its leader state behind a short lock.
//!
//! The lock is never held across an await, and nothing that waits for a sync happens under it on the
//! way of a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, Timestamp, TopicId, Uuid};
use dohle_log::{AppendError, Appended, Origin};
use dohle_os::OsDisk;
use dohle_replication::Leader;

/// One partition.
#[derive(Debug)]
pub struct Partition {
    topic: Str,
    topic_id: TopicId,
    index: PartitionId,
    /// The log directory that it lies in.
    directory: Uuid,
    state: Mutex<State>,
}

/// What this node can do with the partition.
#[derive(Debug)]
pub enum State {
    /// It leads.
    Led(Box<Leader<OsDisk>>),
    /// The log could not be opened, or its directory has failed; the reason was logged.
    Offline,
    /// Another broker leads, or the partition was deleted.
    NotLed,
}

impl Partition {
    /// A partition whose state the publisher has found out.
    pub fn new(
        topic: Str,
        topic_id: TopicId,
        index: PartitionId,
        directory: Uuid,
        state: State,
    ) -> Arc<Self> {
        Arc::new(Self { topic, topic_id, index, directory, state: Mutex::new(state) })
    }

    /// The topic's name.
    pub fn topic(&self) -> &Str {
        &self.topic
    }

    /// The topic's id.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Its number in the topic.
    pub fn index(&self) -> PartitionId {
        self.index
    }

    /// The log directory that it lies in.
    pub fn directory(&self) -> Uuid {
        self.directory
    }

    /// The state, to change it or to look at it: not for requests.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock left the log as it was before or after a whole step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node leads it.
    pub fn is_led(&self) -> bool {
        matches!(&*self.state(), State::Led(_))
    }

    /// Lets `act` work with the leader, if this node leads.
    ///
    /// # Errors
    /// `KAFKA_STORAGE_ERROR` if the partition is offline, `NOT_LEADER_OR_FOLLOWER` if it is not led
    /// here.
    pub fn with_leader<R>(
        &self,
        act: impl FnOnce(&mut Leader<OsDisk>) -> R,
    ) -> Result<R, ErrorCode> {
        match &mut *self.state() {
            State::Led(leader) => Ok(act(leader)),
            State::Offline => Err(ErrorCode::KAFKA_STORAGE_ERROR),
            State::NotLed => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }

    /// As `with_leader`, for a client that may say which epoch it believes in.
    ///
    /// # Errors
    /// Those, and `FENCED_LEADER_EPOCH` or `UNKNOWN_LEADER_EPOCH` if the client believes in an older
    /// or a later one. Source: KIP-320.
    pub fn with_leader_in<R>(
        &self,
        believed: LeaderEpoch,
        act: impl FnOnce(&mut Leader<OsDisk>) -> R,
    ) -> Result<R, ErrorCode> {
        self.with_leader(|leader| {
            let epoch = leader.epoch();
            if believed == LeaderEpoch::NONE || believed == epoch {
                Ok(act(leader))
            } else if believed < epoch {
                Err(ErrorCode::FENCED_LEADER_EPOCH)
            } else {
                Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
            }
        })?
    }

    /// Appends what a coordinator of this node writes.
    ///
    /// # Errors
    /// The code that the coordinator's caller is told.
    pub fn append(
        &self,
        batch: &[u8],
        origin: Origin,
        now: Timestamp,
    ) -> Result<Appended, ErrorCode> {
        let appended = self.with_leader(|leader| leader.append(batch, origin, now))?;
        appended.map_err(|error| self.append_error(&error))
    }

    /// The end of what is committed; 0 if this node does not lead.
    pub fn high_watermark(&self) -> Offset {
        self.with_leader(|leader| leader.standing().high_watermark).unwrap_or(Offset::ZERO)
    }

    /// What a client is told about a failed append. What the disk did is logged.
    pub fn append_error(&self, error: &AppendError) -> ErrorCode {
        crate::storage::append_error(error, self)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}
