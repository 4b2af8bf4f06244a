//! The driver of one partition of `__consumer_offsets` that this node leads: its machine, and who waits for it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use dohle_base::{ErrorCode, Instant, Now, Str};
use dohle_group::{Command, Effect, GroupMachine, Names, Reply, ReplyToken, append_error};
use dohle_machine::{Rejected, Runtime};
use dohle_replication::wait::{Satisfied, Wait};
use tokio::sync::oneshot;
use tracing::error;

use super::{Asked, GroupWrites, journal::OffsetsJournal};
use crate::partition::Partition;

/// One partition that this node leads.
pub(super) struct Led {
    partition: Arc<Partition>,
    writes: GroupWrites,
    runtime: Runtime<GroupMachine>,
    waiting: BTreeMap<ReplyToken, oneshot::Sender<Reply>>,
    /// Effects are held until what they rest on is committed.
    commit: Option<Satisfied>,
}

impl Led {
    pub(super) fn new(
        partition: Arc<Partition>,
        writes: GroupWrites,
        runtime: Runtime<GroupMachine>,
    ) -> Self {
        Self { partition, writes, runtime, waiting: BTreeMap::new(), commit: None }
    }

    /// When to come back: for what is due, or for who has waited for too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let given_up = self.runtime.held_since().map(|since| since + self.writes.commit_max);
        self.runtime.deadline().into_iter().chain(given_up).min()
    }

    /// Hands a request to the machine.
    pub(super) fn ask(&mut self, now: Now, asked: Asked) {
        let Asked { token, command, reply } = asked;
        self.waiting.insert(token, reply);
        self.handle(now, *command);
    }

    pub(super) fn handle(&mut self, now: Now, command: Command) {
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let result = self.runtime.handle(now, command, &mut journal);
        self.settle(now, result);
    }

    /// One bounded portion of what is due. The worker comes back while more is.
    pub(super) fn tick(&mut self, now: Now) {
        if self.runtime.deadline().is_none_or(|due| due > now.instant) {
            return;
        }
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let result = self.runtime.tick(now, &mut journal);
        if let Err(rejected) = &result {
            // Before anything else moves its timers.
            self.handle(now, refused(rejected.error));
        }
        self.settle(now, result);
    }

    fn settle(&mut self, now: Now, result: Result<(), Rejected<Effect, ErrorCode>>) {
        if let Err(Rejected { error, effects }) = result {
            effects.into_iter().for_each(|effect| self.fail(effect, append_error(error)));
        }
        self.release(now);
    }

    /// Ready when something is committed that effects wait for.
    pub(super) fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.commit {
            Some(commit) => Pin::new(commit).poll(context),
            None => Poll::Pending,
        }
    }

    /// Carries out the effects that rest on what is committed, and waits for what the others do.
    pub(super) fn release(&mut self, now: Now) {
        self.commit = None;
        self.runtime.handle_high_watermark(self.partition.high_watermark());
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Reply { token, reply } => self.answer(token, reply),
                Effect::ParkedJoin { .. } => {}
                Effect::Told { group_id, member_id } => self.told(now, group_id, member_id),
                Effect::TombstoneTooLarge(names) => self.tell_too_large(&names),
            }
        }
        let Some(end) = self.runtime.awaited() else { return };
        let wait = Wait::new(1);
        match self.partition.is_committed(end, &wait) {
            // One that is not led any more is resigned soon, and its effects with it.
            Ok(false) | Err(_) => self.commit = Some(Satisfied(wait)),
            // Just now.
            Ok(true) => self.release(now),
        }
    }

    /// Answers who has waited for too long until something is committed.
    pub(super) fn give_up(&mut self, now: Now) {
        let limit = self.writes.commit_max;
        if self.runtime.held_since().is_none_or(|since| since + limit > now.instant) {
            return;
        }
        // It may have been committed just now.
        self.release(now);
        while let Some(effect) = self.runtime.poll_overdue(now.instant, limit) {
            match effect {
                Effect::Told { group_id, member_id } => self.told(now, group_id, member_id),
                effect => self.fail(effect, append_error(ErrorCode::REQUEST_TIMED_OUT)),
            }
        }
        self.release(now);
    }

    /// A member has been answered: the time of its session begins.
    fn told(&mut self, now: Now, group_id: Str, member_id: Str) {
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let told = Command::Told { group_id, member_id };
        let result = self.runtime.handle(now, told, &mut journal);
        result.unwrap_or_else(|_| unreachable!("that writes nothing"));
    }

    fn fail(&mut self, effect: Effect, error: ErrorCode) {
        if let Some((token, reply)) = effect.fail(error) {
            self.answer(token, reply);
        }
    }

    fn tell_too_large(&self, Names { group_id, topic }: &Names) {
        let (partition, topic) = (&self.partition, topic.as_deref().unwrap_or("none"));
        error!(%partition, %group_id, topic, "a tombstone exceeds max.message.bytes; it is tried again from time to time");
    }

    fn answer(&mut self, token: ReplyToken, reply: Reply) {
        if let Some(waiting) = self.waiting.remove(&token) {
            let _ = waiting.send(reply); // The client may have left.
        }
    }

    /// Answers all who wait: this node does not lead the partition any more.
    pub(super) fn resign(mut self, now: Now) {
        self.handle(now, Command::Unloaded);
        let held: Vec<Effect> = self.runtime.resign().collect();
        for effect in held {
            self.fail(effect, ErrorCode::NOT_COORDINATOR);
        }
    }
}

/// What a machine is told when a tick's records were refused. Records that are too large are no better later, but
/// others may be smaller.
fn refused(error: ErrorCode) -> Command {
    match error {
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => Command::TickTooLarge,
        _ => Command::TickRefused,
    }
}
