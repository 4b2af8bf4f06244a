//! The one runtime of all machines: append, apply, hold effects until they are safe to show.
//!
//! ```text
//!   command ──▶ decide ──▶ journal.append ──▶ apply ──▶ apply_soft ──▶ held ──(high watermark)──▶ effect
//!                                │ refused
//!                                └──▶ Rejected { error, effects }: nothing changed
//! ```

use std::{collections::VecDeque, time::Duration};

use dohle_base::{Instant, Now, Offset};

use crate::{Decision, Machine};

/// The log under a machine.
pub trait Journal<Record> {
    /// Why records could not be appended.
    type Error;

    /// Appends `records`, which are never empty, as one atomic batch and returns the offset of the
    /// first; the others follow without gaps.
    ///
    /// # Errors
    /// Nothing was appended.
    fn append(&mut self, records: &[Record]) -> Result<Offset, Self::Error>;
}

/// The log refused the records of a decision: nothing changed. Whoever waits for `effects` must be
/// told that it failed.
#[derive(Debug)]
pub struct Rejected<Effect, Error> {
    /// Why.
    pub error: Error,
    /// What would have followed.
    pub effects: Vec<Effect>,
}

/// A machine, its session, and the effects that wait for the high watermark.
#[derive(Debug)]
pub struct Runtime<M: Machine> {
    machine: M,
    session: M::Session,
    /// The offset behind the last record that was applied.
    applied_end: Offset,
    high_watermark: Offset,
    /// In order of the offset that the high watermark must reach, and of time.
    held: VecDeque<Held<M::Effect>>,
}

/// An effect that waits.
#[derive(Debug)]
struct Held<Effect> {
    /// The high watermark that it waits for.
    safe_at: Offset,
    since: Instant,
    effect: Effect,
}

impl<M: Machine> Default for Runtime<M> {
    fn default() -> Self {
        Self {
            machine: M::default(),
            session: M::Session::default(),
            applied_end: Offset::ZERO,
            high_watermark: Offset::ZERO,
            held: VecDeque::new(),
        }
    }
}

impl<M: Machine> Runtime<M> {
    /// A runtime over a machine that was loaded elsewhere, from a snapshot that ends at `end`.
    pub fn from_snapshot(machine: M, end: Offset) -> Self {
        Self { machine, applied_end: end, high_watermark: end, ..Self::default() }
    }

    /// Applies a record that the log already holds. Offsets ascend; gaps (control batches, compacted
    /// records) are allowed.
    ///
    /// # Panics
    /// When `offset` was already applied: the driver is broken.
    pub fn replay(&mut self, offset: Offset, record: &M::Record) {
        assert!(offset >= self.applied_end, "records are replayed once, in order");
        self.machine.apply(offset, record);
        self.applied_end = offset.next();
    }

    /// Lets the machine decide on `command` and carries the decision out up to the held effects.
    ///
    /// # Errors
    /// The journal refused; no state changed.
    pub fn handle<J: Journal<M::Record>>(
        &mut self,
        now: Now,
        command: M::Command,
        journal: &mut J,
    ) -> Result<(), Rejected<M::Effect, J::Error>> {
        let decision = self.machine.decide(&self.session, now, command);
        self.carry_out(now, decision, journal)
    }

    /// To be called when `deadline` has come.
    ///
    /// # Errors
    /// The journal refused; no state changed.
    pub fn tick<J: Journal<M::Record>>(
        &mut self,
        now: Now,
        journal: &mut J,
    ) -> Result<(), Rejected<M::Effect, J::Error>> {
        let decision = self.machine.tick(&self.session, now);
        self.carry_out(now, decision, journal)
    }

    fn carry_out<J: Journal<M::Record>>(
        &mut self,
        now: Now,
        decision: Decision<M::Record, M::Soft, M::Effect>,
        journal: &mut J,
    ) -> Result<(), Rejected<M::Effect, J::Error>> {
        let Decision { records, soft, effects } = decision;
        if !records.is_empty() {
            let first = match journal.append(&records) {
                Ok(first) => first,
                Err(error) => return Err(Rejected { error, effects }),
            };
            for (offset, record) in (first.0..).zip(&records) {
                self.replay(Offset(offset), record);
            }
        }
        for change in soft {
            self.machine.apply_soft(&mut self.session, now, change);
        }
        let safe_at = self.applied_end;
        let hold = |effect| Held { safe_at, since: now.instant, effect };
        self.held.extend(effects.into_iter().map(hold));
        Ok(())
    }

    /// Tells that everything below `high_watermark` is committed. It never goes back.
    pub fn handle_high_watermark(&mut self, high_watermark: Offset) {
        self.high_watermark = self.high_watermark.max(high_watermark);
    }

    /// The next effect that rests on committed records only.
    pub fn poll_effect(&mut self) -> Option<M::Effect> {
        let is_safe = |held: &mut Held<_>| held.safe_at <= self.high_watermark;
        self.held.pop_front_if(is_safe).map(|held| held.effect)
    }

    /// Since when the next effect waits; none if none waits.
    pub fn held_since(&self) -> Option<Instant> {
        self.held.front().map(|held| held.since)
    }

    /// The next effect that has waited for `limit` or longer, given up: nobody knows what becomes of what
    /// it rests on, which stays applied.
    pub fn poll_overdue(&mut self, now: Instant, limit: Duration) -> Option<M::Effect> {
        let is_overdue = |held: &mut Held<_>| held.since + limit <= now;
        self.held.pop_front_if(is_overdue).map(|held| held.effect)
    }

    /// The high watermark that the next effect waits for; none if none waits.
    pub fn awaited(&self) -> Option<Offset> {
        self.held.front().map(|held| held.safe_at)
    }

    /// Gives up the effects that still wait, when the log is no longer ours to write.
    pub fn resign(&mut self) -> impl Iterator<Item = M::Effect> {
        self.session = M::Session::default();
        std::mem::take(&mut self.held).into_iter().map(|held| held.effect)
    }

    /// When to call `tick` next.
    pub fn deadline(&self) -> Option<Instant> {
        self.machine.deadline(&self.session)
    }

    /// The durable state, which may hold records that are not committed yet.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The soft state.
    pub fn session(&self) -> &M::Session {
        &self.session
    }

    /// The offset behind the last applied record.
    pub fn applied_end(&self) -> Offset {
        self.applied_end
    }
}

#[cfg(test)]
mod tests;
