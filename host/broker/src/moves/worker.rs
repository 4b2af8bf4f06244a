//! The thread that carries moves out: which of them are copied, and a step of each in turn.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use dohle_log::Disk;
use tracing::{error, info, warn};

use super::{
    Move, Shared,
    copy::{Copy, MoveError},
    swap,
};
use crate::{Broker, retention::DeletedDir};

/// After how long is looked again for what nobody tells: that the cleaner has left a partition, that
/// the controller takes a directory which it did not want, or that more may be copied.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    /// By their numbers; no more than may be copied at a time.
    copies: BTreeMap<u64, (Arc<Move>, Copy)>,
    /// Those whose turn comes later.
    waiting: BTreeMap<u64, Arc<Move>>,
    /// What was copied last, and when: it counts against the bytes a second that are allowed.
    copied: (u64, Instant),
}

/// What a step of a move led to.
enum Step {
    /// So many bytes were copied, and there is more to do.
    Copied(u64),
    /// There is more to do, at once.
    More,
    /// There is more to do, later.
    Later,
    /// The move has ended.
    Over,
}

impl Worker {
    pub(super) fn new(broker: Arc<Broker>, shared: Arc<Shared>) -> Self {
        let (copies, waiting) = (BTreeMap::new(), BTreeMap::new());
        Self { broker, shared, copies, waiting, copied: (0, Instant::now()) }
    }

    pub(super) fn run(mut self) {
        let mut next = None;
        while let Some(new) = self.shared.wait(next) {
            new.into_iter().for_each(|moving| self.take_in(moving));
            self.discard_cancelled();
            let wait = self.advance().into_iter().chain(self.begin_waiting()).min();
            next = wait.map(|wait| Instant::now() + wait);
        }
    }

    /// A move waits for its turn. Its directory is made, so that it goes on after a start.
    fn take_in(&mut self, moving: Arc<Move>) {
        let disk = moving.target.disk();
        match disk.create_dir(&moving.path) {
            Err(error) if !moving.path.is_dir() => self.end(&moving, &MoveError::TargetIo(error)),
            _ => drop(self.waiting.insert(moving.number, moving)),
        }
    }

    /// Begins copies, if there may be more of them.
    fn begin_waiting(&mut self) -> Option<Duration> {
        let copies_max = self.copies_max();
        let mut wait = None;
        while self.copies.len() < copies_max {
            // What one part of a copy lacks another part could have: none is made meanwhile.
            let mut ready = self.waiting.values().filter(|one| !one.partition.is_being_cleaned());
            let Some(moving) = ready.next().cloned() else {
                return wait.or((!self.waiting.is_empty()).then_some(RETRY));
            };
            self.waiting.remove(&moving.number);
            match Copy::begin(&moving, self.broker.clock.wall()) {
                Ok(copy) => {
                    self.copies.insert(moving.number, (moving, copy));
                    wait = Some(Duration::ZERO);
                }
                Err(error) => self.end(&moving, &error),
            }
        }
        wait
    }

    /// How many may be copied at a time.
    fn copies_max(&self) -> usize {
        let set = self.broker.settings().long_or_null("num.replica.alter.log.dirs.threads");
        let set = set.and_then(|threads| usize::try_from(threads).ok());
        set.unwrap_or(self.broker.config.log_dirs.len()).max(1)
    }

    /// Takes a step of each copy; says after which time the next ones are due, if there are any.
    fn advance(&mut self) -> Option<Duration> {
        if let Some(rest) = self.rest().filter(|_| !self.copies.is_empty()) {
            return Some(rest);
        }
        let (mut copied, mut wait) = (0, None);
        for number in self.copies.keys().copied().collect::<Vec<_>>() {
            let Some((moving, copy)) = self.copies.remove(&number) else { continue };
            let after = match self.step(&moving, copy) {
                Step::Copied(size) => {
                    copied += size;
                    continue;
                }
                Step::More => Duration::ZERO,
                Step::Later => RETRY,
                Step::Over => continue,
            };
            wait = Some(wait.map_or(after, |wait: Duration| wait.min(after)));
        }
        if copied == 0 {
            return wait;
        }
        self.copied = (copied, Instant::now());
        self.rest().or(Some(Duration::ZERO))
    }

    /// Takes a step of a copy, and puts it back if there is more to do.
    fn step(&mut self, moving: &Arc<Move>, copy: Copy) -> Step {
        match self.try_step(moving, copy) {
            Ok((step, Some(copy))) => {
                self.copies.insert(moving.number, (Arc::clone(moving), copy));
                step
            }
            Ok((_, None)) => {
                info!(partition = %moving.partition, to = %moving.target.path.display(), "moved");
                self.shared.forget(moving);
                self.broker.cleaner.ring();
                Step::Over
            }
            Err(error) => {
                self.end(moving, &error);
                Step::Over
            }
        }
    }

    /// The same; without a copy the partition lies in its new directory.
    fn try_step(
        &self,
        moving: &Arc<Move>,
        mut copy: Copy,
    ) -> Result<(Step, Option<Copy>), MoveError> {
        if moving.target.has_failed() {
            return Err(MoveError::TargetFailed);
        }
        let copied = copy.take_more(moving, self.broker.clock.wall())?;
        if copied > 0 {
            return Ok((Step::Copied(copied), Some(copy)));
        }
        if !moving.is_assigned.load(Ordering::Acquire) {
            copy.make_durable()?;
            let is_assigned = swap::assign(&self.broker, &moving.partition, moving.target.id);
            moving.is_assigned.store(is_assigned, Ordering::Release);
            let step = if is_assigned { Step::More } else { Step::Later };
            return Ok((step, Some(copy)));
        }
        // It is given back if more came than is copied under a lock.
        let copy = swap::swap(&self.broker, moving, copy)?;
        Ok((Step::More, copy))
    }

    /// How long nothing may be copied, for the bytes a second that the operator allows to all copies
    /// together. Not for longer than until it is asked again: more may be allowed then.
    fn rest(&self) -> Option<Duration> {
        let settings = self.broker.settings();
        let allowed = settings.long("replica.alter.log.dirs.io.max.bytes.per.second").max(1);
        let (copied, at) = self.copied;
        let time = Duration::from_secs_f64(copied as f64 / allowed as f64);
        let rest = time.saturating_sub(at.elapsed());
        (!rest.is_zero()).then_some(rest.min(RETRY))
    }

    /// A move cannot go on: the partition stays where it is.
    fn end(&self, moving: &Arc<Move>, error: &MoveError) {
        warn!(
            partition = %moving.partition, to = %moving.target.path.display(),
            "its move ends, it stays where it is: {error}"
        );
        error.tell(moving);
        let (topic, index) = moving.key();
        let is_deleted = self.broker.partitions.get(topic, index).is_none();
        if error.is_final() || moving.is_cancelled() || is_deleted {
            self.discard(moving);
        }
        self.shared.forget(moving);
        self.broker.cleaner.ring();
    }

    fn discard_cancelled(&mut self) {
        let copies = self.copies.extract_if(.., |_, (moving, _)| moving.is_cancelled());
        let mut cancelled: Vec<_> = copies.map(|(_, (moving, _))| moving).collect();
        let waiting = self.waiting.extract_if(.., |_, moving| moving.is_cancelled());
        cancelled.extend(waiting.map(|(_, moving)| moving));
        cancelled.iter().for_each(|moving| self.discard(moving));
    }

    /// Removes a copy that is not wanted any more.
    fn discard(&self, moving: &Move) {
        if !moving.target.has_failed() {
            let (dir, path) = (Arc::clone(&moving.target), moving.path.clone());
            let due = self.broker.clock.wall();
            self.broker.retention.remove(DeletedDir { dir, path, due });
        }
        // The metadata was told too early.
        let directory = moving.partition.directory();
        if moving.is_assigned.load(Ordering::Acquire)
            && moving.partition.is_led()
            && !swap::assign(&self.broker, &moving.partition, directory)
        {
            error!(partition = %moving.partition, "the metadata names another directory");
        }
    }
}
