//! The end of a consumer: a last commit, the goodbye to the group, and no connection left.

use dohle_base::{Instant, Now};

use super::{CommitError, ConsumeError, Consumer, ConsumerEvent};
use crate::{RequestError, connections::Peer, coordinator::Coordinator};

/// How far closing has come.
#[derive(Debug)]
pub(super) struct Close<T> {
    pub(super) token: T,
    pub(super) deadline: Instant,
    pub(super) left: bool,
}

impl<T> Consumer<T> {
    /// Leaves the group and closes all connections; `token` comes back then. With `commit`, what
    /// was handed out is committed before, if that is done without being asked.
    pub fn close(&mut self, now: Now, commit: bool, token: T) {
        if self.close.is_some() {
            return self.events.push_back(ConsumerEvent::Closed { token });
        }
        self.closing = true;
        if commit && self.config.commits_itself() {
            for position in self.positions.partitions.values_mut() {
                position.mark_processed();
            }
            self.commit_processed(now.instant);
        }
        let deadline = now.instant + self.config.client.request_timeout;
        self.close = Some(Close { token, deadline, left: false });
        self.advance(now.instant);
    }

    pub(super) fn advance_close(&mut self, now: Instant) {
        let Some(close) = &self.close else { return };
        let overdue = close.deadline <= now;
        if !close.left && (overdue || self.commits.is_empty()) {
            self.send_leave(now);
            if let Some(close) = &mut self.close {
                close.left = true;
            }
        }
        let still_open = self.commits.is_empty() && self.is_leaving();
        if !overdue && (still_open || !self.commits.is_empty()) {
            return;
        }
        self.cluster.close_all(now);
        self.clear_partitions();
        if let Some(token) = self.poll.take() {
            let outcome = Err(ConsumeError::Closed);
            self.events.push_back(ConsumerEvent::Polled { token, outcome });
        }
        for token in self.commits.take_tokens() {
            let outcome = Err(CommitError::Request(RequestError::Closed));
            self.events.push_back(ConsumerEvent::Committed { token, outcome });
        }
        if let Some(Close { token, .. }) = self.close.take() {
            self.events.push_back(ConsumerEvent::Closed { token });
        }
    }

    /// Whether the coordinator has not answered our goodbye.
    fn is_leaving(&self) -> bool {
        let known = self.coordinator.as_ref().and_then(Coordinator::known);
        known.is_some_and(|(id, _)| self.cluster.in_flight(Peer::Coordinator(id)) > 0)
    }
}
