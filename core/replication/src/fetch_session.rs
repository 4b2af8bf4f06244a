//! Incremental fetch sessions (KIP-227): the broker remembers what a consumer fetches, so that a
//! request names only what changed and an answer only what has news.
//!
//! ```text
//!   request (id, epoch)        meaning                                answer
//!   any,  -1                   no session; closes `id` if it exists   every partition asked for
//!   any,   0                   full fetch; closes `id`, asks for one  every partition, new id or 0
//!   id,  1, 2, … i32::MAX, 1   incremental                            only partitions with news
//! ```
//!
//! The epoch counts the requests of a session: one that arrives twice or out of order is refused.
//! Not here: reading partitions and waiting for them.

use std::{collections::BTreeMap, time::Duration};

use dohle_base::{ErrorCode, Instant, LeaderEpoch, Offset, PartitionId, Rng, Str, TopicId};
use smallvec::SmallVec;

/// What one request wants of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedPartition {
    /// The topic's id; zero in requests that name topics (before version 13).
    pub topic_id: TopicId,
    /// The topic's name; empty in requests that give ids.
    pub topic: Str,
    /// Which partition of it.
    pub partition: PartitionId,
    /// From where to read.
    pub fetch_offset: Offset,
    /// At most this many bytes, unless the first batch is larger.
    pub max_bytes: i32,
    /// The leader epoch that the consumer knows, or none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record that the consumer has, or none.
    pub last_fetched_epoch: LeaderEpoch,
}

/// The session part of a fetch request.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRequest {
    /// Which session, 0 for none.
    pub id: i32,
    /// −1, 0, or the number of this request in its session.
    pub epoch: i32,
    /// Whether topics come as ids (version 13 and later).
    pub by_topic_id: bool,
    /// Partitions new or changed in this request.
    pub wanted: SmallVec<[WantedPartition; 1]>,
    /// Partitions to drop from the session.
    pub forgotten: Vec<(TopicId, Str, PartitionId)>,
}

/// What to read for one request, and how to answer it.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchPlan {
    /// In the order in which to serve them.
    pub partitions: SmallVec<[WantedPartition; 1]>,
    kind: PlanKind,
    by_topic_id: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum PlanKind {
    Sessionless,
    Full,
    Incremental { id: i32 },
}

impl SessionRequest {
    /// What to read for a request that has no session, opens none and closes none, taken out of it: no cache
    /// needs to be asked. `None` for any other, which is left as it is.
    pub fn without_session(&mut self) -> Option<FetchPlan> {
        let has_none = (self.id, self.epoch) == (0, -1);
        has_none.then(|| FetchPlan {
            partitions: std::mem::take(&mut self.wanted),
            kind: PlanKind::Sessionless,
            by_topic_id: self.by_topic_id,
        })
    }
}

impl FetchPlan {
    /// How to answer where there is no session; `None` if the cache has to be asked.
    pub fn shape_without_session(&self) -> Option<AnswerShape> {
        let included = || SmallVec::from_elem(true, self.partitions.len());
        let is_alone = self.kind == PlanKind::Sessionless;
        is_alone.then(|| AnswerShape { session_id: 0, included: included() })
    }
}

/// What was found in one partition, as far as it decides whether there is news.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartitionNews {
    /// The error told for this partition.
    pub error: ErrorCode,
    /// The high watermark told.
    pub high_watermark: Offset,
    /// The log start told.
    pub log_start_offset: Offset,
    /// Whether records are in the answer.
    pub has_records: bool,
    /// Whether a diverging epoch or a preferred replica is in the answer.
    pub has_advice: bool,
}

/// Which partitions stay in an answer, and under which session id.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerShape {
    /// The session id to tell, 0 if there is none.
    pub session_id: i32,
    /// For each partition of the plan, in order: is it in the answer?
    pub included: SmallVec<[bool; 16]>,
}

/// Bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionLimits {
    /// How many sessions are kept (`max.incremental.fetch.session.cache.slots`).
    pub slots: usize,
    /// How many partitions they remember together.
    pub partitions: usize,
    /// How long a session may be idle before a new one may take its place. Source: Kafka, 2 minutes.
    pub evictable_after: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { slots: 1_000, partitions: PARTITIONS_MAX, evictable_after: Duration::from_secs(120) }
    }
}

/// About 300 bytes are kept for a partition, so this is 75 MB: Kafka has no such bound, and lets one
/// client fill its memory with 1,000 sessions of as many partitions as fit into a request.
const PARTITIONS_MAX: usize = 250_000;

type PartitionKey = (TopicId, Str, PartitionId);

#[derive(Debug)]
struct Remembered {
    wanted: WantedPartition,
    high_watermark: Offset,
    log_start_offset: Offset,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_topic_id: bool,
    last_used: Instant,
    /// In serving order: a partition that just gave records goes to the end.
    order: BTreeMap<u64, Remembered>,
    places: BTreeMap<PartitionKey, u64>,
    next_place: u64,
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct SessionCache {
    limits: SessionLimits,
    rng: Rng,
    sessions: BTreeMap<i32, Session>,
    /// The partitions of all of them.
    partitions: usize,
}

fn key_of(wanted: &WantedPartition) -> PartitionKey {
    (wanted.topic_id, wanted.topic.clone(), wanted.partition)
}

fn epoch_after(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

impl Session {
    fn new(by_topic_id: bool, now: Instant) -> Self {
        Self {
            epoch: 1,
            by_topic_id,
            last_used: now,
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        }
    }

    fn want(&mut self, wanted: WantedPartition) {
        if let Some(remembered) =
            self.places.get(&key_of(&wanted)).and_then(|place| self.order.get_mut(place))
        {
            remembered.wanted = wanted;
            return;
        }
        self.places.insert(key_of(&wanted), self.next_place);
        // −1: whatever is found first is news.
        let unknown = Offset(-1);
        let remembered = Remembered { wanted, high_watermark: unknown, log_start_offset: unknown };
        self.order.insert(self.next_place, remembered);
        self.next_place += 1;
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    /// Whether the news must be told; remembers them. A partition dropped meanwhile is told once more.
    fn note(&mut self, key: &PartitionKey, news: &PartitionNews) -> bool {
        let Some(place) = self.places.get(key).copied() else {
            return true;
        };
        let Some(remembered) = self.order.get_mut(&place) else {
            return true;
        };
        let told = news.has_records
            || news.has_advice
            || news.error.is_error()
            || news.high_watermark != remembered.high_watermark
            || news.log_start_offset != remembered.log_start_offset;
        remembered.log_start_offset = news.log_start_offset;
        // After an error the next answer must be told whatever it is.
        remembered.high_watermark =
            if news.error.is_error() { Offset(-1) } else { news.high_watermark };
        if news.has_records
            && let Some(remembered) = self.order.remove(&place)
        {
            self.order.insert(self.next_place, remembered);
            self.places.insert(key.clone(), self.next_place);
            self.next_place += 1;
        }
        told
    }
}

impl SessionCache {
    /// An empty cache; `rng` gives the ids, which must be hard to hit by accident, not secret.
    pub fn new(limits: SessionLimits, rng: Rng) -> Self {
        Self { limits, rng, sessions: BTreeMap::new(), partitions: 0 }
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    /// How many partitions they remember together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// What to read for `request`.
    ///
    /// # Errors
    /// The code that the whole answer carries: the session is not known or grew beyond what all may
    /// remember, the epoch is not the next one, or the request changed between names and ids.
    pub fn begin(&mut self, now: Instant, request: SessionRequest) -> Result<FetchPlan, ErrorCode> {
        let SessionRequest { id, epoch, by_topic_id, wanted, forgotten } = request;
        if epoch <= 0 {
            self.close(id);
            let kind = if epoch == 0 { PlanKind::Full } else { PlanKind::Sessionless };
            return Ok(FetchPlan { partitions: wanted, kind, by_topic_id });
        }
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.by_topic_id != by_topic_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        let before = session.order.len();
        for key in &forgotten {
            session.forget(key);
        }
        for wanted in wanted {
            session.want(wanted);
        }
        let after = session.order.len();
        session.epoch = epoch_after(epoch);
        session.last_used = now;
        let partitions = session.order.values().map(|known| known.wanted.clone()).collect();
        self.partitions = self.partitions - before + after;
        if after > before && self.partitions > self.limits.partitions {
            self.close(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if after == 0 {
            self.close(id);
            let kind = PlanKind::Sessionless;
            return Ok(FetchPlan { partitions: SmallVec::new(), kind, by_topic_id });
        }
        Ok(FetchPlan { partitions, kind: PlanKind::Incremental { id }, by_topic_id })
    }

    /// What of the findings, one for each partition of `plan`, is told.
    ///
    /// # Panics
    /// When the counts differ.
    pub fn finish(
        &mut self,
        now: Instant,
        plan: &FetchPlan,
        news: &[PartitionNews],
    ) -> AnswerShape {
        assert_eq!(plan.partitions.len(), news.len(), "one finding for each partition");
        let everything = || SmallVec::from_elem(true, news.len());
        match plan.kind {
            PlanKind::Sessionless => AnswerShape { session_id: 0, included: everything() },
            PlanKind::Full => {
                AnswerShape { session_id: self.create(now, plan, news), included: everything() }
            }
            PlanKind::Incremental { id } => {
                // Closed meanwhile by another request: tell everything, the client starts anew.
                let Some(session) = self.sessions.get_mut(&id) else {
                    return AnswerShape { session_id: 0, included: everything() };
                };
                let included = plan
                    .partitions
                    .iter()
                    .zip(news)
                    .map(|(wanted, news)| session.note(&key_of(wanted), news))
                    .collect();
                AnswerShape { session_id: id, included }
            }
        }
    }

    fn create(&mut self, now: Instant, plan: &FetchPlan, news: &[PartitionNews]) -> i32 {
        if plan.partitions.is_empty() || !self.make_room(now, plan.partitions.len()) {
            return 0;
        }
        let id = self.unused_id();
        let mut session = Session::new(plan.by_topic_id, now);
        for (wanted, news) in plan.partitions.iter().zip(news) {
            session.want(wanted.clone());
            session.note(&key_of(wanted), news);
        }
        self.partitions += session.order.len();
        self.sessions.insert(id, session);
        id
    }

    /// Room for one more session with that many partitions, if sessions that are idle must go.
    fn make_room(&mut self, now: Instant, partitions: usize) -> bool {
        if partitions > self.limits.partitions {
            return false;
        }
        while self.sessions.len() >= self.limits.slots
            || self.partitions + partitions > self.limits.partitions
        {
            let Some(idle) = self.idle(now) else { return false };
            self.close(idle);
        }
        true
    }

    /// The session that was idle longest, if that is long enough.
    fn idle(&self, now: Instant) -> Option<i32> {
        let (id, session) = self.sessions.iter().min_by_key(|(_, session)| session.last_used)?;
        (now.since(session.last_used) > self.limits.evictable_after).then_some(*id)
    }

    fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.order.len();
        }
    }

    fn unused_id(&mut self) -> i32 {
        loop {
            let id = 1 + self.rng.below(i32::MAX as u64) as i32;
            if id > 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
