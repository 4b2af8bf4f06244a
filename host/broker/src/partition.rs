//! A partition that this node holds: its leader state behind a short lock.
//!
//! The lock is never held across an await, and nothing that waits for a sync happens under it on the
//! way of a request, but for one: a log whose first segment ends before its first flush, which comes after
//! 5 s or 128 MiB, syncs its directory before it begins the second one (`Log::roll`).

use std::{
    io::IoSlice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, Timestamp, TopicId, Uuid};
use dohle_log::{AppendError, Appended, Log, Origin, Results};
use dohle_metadata::Topic;
use dohle_replication::{Leader, wait::Wait};

use crate::{
    cleaner::Cleaner,
    disk::NodeDisk,
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
    /// Up to where something in its log is in no frame of the write-ahead log and not on the disk yet; 0 if
    /// there is no such thing. Changed under the lock of the state.
    unframed_end: AtomicI64,
    /// When whoever of its producers wrote longest ago did so, or before; `i64::MAX` if it has none. Tells
    /// without the lock of the state whether one may have expired.
    oldest_producer: AtomicI64,
    /// Whether the publisher has found that `acks=all` would not be kept; see there, `in_sync`.
    refuses_acks_all: AtomicBool,
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
    Led(Box<Leader<NodeDisk>>),
    /// The log could not be opened, or its directory has failed; the reason was logged.
    Offline,
    /// Nobody leads, or another broker. What the write-ahead log has of it, its log may lack.
    NotLed,
    /// It was deleted, or its log was closed for the stop.
    Gone,
}

impl State {
    /// Nothing is left to take out of service of one that is gone; whoever waits at another is told.
    fn take_offline(&mut self) {
        if matches!(self, Self::Gone) {
            return;
        }
        if let Self::Led(mut leader) = std::mem::replace(self, Self::Offline) {
            leader.interrupt();
        }
    }
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
        let oldest_producer = match &state {
            State::Led(leader) => oldest_producer(leader.log()),
            State::Offline | State::NotLed | State::Gone => i64::MAX,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            topic: topic.name.clone(),
            topic_id: topic.id,
            index,
            dir: ArcSwap::new(dir),
            is_dirty: AtomicBool::new(false),
            unframed_end: AtomicI64::new(0),
            oldest_producer: AtomicI64::new(oldest_producer),
            refuses_acks_all: AtomicBool::new(false),
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

    /// The same, if nobody cleans the log at this moment.
    pub(crate) fn try_cleaning(&self) -> Option<MutexGuard<'_, ()>> {
        match self.cleaning.try_lock() {
            Ok(here) => Some(here),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
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

    /// What ends at `end` in its log is in no frame: its segments are to be synced. Until they are, that is
    /// so of all that comes behind it, too: a frame makes nothing durable behind a hole. Under the lock of
    /// the state.
    pub(crate) fn leave_unframed(&self, end: Offset) {
        self.unframed_end.fetch_max(end.0, Ordering::AcqRel);
    }

    /// What is in its log is about to be synced, before any frame is written that has what comes behind
    /// it. Under the lock of the state.
    pub(crate) fn may_be_framed(&self) {
        self.unframed_end.store(0, Ordering::Release);
    }

    /// Whether what is appended now is not for a frame.
    pub(crate) fn is_unframed(&self) -> bool {
        self.unframed_end.load(Ordering::Acquire) > 0
    }

    /// Frames on the disk have all below `end` that is not there in segments.
    pub(crate) fn frames_synced(&self, end: Offset) {
        // If it is not led any more nobody waits.
        let _ = self.with_leader(|leader| leader.synced(end));
    }

    /// Everything below `end` is on the disk in its segments; `leader` is its own.
    pub(crate) fn segments_synced(&self, leader: &mut Leader<NodeDisk>, end: Offset) {
        leader.synced(end);
        if self.unframed_end.load(Ordering::Acquire) <= end.0 {
            self.unframed_end.store(0, Ordering::Release);
        }
    }

    /// Takes it out of service, unless it is gone; whoever waits at it is told.
    pub(crate) fn take_offline(&self) {
        self.state().take_offline();
    }

    /// The same, unless its appends go another way to the disk by now; says whether they do not.
    pub(crate) fn take_offline_from(&self, way: &WriteAhead) -> bool {
        let mut state = self.state();
        // A move changes it under the lock of the state.
        let goes = self.goes(way);
        if goes {
            state.take_offline();
        }
        goes
    }

    /// Its log was opened, or could not be: it was not led before.
    pub(crate) fn opened(&self, opened: State) {
        let mut state = self.state();
        if let State::Led(leader) = &opened {
            self.oldest_producer.store(oldest_producer(leader.log()), Ordering::Relaxed);
        }
        *state = opened;
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

    /// Whether it takes nothing whose writer counts on all that are in sync. Of one that is not led here
    /// that is not said.
    pub(crate) fn refuses_acks_all(&self) -> bool {
        self.refuses_acks_all.load(Ordering::Relaxed) && self.is_led()
    }

    /// From now on it is so or not; says whether that is news.
    pub(crate) fn set_refuses_acks_all(&self, refuses: bool) -> bool {
        self.refuses_acks_all.swap(refuses, Ordering::Relaxed) != refuses
    }

    /// Whether nobody needs anything of it here any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(&*self.state(), State::Gone)
    }

    /// Lets `act` work with the leader, if this node leads.
    ///
    /// # Errors
    /// `KAFKA_STORAGE_ERROR` if the partition is offline, `NOT_LEADER_OR_FOLLOWER` if it is not led
    /// here.
    pub fn with_leader<R>(
        &self,
        act: impl FnOnce(&mut Leader<NodeDisk>) -> R,
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
        act: impl FnOnce(&mut Leader<NodeDisk>) -> R,
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
                let oldest = oldest_producer(log);
                if self.oldest_producer.load(Ordering::Relaxed) != oldest {
                    self.oldest_producer.store(oldest, Ordering::Relaxed);
                }
                Ok((result, log.has_open_files()))
            }
            State::Offline => Err(ErrorCode::KAFKA_STORAGE_ERROR),
            State::NotLed | State::Gone => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }

    /// Forgets producers that wrote for the last time so long ago, and says how many. Where that is
    /// nobody the state is not locked.
    pub(crate) fn expire_producers(&self, now: Timestamp, expiration_ms: i64) -> usize {
        let oldest = self.oldest_producer.load(Ordering::Relaxed);
        if now.0.saturating_sub(oldest) < expiration_ms {
            return 0;
        }
        // One that is not led here forgets them when it is opened.
        self.with_leader(|leader| leader.log_mut().expire_producers(now)).unwrap_or(0)
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
            fate = Fate::Closed { files: log.open_file_count() };
            log.release_files();
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
        act: impl FnOnce(&mut Leader<NodeDisk>) -> R,
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
    /// The log refuses; or the partition is offline, or not led here. `NOT_ENOUGH_REPLICAS` if others than
    /// this node would have to have what a coordinator writes.
    pub fn append(
        self: &Arc<Self>,
        batches: &[u8],
        origin: Origin,
        now: Timestamp,
    ) -> Result<Result<(Appended, bool), AppendError>, ErrorCode> {
        if origin == Origin::Coordinator && self.refuses_acks_all() {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        self.with_writer(|leader, dir, written| {
            let appended = leader.append(batches, origin, now, written);
            let appended = appended.inspect_err(|error| dir.judge_append(error))?;
            Ok((appended, leader.is_committed(appended.last_offset.next())))
        })
    }

    /// Appends what several requests brought, one batch of each, see `Log::append_each`; and says up
    /// to where all is committed then.
    ///
    /// # Errors
    /// The partition is offline, or not led here.
    pub fn append_each<'a>(
        self: &Arc<Self>,
        batches: impl ExactSizeIterator<Item = &'a [u8]>,
        now: Timestamp,
    ) -> Result<(Results, Offset), ErrorCode> {
        self.with_writer(|leader, dir, written| {
            let results = leader.append_each(batches, now, written);
            results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .for_each(|error| dir.judge_append(error));
            (results, leader.high_watermark())
        })
    }

    /// Lets `act` append, and what it shows of that become durable. It is given the log directory, which is
    /// to judge what fails: after the lock the partition may have moved to another one.
    fn with_writer<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Leader<NodeDisk>, &LogDir, &mut dyn FnMut(Offset, &[IoSlice<'_>])) -> R,
    ) -> Result<R, ErrorCode> {
        self.note_use();
        self.with_leader(|leader| {
            // Under the lock: it may have moved to another directory.
            let dir = self.dir.load();
            let way = dir.write_ahead();
            if way.has_failed() || way.refuses_appends() {
                return Err(ErrorCode::KAFKA_STORAGE_ERROR);
            }
            let rule = leader.commit_rule();
            Ok(act(leader, &dir, &mut |end, slices| way.written(self, rule, end, slices)))
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

    /// What a client is told about a failed append. What the disk did is logged; it was judged by then.
    pub fn append_error(&self, error: &AppendError) -> ErrorCode {
        crate::storage::append_error(error, self)
    }
}

fn oldest_producer(log: &Log<NodeDisk>) -> i64 {
    log.oldest_producer().map_or(i64::MAX, |time| time.0)
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}
