//! Everything stateful in a node is a state machine that is replayed from a log: the controller, each
//! partition of the group, transaction and share coordinators.
//!
//! A [`Machine`] says what to log and what follows from it; a [`Runtime`] appends, then applies, then
//! releases effects once the log has committed what they rest on. State never runs ahead of the log,
//! so there is nothing to roll back, and replay is not a second code path.
//!
//! Not here: logs, clocks, threads, and what any machine is about.

mod runtime;

use dohle_base::{Instant, Now, Offset};

pub use runtime::{Journal, Rejected, Runtime};

/// A state machine over a log of `Record`s.
pub trait Machine: Default {
    /// A request from outside, with what is needed to answer it.
    type Command;
    /// What is logged. The durable state is a function of the records alone.
    type Record;
    /// What happens outside once the records are committed: an answer, a wake-up.
    type Effect;
    /// State that may be lost on failover: barriers of waiting members, heartbeat timers.
    type Session: Default;
    /// A change of the session.
    type Soft;

    /// What `command` leads to. Reads only.
    fn decide(
        &self,
        session: &Self::Session,
        now: Now,
        command: Self::Command,
    ) -> Decision<Self::Record, Self::Soft, Self::Effect>;

    /// What the passing of time leads to: called when `deadline` is reached. Reads only. Must make
    /// progress: the decision, once carried out, moves the deadline into the future.
    fn tick(
        &self,
        session: &Self::Session,
        now: Now,
    ) -> Decision<Self::Record, Self::Soft, Self::Effect>;

    /// The only way in which durable state changes: infallible, and the same live, on replay and on
    /// every replica.
    fn apply(&mut self, offset: Offset, record: &Self::Record);

    /// The only way in which the session changes. It runs after the records of the same decision
    /// were applied, and sees the result.
    fn apply_soft(&self, session: &mut Self::Session, now: Now, change: Self::Soft);

    /// When to be ticked next; none if nothing waits for time to pass.
    fn deadline(&self, session: &Self::Session) -> Option<Instant>;
}

/// What a machine wants to happen, in this order: log the records, apply them, change the session,
/// and, once the log has committed all records up to here, carry out the effects.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<Record, Soft, Effect> {
    /// To be appended as one atomic batch.
    pub records: Vec<Record>,
    /// Applied only if the append succeeded.
    pub soft: Vec<Soft>,
    /// Held back until the records, and all those that the decision saw, are committed.
    pub effects: Vec<Effect>,
}

impl<Record, Soft, Effect> Default for Decision<Record, Soft, Effect> {
    fn default() -> Self {
        Self { records: Vec::new(), soft: Vec::new(), effects: Vec::new() }
    }
}

impl<Record, Soft, Effect> Decision<Record, Soft, Effect> {
    /// Nothing is logged; `effect` follows once what was read is committed.
    pub fn effect(effect: Effect) -> Self {
        Self { effects: vec![effect], ..Self::default() }
    }
}
