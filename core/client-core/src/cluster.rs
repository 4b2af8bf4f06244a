//! The cluster as a client sees it: which topics matter, metadata that is fetched when it is
//! missing, wrong or old, and requests to brokers by their number.
//!
//! Every wait for metadata is bounded from below by a backoff, so a topic that does not exist costs
//! a few requests a second at most. When no known broker answers, the bootstrap servers are asked
//! again (KIP-1102). Not here: what callers ask brokers.

use std::collections::{BTreeSet, VecDeque};

use dohle_base::{BrokerId, ErrorCode, Instant, Rng, Str};
use dohle_protocol::{
    Request,
    api::metadata_request::{MetadataRequest, MetadataRequestTopic},
    api::metadata_response::MetadataResponseTopic,
};

use crate::{
    Address, ClientConfig, Metadata, RequestError,
    connections::{Answer, Body, Connections, Input, Output, Peer, Sending},
};

/// Connections and metadata together.
#[derive(Debug)]
pub(crate) struct Cluster<T> {
    pub(crate) config: ClientConfig,
    pub(crate) metadata: Metadata,
    pub(crate) rng: Rng,
    connections: Connections<Tag<T>>,
    topics: BTreeSet<Str>,
    auto_create: bool,
    update: Update,
    answers: VecDeque<Answer<T>>,
    closed: bool,
}

/// Whose request an answer is for.
#[derive(Debug)]
enum Tag<T> {
    Metadata,
    Caller(T),
}

/// When metadata is fetched.
#[derive(Debug, Default)]
struct Update {
    /// Somebody found it missing or wrong.
    needed: bool,
    in_flight: bool,
    /// No broker could be asked: connections will wake us, not the clock.
    no_peer: bool,
    /// Attempts in a row that left something open.
    failures: u32,
    not_before: Instant,
    /// Answers taken in so far.
    count: u64,
    last: Option<Instant>,
}

impl<T> Cluster<T> {
    /// Nothing known yet. `auto_create` lets brokers create topics that are asked for.
    pub(crate) fn new(config: ClientConfig, mut rng: Rng, auto_create: bool) -> Self {
        let connections = Connections::new(config.clone(), Rng::from_seed(rng.next_u64()));
        Self {
            config,
            metadata: Metadata::default(),
            rng,
            connections,
            topics: BTreeSet::new(),
            auto_create,
            update: Update { needed: true, ..Update::default() },
            answers: VecDeque::new(),
            closed: false,
        }
    }

    /// Metadata of `topic` is kept from now on.
    pub(crate) fn want_topic(&mut self, topic: &Str) {
        if !self.topics.contains(topic) {
            self.topics.insert(topic.clone());
            self.update.needed = true;
            // A new topic does not wait because another one was asked for a moment ago.
            self.update.not_before = Instant::default();
        }
    }

    /// Metadata of exactly these topics is kept from now on.
    pub(crate) fn want_topics(&mut self, topics: BTreeSet<Str>) {
        for gone in self.topics.difference(&topics) {
            self.metadata.forget(gone);
        }
        for topic in &topics {
            self.want_topic(topic);
        }
        self.topics = topics;
    }

    /// Metadata was found missing or wrong.
    pub(crate) fn request_update(&mut self) {
        self.update.needed = true;
    }

    /// How many answers have updated the metadata so far.
    pub(crate) fn update_count(&self) -> u64 {
        self.update.count
    }

    /// Whether a request can go to `broker` now; if not, its connection is begun.
    pub(crate) fn ready(&mut self, now: Instant, broker: BrokerId) -> bool {
        match self.metadata.broker(broker) {
            _ if self.closed => false,
            Some(known) => {
                let address = known.address.clone();
                self.connections.ready(now, Peer::Broker(broker), &address)
            }
            None => {
                self.update.needed = true;
                false
            }
        }
    }

    /// Whether a request can go to the coordinator on `broker` now.
    pub(crate) fn coordinator_ready(
        &mut self,
        now: Instant,
        broker: BrokerId,
        address: &Address,
    ) -> bool {
        !self.closed && self.connections.ready(now, Peer::Coordinator(broker), address)
    }

    /// Whether connecting to `peer` failed and is not tried again yet.
    pub(crate) fn is_backing_off(&self, now: Instant, peer: Peer) -> bool {
        self.connections.is_backing_off(now, peer)
    }

    /// The broker with the least to do; if none is connected, a connection is begun.
    pub(crate) fn any_ready(&mut self, now: Instant) -> Option<Peer> {
        if self.closed {
            return None;
        }
        let brokers: Vec<_> = self
            .metadata
            .brokers()
            .map(|broker| (Peer::Broker(broker.id), broker.address.clone()))
            .collect();
        if let Some(found) = self.pick(now, &brokers) {
            return found;
        }
        let servers = self.config.bootstrap_servers.iter().cloned().enumerate();
        let servers: Vec<_> = servers.map(|(at, address)| (Peer::Bootstrap(at), address)).collect();
        self.pick(now, &servers).flatten()
    }

    /// `Some` if one of `peers` is usable (then it is within) or about to be; `None` if all failed.
    fn pick(&mut self, now: Instant, peers: &[(Peer, Address)]) -> Option<Option<Peer>> {
        let usable = peers.iter().filter(|(peer, _)| self.connections.is_open(*peer));
        let least = usable.min_by_key(|(peer, _)| self.connections.in_flight(*peer));
        if let Some((peer, address)) = least {
            return Some(self.connections.ready(now, *peer, address).then_some(*peer));
        }
        let untried: Vec<_> =
            peers.iter().filter(|(peer, _)| !self.connections.is_backing_off(now, *peer)).collect();
        let connecting = untried.iter().find(|(peer, _)| self.connections.is_connecting(*peer));
        let chosen = usize::try_from(self.rng.below(untried.len() as u64)).unwrap_or(0);
        match connecting.or(untried.get(chosen)) {
            Some((peer, address)) => {
                self.connections.ready(now, *peer, address);
                Some(None)
            }
            None => {
                for (peer, address) in peers {
                    self.connections.ready(now, *peer, address);
                }
                None
            }
        }
    }

    /// The newest version of `M`, up to `cap`, that `peer` and we understand.
    ///
    /// # Errors
    /// `Disconnected` or `Unsupported`.
    pub(crate) fn version<M: Request>(&self, peer: Peer, cap: i16) -> Result<i16, RequestError> {
        self.connections.version::<M>(peer, cap)
    }

    /// Requests to `peer` without an answer.
    pub(crate) fn in_flight(&self, peer: Peer) -> usize {
        self.connections.in_flight(peer)
    }

    /// Sends a request; one answer with `tag` follows.
    pub(crate) fn send<M: Request>(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &M,
        sending: Sending,
        tag: T,
    ) {
        self.connections.send(now, peer, request, sending, Tag::Caller(tag));
    }

    /// Keeps silent towards `peer` for as long as it asked for.
    pub(crate) fn throttle(&mut self, now: Instant, peer: Peer, throttle_time_ms: i32) {
        self.connections.throttle(now, peer, throttle_time_ms);
    }

    /// Ends all connections, and begins none any more.
    pub(crate) fn close_all(&mut self, now: Instant) {
        self.connections.close_all(now);
        self.closed = true;
    }

    /// Takes what a socket did.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        self.connections.handle_input(now, input);
    }

    /// Does what is due: time-outs, and metadata.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.connections.handle_timeout(now);
        while let Some(Answer { peer, tag, outcome }) = self.connections.poll_answer() {
            match tag {
                Tag::Caller(tag) => self.answers.push_back(Answer { peer, tag, outcome }),
                Tag::Metadata => self.take_metadata(now, outcome),
            }
        }
        if self.connections.take_failed() {
            self.update.needed = true;
        }
        if !self.update.in_flight && self.update_due().is_some_and(|due| due <= now) {
            self.send_metadata_request(now);
        }
    }

    /// The next request of a caller that has an outcome.
    pub(crate) fn poll_answer(&mut self) -> Option<Answer<T>> {
        self.answers.pop_front()
    }

    /// What a socket shall do next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.connections.poll_output()
    }

    /// When to call [`Self::advance`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waits_for_clock = !self.update.in_flight && !self.update.no_peer;
        let update = self.update_due().filter(|_| waits_for_clock);
        [self.connections.poll_timeout(), update].into_iter().flatten().min()
    }

    /// When a silence that a broker asked for ends.
    pub(crate) fn throttled_until(&self, now: Instant) -> Option<Instant> {
        self.connections.throttled_until(now)
    }

    fn update_due(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let age = self.update.last.map(|last| last + self.config.metadata_max_age);
        if self.update.needed { Some(self.update.not_before) } else { age }
    }

    fn send_metadata_request(&mut self, now: Instant) {
        let Some(peer) = self.any_ready(now) else {
            self.update.no_peer = true;
            return;
        };
        self.update.no_peer = false;
        let version = match self.connections.version::<MetadataRequest>(peer, i16::MAX) {
            Ok(version) => version,
            Err(_) => return self.metadata_failed(now),
        };
        let named =
            |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(self.topics.iter().map(named).collect()),
            allow_auto_topic_creation: self.auto_create || version < 4,
            ..Default::default()
        };
        let sending = Sending { version, timeout: self.config.request_timeout, answered: true };
        self.update.in_flight = true;
        self.update.needed = false;
        self.connections.send(now, peer, &request, sending, Tag::Metadata);
    }

    fn take_metadata(&mut self, now: Instant, outcome: Result<Body, RequestError>) {
        self.update.in_flight = false;
        let response = outcome.and_then(Body::decode::<MetadataRequest>);
        match response {
            // An answer without brokers is of one that is only starting.
            Ok(response) if !response.error_code.is_error() && !response.brokers.is_empty() => {
                let open = response.topics.iter().any(has_open_questions);
                self.metadata.update(response);
                self.update.last = Some(now);
                self.update.count += 1;
                self.update.failures = if open { self.update.failures + 1 } else { 0 };
                self.set_update_pause(now);
                self.close_bootstrap(now);
            }
            Ok(_) | Err(_) => self.metadata_failed(now),
        }
    }

    fn metadata_failed(&mut self, now: Instant) {
        self.update.needed = true;
        self.update.failures += 1;
        self.set_update_pause(now);
    }

    fn set_update_pause(&mut self, now: Instant) {
        let failures = self.update.failures.max(1);
        self.update.not_before = now + self.config.retry().delay(failures, &mut self.rng);
    }

    /// Once brokers are known by number, the first connection is not needed twice.
    fn close_bootstrap(&mut self, now: Instant) {
        for at in 0..self.config.bootstrap_servers.len() {
            let peer = Peer::Bootstrap(at);
            if self.connections.in_flight(peer) == 0 {
                self.connections.close(now, peer);
            }
        }
    }
}

/// Whether an answer about a topic is one that will be different soon.
fn has_open_questions(topic: &MetadataResponseTopic) -> bool {
    topic.error_code.is_retriable()
        || topic.partitions.iter().any(|partition| {
            partition.error_code == ErrorCode::LEADER_NOT_AVAILABLE
                || partition.leader_id == BrokerId::NONE
        })
}

#[cfg(test)]
mod tests;
