//! Cleaning one log.
//!
//! All that a clean touches is durable before, and the recovery point on the disk says so: a start
//! after a crash reads nothing anew that has been cleaned.

use std::time::Instant;

use dohle_base::ErrorCode;
use dohle_log::{CleanError, Cleaned, LogError, Replacement, disk::Operation};
use dohle_replication::Leader;
use tracing::{debug, error, info, warn};

use super::{Shared, memory};
use crate::{Broker, disk::NodeDisk, log_dirs::is_short_of_handles, partition::Partition};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is clean as far as its keys fit the memory.
    Done,
    /// Not now: there is nothing to do, something else happened to the log, or the disk is full.
    Later,
    /// It cannot be cleaned. The log of the process says why.
    Never,
}

/// Why a log was not cleaned.
enum Failure {
    /// The partition is not led here any more, or the log was cut: nothing to tell.
    Overtaken,
    Clean(CleanError),
}

impl From<CleanError> for Failure {
    fn from(error: CleanError) -> Self {
        Self::Clean(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Clean(error.into())
    }
}

impl From<ErrorCode> for Failure {
    fn from(_: ErrorCode) -> Self {
        Self::Overtaken
    }
}

pub(super) fn clean(
    broker: &Broker,
    shared: &Shared,
    partition: &Partition,
    thread: usize,
) -> Outcome {
    // Whoever deletes the partition waits for this: its directory must not be another's meanwhile.
    let _here = partition.cleaning();
    // Whoever begins to copy it says so with this held.
    if broker.moves.is_begun(partition.topic_id(), partition.index()) {
        return Outcome::Later;
    }
    let start = Instant::now();
    match run(broker, shared, partition) {
        // It was due, and is not, or not as far as it is durable.
        Ok(None) => Outcome::Later,
        Ok(Some(cleaned)) => {
            tell(partition, thread, &cleaned, start);
            Outcome::Done
        }
        Err(Failure::Overtaken | Failure::Clean(CleanError::Stopped)) => Outcome::Later,
        Err(Failure::Clean(error)) => judge(partition, &error),
    }
}

fn judge(partition: &Partition, error: &CleanError) -> Outcome {
    let io = match error {
        CleanError::Log(LogError::Io(error)) => Some(error),
        _ => None,
    };
    match partition.with_leader(|leader| leader.log().is_poisoned()) {
        // Deleted, or offline, and that was told.
        Err(_) => return Outcome::Later,
        Ok(true) => {
            error!(%partition, "offline, its segments were only replaced in part: {error}");
            partition.take_offline();
        }
        Ok(false) => {}
    }
    match io {
        Some(error) if error.is_full() => {
            warn!(%partition, "not cleaned, the disk is full: {error}");
            Outcome::Later
        }
        Some(error) if error.is_not_found() => {
            debug!(%partition, "not cleaned, its segments were removed meanwhile: {error}");
            Outcome::Later
        }
        Some(error) if is_short_of_handles(error) => {
            warn!(%partition, "not cleaned: {error}");
            Outcome::Later
        }
        Some(error) if changes(error.operation) => {
            partition.log_dir().write_ahead().fail(error);
            Outcome::Later
        }
        _ => {
            error!(%partition, "not cleaned any more before the next start: {error}");
            Outcome::Never
        }
    }
}

/// Whether a failure of it means that the disk cannot be relied on.
fn changes(operation: Operation) -> bool {
    !matches!(operation, Operation::Open | Operation::Read | Operation::Size | Operation::List)
}

fn run(
    broker: &Broker,
    shared: &Shared,
    partition: &Partition,
) -> Result<Option<Cleaned>, Failure> {
    make_durable(broker, partition);
    let now = broker.clock.wall();
    let noted = partition.log_dir().noted_recovery_point(partition);
    let plan = partition.with_leader(|leader| {
        let high_watermark = leader.standing().high_watermark;
        leader.log_mut().begin_clean(high_watermark, noted, now)
    })??;
    let Some(plan) = plan else { return Ok(None) };
    let is_compacted = |leader: &mut Leader<NodeDisk>| leader.log().config().compacted;
    let goes_on = || !shared.is_stopping() && partition.with_leader(is_compacted) == Ok(true);
    let pace = &mut |bytes| {
        let rate = broker.settings().double("log.cleaner.io.max.bytes.per.second");
        shared.throttle.pass(bytes, rate, goes_on)
    };
    let mut cleaning = plan.index(memory(&broker.settings()), pace)?;
    while let Some(replacement) = cleaning.next(pace)? {
        swap_in(broker, partition, replacement)?;
    }
    let cleaned = cleaning.finish();
    let unlink_at = partition.with_leader(|leader| {
        leader.log_mut().finish_clean(cleaned);
        leader.log().next_unlink()
    })?;
    unlink_at.into_iter().for_each(|at| broker.retention.unlink_at(at));
    make_durable(broker, partition);
    Ok(Some(cleaned))
}

/// What is in the log becomes durable, and the recovery point and how far it was cleaned are written
/// down: a record must not make way for one that could be lost. A disk that fails takes its
/// partitions out of service.
fn make_durable(broker: &Broker, partition: &Partition) {
    partition.log_dir().flush(|| broker.partitions.all());
}

fn swap_in(
    broker: &Broker,
    partition: &Partition,
    replacement: Replacement<NodeDisk>,
) -> Result<(), Failure> {
    let mut held = Some(replacement);
    let swap = |leader: &mut Leader<NodeDisk>| match held.take() {
        Some(replacement) => leader.log_mut().swap_in(replacement, broker.clock.wall()),
        None => Ok(false),
    };
    let swapped = partition.with_leader(swap);
    if let Some(replacement) = held {
        replacement.discard();
    }
    if swapped?? { Ok(()) } else { Err(Failure::Overtaken) }
}

fn tell(partition: &Partition, thread: usize, cleaned: &Cleaned, start: Instant) {
    let stats = cleaned.stats();
    if stats.unreadable > 0 {
        let batches = stats.unreadable;
        warn!(%partition, batches, "cleaned but for batches whose records cannot be read: they stay");
    }
    if stats.aborts_replayed {
        warn!(%partition, "a .txnindex was not what the batches tell: cleaned by these, and made anew");
    }
    info!(
        %partition, thread, end = %cleaned.end(), bytes_read = stats.bytes_read,
        bytes_written = stats.bytes_written, records = stats.records,
        records_kept = stats.records_kept, seconds = start.elapsed().as_secs_f64(), "cleaned"
    );
}
