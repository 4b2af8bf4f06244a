//! Which broker coordinates the group, and when to look for it anew.

use dohle_base::{ErrorCode, Instant};
use dohle_protocol::api::find_coordinator_request::FindCoordinatorRequest;

use super::super::{
    Consumer, Tag,
    membership::{Effect, effect},
};
use crate::{
    RequestError,
    connections::{Body, Peer, Sending},
};

impl<T> Consumer<T> {
    /// The coordinator, if a request can go to it now.
    pub(in crate::consumer) fn coordinator_peer(&mut self, now: Instant) -> Option<Peer> {
        let coordinator = self.coordinator.as_mut()?;
        if let Some((id, address)) = coordinator.known() {
            let peer = Peer::Coordinator(id);
            if self.cluster.coordinator_ready(now, id, address) {
                return Some(peer);
            }
            if self.cluster.is_backing_off(now, peer) {
                self.forget_coordinator(now);
            }
            return None;
        }
        if coordinator.due().is_some_and(|due| due <= now)
            && let Some(peer) = self.cluster.any_ready(now)
            && let Ok(version) = self.cluster.version::<FindCoordinatorRequest>(peer, i16::MAX)
        {
            let request = coordinator.ask(version);
            let sending = self.sending(version);
            self.cluster.send(now, peer, &request, sending, Tag::Coordinator);
        }
        None
    }

    pub(in crate::consumer) fn take_coordinator(
        &mut self,
        now: Instant,
        outcome: Result<Body, RequestError>,
    ) {
        let answer = outcome.and_then(Body::decode::<FindCoordinatorRequest>);
        let backoff = self.config.client.retry();
        let Some(coordinator) = &mut self.coordinator else { return };
        if let Err(error) = coordinator.take(now, backoff, &mut self.cluster.rng, answer) {
            self.report_group(error);
        }
    }

    /// Says to the coordinator's record what an error code says of it.
    pub(in crate::consumer) fn note_coordinator_error(&mut self, now: Instant, code: ErrorCode) {
        let misplaced = effect(code) == Effect::AgainElsewhere;
        if misplaced || code == ErrorCode::NETWORK_EXCEPTION {
            self.forget_coordinator(now);
        }
    }

    pub(super) fn forget_coordinator(&mut self, now: Instant) {
        let backoff = self.config.client.retry();
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.forget(now, backoff, &mut self.cluster.rng);
        }
    }

    pub(in crate::consumer) fn sending(&self, version: i16) -> Sending {
        Sending { version, timeout: self.config.client.request_timeout, answered: true }
    }
}
