//! One pipeline of requests to each peer: connecting, agreeing on versions, matching answers to
//! requests, time-outs, and waiting before coming back to a peer that failed.
//!
//! ```text
//!   Down ──ready()──▶ Connecting ──Connected──▶ Negotiating ──versions──▶ Ready
//!    ▲ retry_at            │                        │                      │
//!    └─────────────────────┴──── Closed, time-out, bytes that make no sense ┘
//! ```
//!
//! A broker answers a connection's requests in order, so an answer belongs to the oldest request;
//! any other correlation id ends the connection. Every request handed in gets exactly one
//! [`Answer`]. A new attempt gets a new [`LinkId`], so news of an old socket is recognised.
//!
//! Not here: what the requests mean, and which peer to ask.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use dohle_base::{BrokerId, Instant, Rng};
use dohle_protocol::{ApiKey, Request, Writer, decode_response, encode_request};

use crate::{config::Address, config::ClientConfig, error::RequestError, versions::BrokerVersions};

mod negotiation;

use negotiation::{Negotiation, Step};

/// One attempt at a socket. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a socket did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is connected.
    Connected {
        /// Which socket.
        link: LinkId,
    },
    /// A whole frame came, here without its size.
    Received {
        /// Which socket.
        link: LinkId,
        /// The frame.
        frame: Bytes,
    },
    /// The oldest frame that was sent with `report` and not reported yet has been written.
    Written {
        /// Which socket.
        link: LinkId,
    },
    /// It could not be connected, was closed by the peer, or failed.
    Closed {
        /// Which socket.
        link: LinkId,
    },
}

/// What a socket shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect, and say [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// How to name it.
        link: LinkId,
        /// Where to.
        address: Address,
    },
    /// Write these bytes, behind all that was to be written before.
    Send {
        /// Which socket.
        link: LinkId,
        /// The bytes, size included.
        frame: Bytes,
        /// Whether to say [`Input::Written`]: no answer will come.
        report: bool,
    },
    /// Close. Nothing needs to be said afterwards.
    Close {
        /// Which socket.
        link: LinkId,
    },
}

/// Whom to talk to.
///
/// A group's coordinator gets a connection of its own, although it is a broker too: heartbeats must
/// not wait behind a fetch that waits for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The bootstrap server of that index, whatever broker it is.
    Bootstrap(usize),
    /// A broker.
    Broker(BrokerId),
    /// A broker in its role as a coordinator.
    Coordinator(BrokerId),
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    /// Who was asked.
    pub(crate) peer: Peer,
    /// What the sender gave to recognise it.
    pub(crate) tag: T,
    /// The answer.
    pub(crate) outcome: Result<Body, RequestError>,
}

/// The bytes of an answer and what they are.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    frame: Bytes,
    version: i16,
}

impl Body {
    /// The answer to a request `M`.
    ///
    /// # Errors
    /// [`RequestError::Malformed`].
    pub(crate) fn decode<M: Request>(self) -> Result<M::Response, RequestError> {
        match decode_response::<M>(self.frame, self.version) {
            Ok((_, response)) => Ok(response),
            Err(source) => Err(RequestError::Malformed { api: M::KEY, source }),
        }
    }
}

/// How a request shall go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    /// Its version, from [`Connections::version`].
    pub(crate) version: i16,
    /// How long to wait for the answer.
    pub(crate) timeout: Duration,
    /// Whether the broker answers at all; it does not to a produce without acknowledgement.
    pub(crate) answered: bool,
}

/// Most requests on one connection that have no answer yet; drivers can rely on it for the length
/// of their queues. A producer has 5, a consumer a fetch and a few others, tools some.
pub(crate) const IN_FLIGHT_MAX: usize = 64;

/// All connections of a client.
#[derive(Debug)]
pub(crate) struct Connections<T> {
    config: ClientConfig,
    peers: BTreeMap<Peer, Connection<T>>,
    links: BTreeMap<LinkId, Peer>,
    outputs: VecDeque<Output>,
    answers: VecDeque<Answer<T>>,
    next_link: u64,
    rng: Rng,
    failed: bool,
}

#[derive(Debug)]
struct Connection<T> {
    address: Address,
    state: State,
    /// Attempts in a row that did not reach `Ready`.
    failures: u32,
    /// Somebody asked for it since it went down: its `retry_at` is worth waking up for.
    wanted: bool,
    in_flight: VecDeque<InFlight<T>>,
    next_correlation: i32,
    last_used: Instant,
    /// The broker asked for silence until then. Source: KIP-219.
    throttled_until: Instant,
}

#[derive(Debug)]
enum State {
    Down { retry_at: Instant },
    Connecting { link: LinkId, deadline: Instant },
    Negotiating { link: LinkId, deadline: Instant, negotiation: Negotiation },
    Ready { link: LinkId, versions: BrokerVersions },
}

#[derive(Debug)]
struct InFlight<T> {
    correlation_id: i32,
    version: i16,
    answered: bool,
    deadline: Instant,
    tag: T,
}

impl State {
    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Down { .. } => None,
            Self::Connecting { link, .. }
            | Self::Negotiating { link, .. }
            | Self::Ready { link, .. } => Some(*link),
        }
    }
}

impl<T> Connections<T> {
    /// No connection yet.
    pub(crate) fn new(config: ClientConfig, rng: Rng) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            outputs: VecDeque::new(),
            answers: VecDeque::new(),
            next_link: 0,
            rng,
            failed: false,
        }
    }

    /// Whether a request can go to `peer` now. If not, everything is done that it soon can: a
    /// connection is begun, or the time noted when one may be.
    pub(crate) fn ready(&mut self, now: Instant, peer: Peer, address: &Address) -> bool {
        if self.peers.get(&peer).is_some_and(|connection| connection.address != *address) {
            self.fail(now, peer, &RequestError::Disconnected);
            self.peers.remove(&peer);
        }
        let connection = self.peers.entry(peer).or_insert_with(|| Connection {
            address: address.clone(),
            state: State::Down { retry_at: now },
            failures: 0,
            wanted: false,
            in_flight: VecDeque::new(),
            next_correlation: 0,
            last_used: now,
            throttled_until: Instant::default(),
        });
        match connection.state {
            State::Ready { .. } => {
                connection.in_flight.len() < IN_FLIGHT_MAX && connection.throttled_until <= now
            }
            State::Down { retry_at } if retry_at <= now => {
                let link = LinkId(self.next_link);
                self.next_link += 1;
                let deadline = now + self.config.connection_setup_timeout;
                connection.state = State::Connecting { link, deadline };
                connection.wanted = false;
                self.links.insert(link, peer);
                self.outputs.push_back(Output::Connect { link, address: address.clone() });
                false
            }
            State::Down { .. } => {
                connection.wanted = true;
                false
            }
            State::Connecting { .. } | State::Negotiating { .. } => false,
        }
    }

    /// Whether the last attempt at `peer` failed and the next one has to wait.
    pub(crate) fn is_backing_off(&self, now: Instant, peer: Peer) -> bool {
        self.peers.get(&peer).is_some_and(|connection| match connection.state {
            State::Down { retry_at } => connection.failures > 0 && retry_at > now,
            State::Connecting { .. } => connection.failures > 0,
            State::Negotiating { .. } | State::Ready { .. } => false,
        })
    }

    /// Whether a connection to `peer` is on its way.
    pub(crate) fn is_connecting(&self, peer: Peer) -> bool {
        let state = self.peers.get(&peer).map(|connection| &connection.state);
        matches!(state, Some(State::Connecting { .. } | State::Negotiating { .. }))
    }

    /// Whether there is an open, agreed connection to `peer`.
    pub(crate) fn is_open(&self, peer: Peer) -> bool {
        let state = self.peers.get(&peer).map(|connection| &connection.state);
        matches!(state, Some(State::Ready { .. }))
    }

    /// Requests to `peer` without an answer.
    pub(crate) fn in_flight(&self, peer: Peer) -> usize {
        self.peers.get(&peer).map_or(0, |connection| connection.in_flight.len())
    }

    /// The newest version of `M`, up to `cap`, that `peer` and we understand.
    ///
    /// # Errors
    /// `Disconnected` if the peer is not ready, `Unsupported` if there is none.
    pub(crate) fn version<M: Request>(&self, peer: Peer, cap: i16) -> Result<i16, RequestError> {
        match self.peers.get(&peer).map(|connection| &connection.state) {
            Some(State::Ready { versions, .. }) => {
                let api = M::KEY;
                versions.highest_common::<M>(cap).ok_or(RequestError::Unsupported { api })
            }
            _ => Err(RequestError::Disconnected),
        }
    }

    /// Sends a request. Whatever happens, one [`Answer`] with `tag` follows, perhaps at once.
    pub(crate) fn send<M: Request>(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &M,
        sending: Sending,
        tag: T,
    ) {
        if let Err((tag, error)) = self.try_send(now, peer, request, sending, tag) {
            self.answers.push_back(Answer { peer, tag, outcome: Err(error) });
        }
    }

    fn try_send<M: Request>(
        &mut self,
        now: Instant,
        peer: Peer,
        request: &M,
        sending: Sending,
        tag: T,
    ) -> Result<(), (T, RequestError)> {
        let Some(connection) = self.peers.get_mut(&peer) else {
            return Err((tag, RequestError::Disconnected));
        };
        let State::Ready { link, .. } = connection.state else {
            return Err((tag, RequestError::Disconnected));
        };
        if connection.in_flight.len() >= IN_FLIGHT_MAX {
            return Err((tag, RequestError::Disconnected));
        }
        let (version, correlation_id) = (sending.version, connection.next_correlation);
        let client_id = Some(self.config.client_id.as_str());
        let frame = match frame_of(version, correlation_id, client_id, request) {
            Ok(frame) => frame,
            Err(error) => return Err((tag, error)),
        };
        connection.next_correlation = correlation_id.wrapping_add(1);
        connection.last_used = now;
        connection.in_flight.push_back(InFlight {
            correlation_id,
            version,
            answered: sending.answered,
            deadline: now + sending.timeout,
            tag,
        });
        self.outputs.push_back(Output::Send { link, frame, report: !sending.answered });
        Ok(())
    }

    /// Keeps silent towards `peer` for as long as it asked for.
    pub(crate) fn throttle(&mut self, now: Instant, peer: Peer, throttle_time_ms: i32) {
        let wait = u64::try_from(throttle_time_ms).unwrap_or(0);
        if let (1.., Some(connection)) = (wait, self.peers.get_mut(&peer)) {
            connection.throttled_until = now + Duration::from_millis(wait);
        }
    }

    /// Ends the connection to `peer`; what is in flight is answered with an error.
    pub(crate) fn close(&mut self, now: Instant, peer: Peer) {
        self.end(now, peer, &RequestError::Disconnected, false);
        self.peers.remove(&peer);
    }

    /// Ends all connections.
    pub(crate) fn close_all(&mut self, now: Instant) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.close(now, peer);
        }
    }

    /// Whether a connection failed since this was last asked.
    pub(crate) fn take_failed(&mut self) -> bool {
        std::mem::take(&mut self.failed)
    }

    /// Takes what a socket did. News of sockets given up is ignored.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        let (Input::Connected { link }
        | Input::Received { link, .. }
        | Input::Written { link }
        | Input::Closed { link }) = input;
        let Some(&peer) = self.links.get(&link) else { return };
        match input {
            Input::Connected { .. } => self.negotiate(now, peer, Negotiation::begin()),
            Input::Received { frame, .. } => self.receive(now, peer, frame),
            Input::Written { .. } => self.written(now, peer),
            Input::Closed { .. } => self.fail(now, peer, &RequestError::Disconnected),
        }
    }

    /// Gives up what took too long, and closes what nobody used.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(connection) = self.peers.get_mut(&peer) else { continue };
            match &connection.state {
                State::Connecting { deadline, .. } | State::Negotiating { deadline, .. } => {
                    if *deadline <= now {
                        self.fail(now, peer, &RequestError::TimedOut);
                    }
                }
                State::Ready { .. } => {
                    if connection.in_flight.iter().any(|request| request.deadline <= now) {
                        self.fail(now, peer, &RequestError::TimedOut);
                    } else if connection.in_flight.is_empty()
                        && connection.last_used + self.config.connection_idle_max <= now
                    {
                        self.close(now, peer);
                    }
                }
                // Who still wants it asks again now.
                State::Down { retry_at } => connection.wanted &= *retry_at > now,
            }
        }
    }

    /// When to call [`Self::handle_timeout`], or `ready` for somebody who waits for a peer.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().filter_map(|connection| self.deadline(connection)).min()
    }

    fn deadline(&self, connection: &Connection<T>) -> Option<Instant> {
        match &connection.state {
            State::Down { retry_at } => connection.wanted.then_some(*retry_at),
            State::Connecting { deadline, .. } | State::Negotiating { deadline, .. } => {
                Some(*deadline)
            }
            State::Ready { .. } => {
                let idle = connection.last_used + self.config.connection_idle_max;
                connection.in_flight.iter().map(|request| request.deadline).min().or(Some(idle))
            }
        }
    }

    /// When the silence that a broker asked for ends, if it has not yet.
    pub(crate) fn throttled_until(&self, now: Instant) -> Option<Instant> {
        let ends = self.peers.values().map(|connection| connection.throttled_until);
        ends.filter(|end| *end > now).min()
    }

    /// What a socket shall do next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next request that has an outcome.
    pub(crate) fn poll_answer(&mut self) -> Option<Answer<T>> {
        self.answers.pop_front()
    }

    fn negotiate(&mut self, now: Instant, peer: Peer, negotiation: Negotiation) {
        let Some(connection) = self.peers.get_mut(&peer) else { return };
        let Some(link) = connection.state.link() else { return };
        let client_id = Some(self.config.client_id.as_str());
        let Ok(frame) = negotiation.frame(client_id) else {
            // Only a client id of more than 32,767 bytes does not fit.
            return self.fail(now, peer, &RequestError::Disconnected);
        };
        let deadline = now + self.config.request_timeout;
        connection.state = State::Negotiating { link, deadline, negotiation };
        self.outputs.push_back(Output::Send { link, frame, report: false });
    }

    fn receive(&mut self, now: Instant, peer: Peer, frame: Bytes) {
        let Some(connection) = self.peers.get_mut(&peer) else { return };
        match &connection.state {
            State::Negotiating { link, negotiation, .. } => match negotiation.step(frame) {
                Step::Agreed(versions) => {
                    let link = *link;
                    connection.failures = 0;
                    connection.last_used = now;
                    connection.state = State::Ready { link, versions };
                }
                Step::Again(negotiation) => self.negotiate(now, peer, negotiation),
                Step::Failed => self.fail(now, peer, &RequestError::Disconnected),
            },
            State::Ready { .. } => match connection.answer_of(&frame) {
                Some(request) => {
                    connection.last_used = now;
                    let body = Body { frame, version: request.version };
                    self.answers.push_back(Answer { peer, tag: request.tag, outcome: Ok(body) });
                }
                None => self.fail(now, peer, &RequestError::Disconnected),
            },
            State::Down { .. } | State::Connecting { .. } => {
                self.fail(now, peer, &RequestError::Disconnected);
            }
        }
    }

    fn written(&mut self, now: Instant, peer: Peer) {
        let Some(connection) = self.peers.get_mut(&peer) else { return };
        let oldest = connection.in_flight.iter().position(|request| !request.answered);
        if let Some(request) = oldest.and_then(|at| connection.in_flight.remove(at)) {
            connection.last_used = now;
            let body = Body { frame: Bytes::new(), version: request.version };
            self.answers.push_back(Answer { peer, tag: request.tag, outcome: Ok(body) });
        }
    }

    fn fail(&mut self, now: Instant, peer: Peer, error: &RequestError) {
        self.failed = true;
        self.end(now, peer, error, true);
    }

    fn end(&mut self, now: Instant, peer: Peer, error: &RequestError, failed: bool) {
        let Some(connection) = self.peers.get_mut(&peer) else { return };
        if let Some(link) = connection.state.link() {
            self.links.remove(&link);
            self.outputs.push_back(Output::Close { link });
        }
        connection.failures += u32::from(failed);
        let wait = self.config.reconnect().delay(connection.failures, &mut self.rng);
        connection.state = State::Down { retry_at: now + wait };
        for request in std::mem::take(&mut connection.in_flight) {
            // Only what waited too long itself is told so.
            let overdue = request.deadline <= now;
            let error = if overdue { error.clone() } else { RequestError::Disconnected };
            self.answers.push_back(Answer { peer, tag: request.tag, outcome: Err(error) });
        }
    }
}

impl<T> Connection<T> {
    /// Takes the oldest answered request out if `frame` is its answer.
    fn answer_of(&mut self, frame: &Bytes) -> Option<InFlight<T>> {
        let correlation_id = i32::from_be_bytes(*frame.first_chunk()?);
        let at = self.in_flight.iter().position(|request| request.answered)?;
        if self.in_flight.get(at)?.correlation_id != correlation_id {
            return None;
        }
        self.in_flight.remove(at)
    }
}

/// A request with size and header.
fn frame_of<M: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &M,
) -> Result<Bytes, RequestError> {
    let mut w = Writer::new();
    let api: ApiKey = M::KEY;
    encode_request(&mut w, version, correlation_id, client_id, request)
        .map_err(|source| RequestError::NotExpressible { api, version, source })?;
    Ok(w.into_bytes())
}

#[cfg(test)]
mod tests;
