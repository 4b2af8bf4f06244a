//! A partition that this node holds: its leader state behind a short lock.
//!
//! The lock is never held across an await, and nothing that waits for a sync happens under it on the
//! way of a request.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, Timestamp, TopicId, Uuid};
use dohle_log::{AppendError, Appended, Origin};
use dohle_metadata::Topic;
use dohle_os::OsDisk;
use dohle_replication::{Leader, wait::Wait};

use crate::{
    cleaner::Cleaner,
    durability::WriteAhead,
    log_dirs::LogDir,
    open_files::{Choice, Fate},
};

/// One partition.
#[derive(Debug)]
pub struct Partition {
    me: Weak<Self>,
    topic: Str,
    topic_id: TopicId,
    index: PartitionId,
    /// The log directory that it lies in.
    dir: ArcSwap<LogDir>,
    /// Whether something in it is not flushed.
    is_dirty: AtomicBool,
    /// Whether clients have used it since `open_files` last went round.
    is_used: AtomicBool,
    /// Whether it stands in the ring of `open_files`.
    is_in_ring: AtomicBool,
    state: Mutex<State>,
    /// Is told when a compacted log begins another segment.
    cleaner: Cleaner,
    /// Held while the log is cleaned.
    cleaning: Mutex<()>,
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
        topic: &Topic,
        index: PartitionId,
        dir: Arc<LogDir>,
        state: State,
        cleaner: Cleaner,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            topic: topic.name.clone(),
            topic_id: topic.id,
            index,
            dir: ArcSwap::new(dir),
            is_dirty: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            is_in_ring: AtomicBool::new(false),
            state: Mutex::new(state),
            cleaner,
            cleaning: Mutex::new(()),
        })
    }

    /// What tells it apart from all others that this node has held.
    pub fn key(&self) -> (TopicId, PartitionId) {
        (self.topic_id, self.index)
    }

    /// Waits until nobody cleans the log, and keeps others from it.
    pub(crate) fn cleaning(&self) -> MutexGuard<'_, ()> {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log is being cleaned at this moment.
    pub(crate) fn is_being_cleaned(&self) -> bool {
        matches!(self.cleaning.try_lock(), Err(TryLockError::WouldBlock))
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
        self.dir.load().id
    }

    /// The log directory that it lies in.
    pub(crate) fn log_dir(&self) -> Arc<LogDir> {
        self.dir.load_full()
    }

    /// It lies in another log directory from now on. Under the lock of the state.
    pub(crate) fn move_to(&self, dir: Arc<LogDir>) {
        self.dir.store(dir);
    }

    /// Whether its appends go this way to the disk.
    pub(crate) fn goes(&self, way: &WriteAhead) -> bool {
        std::ptr::eq(self.dir.load().write_ahead(), way)
    }

    /// Notes that something is not flushed; `false` if that was noted before.
    pub(crate) fn mark_dirty(&self) -> bool {
        !self.is_dirty.swap(true, Ordering::AcqRel)
    }

    /// A flush of all that is there begins.
    pub(crate) fn clear_dirty(&self) {
        self.is_dirty.store(false, Ordering::Release);
    }

    /// Everything below `end` is on the disk.
    pub(crate) fn synced(&self, end: Offset) {
        // If it is not led any more nobody waits.
        let _ = self.with_leader(|leader| leader.synced(end));
    }

    /// Takes it out of service; whoever waits at it is told.
    pub(crate) fn take_offline(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Offline);
        if let State::Led(mut leader) = state {
            leader.interrupt();
        }
    }

    /// Something in it may not be durable: it is to be flushed soon.
    pub(crate) fn unflushed(self: &Arc<Self>) {
        self.dir.load().write_ahead().unflushed(self);
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
        let (result, has_files) = self.with_led(act)?;
        if has_files {
            self.note_open_files();
        }
        Ok(result)
    }

    /// The same, and whether the log has files open then.
    fn with_led<R>(
        &self,
        act: impl FnOnce(&mut Leader<OsDisk>) -> R,
    ) -> Result<(R, bool), ErrorCode> {
        match &mut *self.state() {
            State::Led(leader) => {
                let written = leader.log().active_base_offset();
                let result = act(leader);
                let log = leader.log();
                // Only closed segments are cleaned, so this is all that can make it due.
                if log.active_base_offset() != written && log.config().compacted {
                    self.cleaner.ring();
                }
                Ok((result, log.has_open_files()))
            }
            State::Offline => Err(ErrorCode::KAFKA_STORAGE_ERROR),
            State::NotLed => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }

    /// The log has files open: where there are too many, some others' are closed. Its state is not
    /// locked.
    fn note_open_files(&self) {
        let dir = self.dir.load();
        let files = dir.open_files();
        if !self.is_in_ring.load(Ordering::Relaxed) && !self.is_in_ring.swap(true, Ordering::AcqRel)
        {
            files.enter(Weak::clone(&self.me));
        }
        if files.are_too_many() {
            files.make_room();
        }
    }

    /// Closes the files of its log, if it is of the kind that is to be closed and nobody is at it.
    pub(crate) fn close_files(&self, choice: Choice) -> Fate {
        if choice == Choice::Resting && self.is_used.swap(false, Ordering::Relaxed)
            || choice != Choice::Any && self.is_dirty.load(Ordering::Acquire)
        {
            return Fate::Kept;
        }
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Fate::Kept,
        };
        let mut fate = Fate::HadNone;
        if let State::Led(leader) = &mut *state
            && leader.log().has_open_files()
        {
            let log = leader.log_mut();
            if choice != Choice::Any && !log.is_flushed() {
                return Fate::Kept;
            }
            log.release_files();
            fate = Fate::Closed;
        }
        // Under the lock: who opens a file from here on enters the ring again.
        self.is_in_ring.store(false, Ordering::Release);
        fate
    }

    /// Somebody needs it: it is none of those whose files are closed first.
    fn note_use(&self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
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
        self.note_use();
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

    /// Appends batches, and says whether they are committed: if not, they will be once they are
    /// durable, see `is_committed`.
    ///
    /// # Errors
    /// The log refuses; or the partition is offline, or not led here.
    pub fn append(
        self: &Arc<Self>,
        batches: &[u8],
        origin: Origin,
        now: Timestamp,
    ) -> Result<Result<(Appended, bool), AppendError>, ErrorCode> {
        self.note_use();
        self.with_leader(|leader| {
            // Under the lock: it may have moved to another directory.
            let dir = self.dir.load();
            let way = dir.write_ahead();
            if way.has_failed() {
                return Err(ErrorCode::KAFKA_STORAGE_ERROR);
            }
            let rule = leader.commit_rule();
            let appended = leader.append(batches, origin, now, |end, slices| {
                way.written(self, rule, end, slices);
            });
            Ok(appended
                .map(|appended| (appended, leader.is_committed(appended.last_offset.next()))))
        })?
    }

    /// Whether everything below `end` is committed; if not, `wait` will hear when it is.
    ///
    /// # Errors
    /// As `with_leader`.
    pub fn is_committed(&self, end: Offset, wait: &Arc<Wait>) -> Result<bool, ErrorCode> {
        self.with_leader(|leader| {
            let is_committed = leader.is_committed(end);
            if !is_committed {
                leader.await_commit(end, wait);
            }
            is_committed
        })
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
