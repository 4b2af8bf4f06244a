//! A partition that is being read: what is asked of its groups waits for a moment.

use std::time::Duration;

use dohle_base::{ErrorCode, Instant, Str, TopicId};
use dohle_group::Command;

use super::{Asked, loader::LoadId};

/// What has come for the groups of a partition while it is read.
pub(super) struct Loading {
    pub(super) id: LoadId,
    patience_until: Instant,
    asked: Vec<Asked>,
    deleted: Vec<(Str, TopicId)>,
}

impl Loading {
    /// Requests that come within `patience` wait until it is over.
    pub(super) fn new(id: LoadId, now: Instant, patience: Duration) -> Self {
        Self { id, patience_until: now + patience, asked: Vec::new(), deleted: Vec::new() }
    }

    pub(super) fn ask(&mut self, now: Instant, asked: Asked) {
        match now < self.patience_until {
            true => self.asked.push(asked),
            false => asked.refuse(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        }
    }

    pub(super) fn topics_deleted(&mut self, topics: &[(Str, TopicId)]) {
        self.deleted.extend_from_slice(topics);
    }

    /// When requests have waited for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.asked.is_empty()).then_some(self.patience_until)
    }

    /// Refuses those that have.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.refuse(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
        }
    }

    /// Refuses all requests that wait.
    pub(super) fn refuse(&mut self, error: ErrorCode) {
        self.asked.drain(..).for_each(|asked| asked.refuse(error));
    }

    /// The requests that wait, and what follows them: an offset may have been committed for a topic that was deleted
    /// after.
    pub(super) fn loaded(self) -> (Vec<Asked>, Option<Command>) {
        let deleted = (!self.deleted.is_empty()).then_some(Command::TopicsDeleted(self.deleted));
        (self.asked, deleted)
    }
}
