//! The thread that carries moves out: which of them are copied, and a step of each in turn.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use dohle_base::TopicId;
use dohle_log::{Disk, IoError, partition_metadata};
use tracing::{error, info, warn};

use super::{
    Move, Shared,
    copy::{Copy, MoveError},
    swap,
};
use crate::{Broker, disk::System, log_dirs::LogDir, partition_dirs};

/// After how long is looked again for what nobody tells: that the cleaner has left a partition, that
/// the controller takes a directory which it has refused, or that more may be copied.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    /// By their numbers; no more than may be copied at a time.
    copies: BTreeMap<u64, (Arc<Move>, Copy)>,
    /// Those whose copy has not begun, by their numbers.
    waiting: BTreeMap<u64, Arc<Move>>,
    /// Copies that had caught up and have no files open, whose directory the controller refused: first the
    /// one that was refused longest ago.
    refused: VecDeque<(Arc<Move>, Copy)>,
    /// The same of those that caught up while the controller was not to be asked: they come before.
    unasked: VecDeque<(Arc<Move>, Copy)>,
    /// When the controller is asked again that has refused one.
    refused_until: Instant,
    /// What was copied last, and when: it counts against the bytes a second that are allowed.
    copied: (u64, Instant),
}

/// What a step of a move led to.
enum Step {
    /// So many bytes were copied, and there is more to do.
    Copied(u64, Copy),
    /// There is more to do, at once.
    More(Copy),
    /// The controller does not take the directory yet.
    Refused(Copy),
    /// The controller is not to be asked yet.
    Unasked(Copy),
    /// The partition lies in its new directory.
    Moved,
}

impl Worker {
    pub(super) fn new(broker: Arc<Broker>, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            broker,
            shared,
            copies: BTreeMap::new(),
            waiting: BTreeMap::new(),
            refused: VecDeque::new(),
            unasked: VecDeque::new(),
            refused_until: now,
            copied: (0, now),
        }
    }

    pub(super) fn run(mut self) {
        let mut next = None;
        while let Some(new) = self.shared.wait(next) {
            next = self.turn(new).map(|wait| Instant::now() + wait);
        }
        // What was taken back shall not go on after the next start.
        let new = self.shared.take_new();
        self.discard_cancelled(new);
    }

    /// Does what is to be done now; says after which time there is more, if there is.
    pub(super) fn turn(&mut self, new: Vec<Arc<Move>>) -> Option<Duration> {
        // Those first: of a partition there is one copy at a time.
        let new = self.discard_cancelled(new);
        new.into_iter().for_each(|moving| self.take_in(moving));
        self.advance().into_iter().chain(self.begin_waiting()).min()
    }

    /// A move waits for its turn. Its directory is made, so that it goes on after a start.
    fn take_in(&mut self, moving: Arc<Move>) {
        let disk = moving.target.disk();
        match disk.create_dir(&moving.path) {
            Err(error) if !disk.has_dir(&moving.path) => {
                self.end(&moving, &MoveError::TargetIo(error))
            }
            _ => drop(self.waiting.insert(moving.number, moving)),
        }
    }

    /// Goes on with copies that the controller was not asked about, or begins some, or else goes on with
    /// refused ones, if there may be more of them. After a refusal no more are asked about in each `RETRY`
    /// than may be copied at a time, unless the controller takes them.
    fn begin_waiting(&mut self) -> Option<Duration> {
        let copies_max = self.copies_max();
        let mut wait = None;
        while self.copies.len() < copies_max {
            if let Some((moving, copy)) = self.may_ask().then(|| self.unasked.pop_front()).flatten()
            {
                self.copies.insert(moving.number, (moving, copy));
                wait = Some(Duration::ZERO);
                continue;
            }
            let ready = self.waiting.extract_if(.., |_, moving| moving.begin()).next();
            let (moving, copy) = match ready {
                Some((_, moving)) => match self.begin(&moving) {
                    Ok(copy) => (moving, copy),
                    // It is looked at first whether it is not wanted any more, or nothing is.
                    Err(MoveError::Stopped) => {
                        self.waiting.insert(moving.number, moving);
                        return Some(Duration::ZERO);
                    }
                    Err(error) => {
                        self.end(&moving, &error);
                        continue;
                    }
                },
                None => match self.next_refused() {
                    Some(refused) => refused,
                    None => return wait.or_else(|| self.until_ready()),
                },
            };
            self.copies.insert(moving.number, (moving, copy));
            wait = Some(Duration::ZERO);
        }
        wait
    }

    fn begin(&self, moving: &Move) -> Result<Copy, MoveError> {
        let goes_on = || !self.shared.state().stop && !moving.is_cancelled();
        Copy::begin(moving, self.broker.clock.wall(), &goes_on)
    }

    fn next_refused(&mut self) -> Option<(Arc<Move>, Copy)> {
        self.may_ask().then(|| self.refused.pop_front())?
    }

    /// Whether the controller may be asked about another one.
    fn may_ask(&self) -> bool {
        self.refused_until <= Instant::now()
    }

    /// After which time one that waits may be ready, if there is any.
    fn until_ready(&self) -> Option<Duration> {
        let waiting = (!self.waiting.is_empty()).then_some(RETRY);
        let pause = self.refused_until.saturating_duration_since(Instant::now());
        let refused = (!self.refused.is_empty() || !self.unasked.is_empty()).then_some(pause);
        waiting.into_iter().chain(refused).min()
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
        // All that are copied at a time may be asked about together.
        let may_ask = self.may_ask();
        let (mut copied, mut wait) = (0, None);
        for number in self.copies.keys().copied().collect::<Vec<_>>() {
            let Some((moving, copy)) = self.copies.remove(&number) else { continue };
            match self.step(&moving, copy, may_ask) {
                Ok(Step::Copied(size, copy)) => {
                    copied += size;
                    self.copies.insert(number, (moving, copy));
                }
                Ok(Step::More(copy)) => {
                    wait = Some(Duration::ZERO);
                    self.copies.insert(number, (moving, copy));
                }
                Ok(Step::Refused(mut copy)) => {
                    copy.log.release_files();
                    self.refused.push_back((moving, copy));
                    self.refused_until = Instant::now() + RETRY;
                }
                Ok(Step::Unasked(mut copy)) => {
                    copy.log.release_files();
                    match moving.is_refused.load(Ordering::Acquire) {
                        // It was its turn.
                        true => self.refused.push_front((moving, copy)),
                        false => self.unasked.push_back((moving, copy)),
                    }
                }
                Ok(Step::Moved) => {
                    info!(partition = %moving.partition, to = %moving.target.path.display(), "moved");
                    self.shared.forget(&moving);
                    self.broker.cleaner.ring();
                }
                Err(error) => self.end(&moving, &error),
            }
        }
        if copied == 0 {
            return wait;
        }
        self.copied = (copied, Instant::now());
        self.rest().or(Some(Duration::ZERO))
    }

    /// Takes a step of a copy.
    fn step(&self, moving: &Arc<Move>, mut copy: Copy, may_ask: bool) -> Result<Step, MoveError> {
        if moving.target.has_failed() {
            return Err(MoveError::TargetFailed);
        }
        let copied = copy.take_more(moving, self.broker.clock.wall())?;
        if copied > 0 {
            return Ok(Step::Copied(copied, copy));
        }
        if !moving.is_assigned.load(Ordering::Acquire) {
            copy.make_durable(&moving.target)?;
            if !may_ask {
                return Ok(Step::Unasked(copy));
            }
            // A refusal may be that of a controller that has done it.
            moving.may_be_named.store(true, Ordering::Release);
            if let Err(code) = swap::assign(&self.broker, &moving.partition, moving.target.id) {
                if !moving.is_refused.swap(true, Ordering::AcqRel) {
                    let partition = &moving.partition;
                    warn!(%partition, "its move waits, the controller does not take its directory: {code}");
                }
                return Ok(Step::Refused(copy));
            }
            moving.is_assigned.store(true, Ordering::Release);
            return Ok(Step::More(copy));
        }
        // It is given back if more came than is copied under a lock.
        let copy = swap::swap(&self.broker, moving, copy)?;
        Ok(copy.map_or(Step::Moved, Step::More))
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
        match !error.is_final() && self.shared.keep(moving) {
            true => {
                self.take_back(moving);
            }
            false => {
                self.discard(moving);
                self.shared.forget(moving);
            }
        }
        self.broker.cleaner.ring();
    }

    /// Gives back those of the new ones that are still wanted.
    fn discard_cancelled(&mut self, new: Vec<Arc<Move>>) -> Vec<Arc<Move>> {
        let copies = self.copies.extract_if(.., |_, (moving, _)| moving.is_cancelled());
        let mut cancelled: Vec<_> = copies.map(|(_, (moving, _))| moving).collect();
        let waiting = self.waiting.extract_if(.., |_, moving| moving.is_cancelled());
        cancelled.extend(waiting.map(|(_, moving)| moving));
        let (unwanted, new): (Vec<_>, _) =
            new.into_iter().partition(|moving| moving.is_cancelled());
        cancelled.extend(unwanted);
        for parked in [&mut self.refused, &mut self.unasked] {
            parked.retain(|(moving, _)| {
                let is_cancelled = moving.is_cancelled();
                if is_cancelled {
                    cancelled.push(Arc::clone(moving));
                }
                !is_cancelled
            });
        }
        if !cancelled.is_empty() {
            cancelled.iter().for_each(|moving| self.discard(moving));
            self.broker.cleaner.ring();
        }
        new
    }

    /// Puts a copy aside that is not wanted any more, so that no start goes on with it, and removes it. As long
    /// as the metadata may name its directory it stays there, and tells that the partition lies elsewhere: a
    /// start removes it, see `partition_dirs`.
    fn discard(&self, moving: &Move) {
        let is_taken_back = self.take_back(moving);
        if !moving.target.has_failed() {
            let (unique, due) = (self.broker.random_id(), self.broker.clock.wall());
            let (target, partition, path) = (&moving.target, &moving.partition, moving.copy());
            let signed = match is_taken_back {
                true => Ok(()),
                false => sign(target, &path, partition.topic_id()),
            };
            let deleted = signed
                .and_then(|()| partition_dirs::delete_copy(target, &path, partition, unique, due));
            match deleted {
                Ok(deleted) if is_taken_back => self.broker.retention.remove(deleted),
                Ok(kept) => {
                    warn!(%partition, dir = %kept.path.display(), "its copy is kept: the metadata may name it");
                }
                // It was not made.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    warn!(%partition, "a copy of it stays until the next start: {error}");
                    target.judge(&error);
                }
            }
        }
    }

    /// Tells the controller where the partition lies, if it may have been told too early; says whether the
    /// metadata does not name the directory of the copy, or may.
    fn take_back(&self, moving: &Move) -> bool {
        let partition = &moving.partition;
        let (topic, index) = partition.key();
        let is_deleted = self.broker.partitions.get(topic, index).is_none();
        let directory = partition.directory();
        if is_deleted || directory == moving.target.id || !moving.may_be_named() {
            return true;
        }
        if !partition.is_led() {
            return false;
        }
        match swap::assign(&self.broker, partition, directory) {
            Ok(()) => {
                moving.may_be_named.store(false, Ordering::Release);
                true
            }
            Err(code) => {
                error!(%partition, "the metadata names another directory: {code}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;

/// Lets a copy say whose it is, as an empty one does not.
fn sign(dir: &LogDir, copy: &Path, topic: TopicId) -> Result<(), IoError> {
    match partition_metadata::read(dir.disk(), copy) {
        Ok(Some(written)) if written == topic => Ok(()),
        _ => partition_metadata::write(dir.disk(), copy, topic),
    }
}
