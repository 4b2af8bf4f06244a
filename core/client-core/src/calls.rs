//! Requests that are routed and tried again: all that is neither producing nor consuming.
//!
//! A call knows where it belongs ([`Route`]), how to judge an answer ([`Verdict`]), and until when
//! it may try. The requester finds the broker, sends, tries again after failures that pass, and
//! hands the outcome to the call's callback, exactly once.
//!
//! ```text
//!   submit ─▶ find route ─▶ send ─▶ judge ─▶ Done ──▶ callback
//!                ▲                    │ Retry, RetryElsewhere, disconnected
//!                └──── backoff ◀──────┘   until the deadline
//! ```

use std::{collections::BTreeMap, fmt, time::Duration};

use dohle_base::{BrokerId, ErrorCode, Instant, Now, Rng, Str};
use dohle_protocol::{Request, api::find_coordinator_request::FindCoordinatorRequest};

use crate::{
    ClientConfig, ConfigError, Core, Metadata, RequestError,
    cluster::Cluster,
    connections::{Answer, Body, Input, Output, Peer, Sending},
    coordinator::{Coordinator, CoordinatorKind, is_misplaced},
};

/// Where a request belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// Any broker.
    Any,
    /// The broker that hands requests on to the controller; with ZooKeeper, the controller.
    Controller,
    /// This broker.
    Broker(BrokerId),
    /// The coordinator of a key.
    Coordinator(CoordinatorKind, Str),
}

/// What an answer means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This is the outcome, good or bad.
    Done,
    /// Try again; if time is over, this is the reason.
    Retry(ErrorCode),
    /// The route was wrong; find it again and try again.
    RetryElsewhere(ErrorCode),
}

impl Verdict {
    /// The verdict that a single error code of an answer suggests.
    pub fn of(code: ErrorCode) -> Self {
        if is_misplaced(code)
            || code == ErrorCode::NOT_CONTROLLER
            || code == ErrorCode::NOT_LEADER_OR_FOLLOWER
        {
            Self::RetryElsewhere(code)
        } else if code.is_retriable() {
            Self::Retry(code)
        } else {
            Self::Done
        }
    }
}

/// What bounds a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take with all attempts; as configured for operations if not given.
    pub timeout: Option<Duration>,
    /// The newest version that may be used.
    pub version_max: i16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, version_max: i16::MAX }
    }
}

/// A client that sends single requests.
pub struct Requester {
    cluster: Cluster<Tag>,
    calls: BTreeMap<u64, Pending>,
    coordinators: BTreeMap<(CoordinatorKind, Str), Coordinator>,
    next_call: u64,
    /// What was due then and could not be done waits for a connection, not for the clock.
    advanced_at: Instant,
}

#[derive(Debug)]
enum Tag {
    Call(u64),
    Coordinator(CoordinatorKind, Str),
}

struct Pending {
    call: Box<dyn ErasedCall>,
    route: Route,
    deadline: Instant,
    failures: u32,
    state: Progress,
    /// Why the last attempt failed.
    last_error: Option<RequestError>,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Waiting { not_before: Instant },
    Sent,
}

/// A call without its types.
trait ErasedCall: Send {
    fn version(&self, cluster: &Cluster<Tag>, peer: Peer) -> Result<i16, RequestError>;
    fn send(&self, cluster: &mut Cluster<Tag>, now: Instant, peer: Peer, sending: Sending, id: u64);
    fn judge(&mut self, body: Body) -> Result<Verdict, RequestError>;
    fn finish(self: Box<Self>, outcome: Result<(), RequestError>);
}

struct Call<M: Request, B, J, D> {
    build: B,
    judge: J,
    done: D,
    response: Option<M::Response>,
    version_max: i16,
}

impl<M, B, J, D> ErasedCall for Call<M, B, J, D>
where
    M: Request,
    M::Response: Send,
    B: Fn(i16) -> M + Send,
    J: FnMut(&M::Response) -> Verdict + Send,
    D: FnOnce(Result<M::Response, RequestError>) + Send,
{
    fn version(&self, cluster: &Cluster<Tag>, peer: Peer) -> Result<i16, RequestError> {
        cluster.version::<M>(peer, self.version_max)
    }

    fn send(
        &self,
        cluster: &mut Cluster<Tag>,
        now: Instant,
        peer: Peer,
        sending: Sending,
        id: u64,
    ) {
        cluster.send(now, peer, &(self.build)(sending.version), sending, Tag::Call(id));
    }

    fn judge(&mut self, body: Body) -> Result<Verdict, RequestError> {
        let response = body.decode::<M>()?;
        let verdict = (self.judge)(&response);
        self.response = Some(response);
        Ok(verdict)
    }

    fn finish(self: Box<Self>, outcome: Result<(), RequestError>) {
        let response = self.response;
        (self.done)(outcome.and_then(|()| response.ok_or(RequestError::Closed)));
    }
}

impl Requester {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: ClientConfig, rng: Rng) -> Result<Self, ConfigError> {
        config.check()?;
        let cluster = Cluster::new(config, rng, false);
        let (calls, coordinators) = (BTreeMap::new(), BTreeMap::new());
        let advanced_at = Instant::default();
        Ok(Self { cluster, calls, coordinators, next_call: 0, advanced_at })
    }

    /// What is known of the cluster's brokers. Topics are not kept here.
    pub fn metadata(&self) -> &Metadata {
        &self.cluster.metadata
    }

    /// Sends a request built by `build` for the version in use, and calls `done` once: with the
    /// answer that `judge` found final, or with the reason why there is none.
    ///
    /// After a disconnect the request is sent again, so it must be one that may be done twice or
    /// whose second attempt shows that the first was done.
    pub fn submit<M: Request + 'static>(
        &mut self,
        now: Now,
        route: Route,
        limits: Limits,
        build: impl Fn(i16) -> M + Send + 'static,
        judge: impl FnMut(&M::Response) -> Verdict + Send + 'static,
        done: impl FnOnce(Result<M::Response, RequestError>) + Send + 'static,
    ) where
        M::Response: Send,
    {
        let version_max = limits.version_max;
        let call = Box::new(Call::<M, _, _, _> { build, judge, done, response: None, version_max });
        let deadline = now.instant + limits.timeout.unwrap_or(self.cluster.config.api_timeout);
        let state = Progress::Waiting { not_before: now.instant };
        let pending = Pending { call, route, deadline, failures: 0, state, last_error: None };
        self.calls.insert(self.next_call, pending);
        self.next_call += 1;
        self.advance(now.instant);
    }

    /// Ends all calls and all connections.
    pub fn close(&mut self, now: Now) {
        for (_, pending) in std::mem::take(&mut self.calls) {
            pending.call.finish(Err(RequestError::Closed));
        }
        self.cluster.close_all(now.instant);
    }

    fn advance(&mut self, now: Instant) {
        self.advanced_at = now;
        self.cluster.advance(now);
        while let Some(answer) = self.cluster.poll_answer() {
            self.take_answer(now, answer);
        }
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.advance_call(now, id);
        }
        self.ask_for_coordinators(now);
        // Answers that came at once, because nothing could be sent.
        self.cluster.advance(now);
        while let Some(answer) = self.cluster.poll_answer() {
            self.take_answer(now, answer);
        }
    }

    fn advance_call(&mut self, now: Instant, id: u64) {
        let Some(pending) = self.calls.get(&id) else { return };
        if pending.deadline <= now {
            if let Some(pending) = self.calls.remove(&id) {
                pending.give_up();
            }
            return;
        }
        match pending.state {
            Progress::Waiting { not_before } if not_before <= now => {}
            Progress::Waiting { .. } | Progress::Sent => return,
        }
        let (route, deadline) = (pending.route.clone(), pending.deadline);
        let Some(peer) = self.find(now, &route) else { return };
        let Some(pending) = self.calls.get_mut(&id) else { return };
        match pending.call.version(&self.cluster, peer) {
            Ok(version) => {
                let timeout = self.cluster.config.request_timeout.min(deadline.since(now));
                let sending = Sending { version, timeout, answered: true };
                pending.state = Progress::Sent;
                pending.call.send(&mut self.cluster, now, peer, sending, id);
            }
            Err(error) => {
                if let Some(pending) = self.calls.remove(&id) {
                    pending.call.finish(Err(error));
                }
            }
        }
    }

    /// The peer of a route, if it can take a request now.
    fn find(&mut self, now: Instant, route: &Route) -> Option<Peer> {
        match route {
            Route::Any => self.cluster.any_ready(now),
            Route::Controller => match self.cluster.metadata.controller() {
                Some(id) if self.cluster.metadata.broker(id).is_some() => self.broker(now, id),
                _ => self.cluster.any_ready(now),
            },
            Route::Broker(id) => self.broker(now, *id),
            Route::Coordinator(kind, key) => {
                let fresh = || Coordinator::new(*kind, key.clone());
                let coordinator =
                    self.coordinators.entry((*kind, key.clone())).or_insert_with(fresh);
                let (id, address) = coordinator.known()?;
                let peer = Peer::Coordinator(id);
                self.cluster.coordinator_ready(now, id, address).then_some(peer)
            }
        }
    }

    fn broker(&mut self, now: Instant, id: BrokerId) -> Option<Peer> {
        self.cluster.ready(now, id).then_some(Peer::Broker(id))
    }

    fn ask_for_coordinators(&mut self, now: Instant) {
        for coordinator in self.coordinators.values_mut() {
            if coordinator.due().is_none_or(|due| due > now) {
                continue;
            }
            let Some(peer) = self.cluster.any_ready(now) else { return };
            let Ok(version) = self.cluster.version::<FindCoordinatorRequest>(peer, i16::MAX) else {
                continue;
            };
            let timeout = self.cluster.config.request_timeout;
            let sending = Sending { version, timeout, answered: true };
            let request = coordinator.ask(version);
            let tag = Tag::Coordinator(coordinator.kind(), coordinator.key().clone());
            self.cluster.send(now, peer, &request, sending, tag);
        }
    }

    fn take_answer(&mut self, now: Instant, answer: Answer<Tag>) {
        match answer.tag {
            Tag::Call(id) => self.take_call_answer(now, id, answer.outcome),
            Tag::Coordinator(kind, key) => {
                let outcome = answer.outcome.and_then(Body::decode::<FindCoordinatorRequest>);
                let backoff = self.cluster.config.retry();
                let Some(coordinator) = self.coordinators.get_mut(&(kind, key.clone())) else {
                    return;
                };
                if let Err(error) = coordinator.take(now, backoff, &mut self.cluster.rng, outcome) {
                    self.fail_route(&Route::Coordinator(kind, key), &error);
                }
            }
        }
    }

    fn take_call_answer(&mut self, now: Instant, id: u64, outcome: Result<Body, RequestError>) {
        let Some(mut pending) = self.calls.remove(&id) else { return };
        let (error, elsewhere) = match outcome.and_then(|body| pending.call.judge(body)) {
            Ok(Verdict::Done) => {
                pending.call.finish(Ok(()));
                return self.clean_up(&pending.route);
            }
            Ok(Verdict::Retry(code)) => (code.into(), false),
            Ok(Verdict::RetryElsewhere(code)) => (code.into(), true),
            Err(error @ (RequestError::Disconnected | RequestError::TimedOut)) => (error, true),
            Err(error) => {
                pending.call.finish(Err(error));
                return self.clean_up(&pending.route);
            }
        };
        // What a broker said explains more than that it fell silent later.
        let told = matches!(pending.last_error, Some(RequestError::Server(_)));
        if !told || matches!(error, RequestError::Server(_)) {
            pending.last_error = Some(error);
        }
        pending.failures += 1;
        let backoff = self.cluster.config.retry();
        let not_before = now + backoff.delay(pending.failures, &mut self.cluster.rng);
        pending.state = Progress::Waiting { not_before };
        if elsewhere {
            self.cluster.request_update();
            if let Route::Coordinator(kind, key) = &pending.route
                && let Some(coordinator) = self.coordinators.get_mut(&(*kind, key.clone()))
            {
                coordinator.forget(now, backoff, &mut self.cluster.rng);
            }
        }
        self.calls.insert(id, pending);
    }

    /// Ends all calls whose broker cannot be found.
    fn fail_route(&mut self, route: &Route, error: &RequestError) {
        let concerned = self.calls.extract_if(.., |_, pending| pending.route == *route);
        for (_, pending) in concerned.collect::<Vec<_>>() {
            pending.call.finish(Err(error.clone()));
        }
        self.clean_up(route);
    }

    /// Forgets a coordinator that no call needs any more.
    fn clean_up(&mut self, route: &Route) {
        if let Route::Coordinator(kind, key) = route
            && !self.calls.values().any(|other| other.route == *route)
        {
            self.coordinators.remove(&(*kind, key.clone()));
        }
    }
}

impl Pending {
    fn give_up(self) {
        self.call.finish(Err(self.last_error.unwrap_or(RequestError::TimedOut)));
    }
}

impl Core for Requester {
    fn handle_input(&mut self, now: Now, input: Input) {
        self.cluster.handle_input(now.instant, input);
        self.advance(now.instant);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.advance(now.instant);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.cluster.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let calls = self.calls.values().flat_map(|pending| {
            let retry = match pending.state {
                Progress::Waiting { not_before } => Some(not_before),
                Progress::Sent => None,
            };
            [Some(pending.deadline), retry].into_iter().flatten()
        });
        let coordinators = self.coordinators.values().filter_map(Coordinator::due);
        let throttle = self.cluster.throttled_until(self.advanced_at);
        let due = calls.chain(coordinators).chain(throttle);
        due.filter(|due| *due > self.advanced_at).chain(self.cluster.poll_timeout()).min()
    }
}

impl fmt::Debug for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
