//! Flushes all dirty partitions of a directory, so that its recovery points move and frames can go.

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use dohle_log::{FlushPlan, Flushed, IoError, Log, LogError};
use dohle_replication::Leader;
use tracing::{error, info, warn};

use super::{Unflushed, WriteAhead, writer::sync_segments};
use crate::{disk::NodeDisk, log_dirs::is_short_of_handles, partition::Partition};

/// From how many partitions on the volume is synced as a whole. Source: measured, one sync of the
/// volume costs as much as a dozen of files.
const VOLUME_MIN: usize = 16;

/// With so many unflushed bytes in each, on average, they are synced one by one although they are many: a
/// volume hands all of its bytes to the disk at once, and frames wait behind them. Source: measured, see
/// docs/adr/0012.
const LARGE: u64 = 512 << 10;

/// A flush that goes on for longer notes how far it is: where more is written than the disk takes, each
/// takes longer than the one before, and a start after a crash reads what was not noted.
const LONG: Duration = Duration::from_secs(1);

/// Makes durable all that was appended in the directory until now; then `checkpoint` writes its
/// recovery points down, and frames go. What cannot be done now is left for the next time. A disk that
/// fails takes its directory out of service.
pub(crate) fn flush(way: &WriteAhead, checkpoint: impl Fn() -> Result<(), IoError>) {
    flush_noting(way, LONG, &checkpoint);
}

/// The same, which after `long` calls `checkpoint` for what it has done by then.
fn flush_noting(way: &WriteAhead, long: Duration, checkpoint: &dyn Fn() -> Result<(), IoError>) {
    let _alone = way.alone();
    // Also if who was at it before has found that out: what it lost is not asked for again.
    if way.has_failed() {
        return;
    }
    let Unflushed { dirty, bytes, position } = way.begin_flush();
    match flush_all(way, (&dirty, bytes), long, checkpoint).and_then(|()| checkpoint()) {
        Ok(()) => {
            if way.is_stuck.swap(false, Ordering::AcqRel) {
                info!("recovery points move again");
            }
            way.release(position);
        }
        Err(error) if error.is_full() || is_short_of_handles(&error) => {
            if !way.is_stuck.swap(true, Ordering::AcqRel) {
                warn!("recovery points stay where they are, it is tried again: {error}");
            }
            give_up(way, dirty, bytes);
        }
        Err(error) => {
            // Before anybody else may begin.
            way.fail(&error);
        }
    }
}

/// Makes durable what some partitions lack to be committed, before anybody waits for it: by `flush`, which
/// flushes all that is dirty, if they are many. What that leaves, for the disk is full, and few partitions
/// are synced one by one.
///
/// # Errors
/// The disk failed.
pub(crate) fn sync_all(
    way: &WriteAhead,
    partitions: &[Arc<Partition>],
    flush: impl FnOnce(),
) -> Result<(), IoError> {
    if partitions.len() >= VOLUME_MIN {
        flush();
    }
    let lacks_sync = |partition: &&Arc<Partition>| {
        let is_committed =
            |leader: &mut Leader<NodeDisk>| leader.is_committed(leader.log().log_end_offset());
        !partition.with_leader(is_committed).unwrap_or(true)
    };
    partitions.iter().filter(lacks_sync).try_for_each(|partition| sync_segments(way, partition))
}

/// Makes all that is in a log durable that nobody else writes or flushes: a copy that is to become a partition's.
///
/// # Errors
/// The disk failed, or was full.
pub(crate) fn make_durable(way: &WriteAhead, log: &mut Log<NodeDisk>) -> Result<(), LogError> {
    let Some(mut plan) = log.begin_flush()? else { return Ok(()) };
    plan.write()?;
    if plan.needs_volume() {
        way.volume.sync()?;
    }
    let done = plan.sync()?;
    log.finish_flush(done);
    Ok(())
}

/// Makes the files of partitions be as a clean stop leaves them, on so many threads, those of many at the
/// price of two syncs.
///
/// # Errors
/// The disk failed.
pub(crate) fn close_all(
    way: &WriteAhead,
    partitions: &[&Arc<Partition>],
    threads: usize,
) -> Result<(), IoError> {
    let are_many = partitions.len() >= VOLUME_MIN;
    let mut plans: Vec<_> = partitions.iter().map(|partition| (*partition, None)).collect();
    in_shares(&mut plans, threads, |(partition, plan)| {
        match partition.with_leader(|leader| leader.log_mut().begin_close()) {
            Ok(Ok(made)) => *plan = made.map(|plan| of_many(plan, are_many)),
            Ok(Err(LogError::Io(error))) => return Err(error),
            // Its own closing says what is wrong.
            Ok(Err(_)) | Err(_) => {}
        }
        Ok(())
    })?;
    let plans = plans.into_iter().filter_map(|(partition, plan)| Some((partition, plan?)));
    let plans: Vec<_> = plans.collect();
    if are_many || plans.iter().any(|(_, plan)| plan.needs_volume()) {
        return run_many(way, plans, threads);
    }
    plans.into_iter().try_for_each(|(partition, plan)| {
        finish(way, partition, plan.run()?);
        Ok(())
    })
}

/// Does something with each, on so many threads.
fn in_shares<T: Send>(
    items: &mut [T],
    threads: usize,
    act: impl Fn(&mut T) -> Result<(), IoError> + Sync,
) -> Result<(), IoError> {
    if threads <= 1 || items.len() <= threads {
        return items.iter_mut().try_for_each(act);
    }
    let (act, share) = (&act, items.len().div_ceil(threads));
    thread::scope(|scope| {
        let shares = items.chunks_mut(share);
        let threads: Vec<_> =
            shares.map(|share| scope.spawn(|| share.iter_mut().try_for_each(act))).collect();
        let mut ends = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ends.try_for_each(|end| end.expect("making files does not panic"))
    })
}

fn give_up(way: &WriteAhead, dirty: Vec<Arc<Partition>>, bytes: u64) {
    for partition in &dirty {
        let _ = partition.with_leader(|leader| leader.log_mut().give_up_flush());
    }
    way.give_up_flush(dirty, bytes);
}

/// Flushes one after the other, or many together. Others are served meanwhile. What a long flush has
/// done is noted on the way.
fn flush_all(
    way: &WriteAhead,
    (dirty, bytes): (&[Arc<Partition>], u64),
    long: Duration,
    checkpoint: &dyn Fn() -> Result<(), IoError>,
) -> Result<(), IoError> {
    let here = || dirty.iter().filter(|partition| partition.goes(way));
    // Before any plan is made: what comes after it is for the next flush, also if this one is given up.
    here().for_each(|partition| partition.clear_dirty());
    let mut one_by_one = dirty.len() < VOLUME_MIN || bytes / dirty.len() as u64 >= LARGE;
    let (mut plans, mut noted) = (Vec::new(), Instant::now());
    for partition in here() {
        let Some(plan) = begin(way, partition)? else { continue };
        // Once the volume is to be synced, that is for all that are left.
        one_by_one &= !plan.needs_volume();
        if one_by_one {
            finish(way, partition, plan.run()?);
            if noted.elapsed() >= long {
                checkpoint()?;
                noted = Instant::now();
            }
        } else {
            plans.push((partition, of_many(plan, true)));
        }
    }
    if plans.is_empty() { Ok(()) } else { run_many(way, plans, 1) }
}

/// What is to be flushed of a partition, if anything.
fn begin(
    way: &WriteAhead,
    partition: &Arc<Partition>,
) -> Result<Option<FlushPlan<NodeDisk>>, IoError> {
    match partition.with_leader(|leader| leader.log_mut().begin_flush()) {
        Ok(Ok(Some(plan))) => return Ok(Some(plan)),
        // All that frames have of it is in its segments.
        Ok(Ok(None)) => way.let_frames_go(partition.key()),
        Ok(Err(LogError::Io(error))) => return Err(error),
        Ok(Err(error)) => {
            error!(%partition, "not flushed: {error}");
            way.keep_frames(partition.key(), partition);
        }
        // A deletion says so before it waits for the flush and lets its frames go.
        Err(_) if partition.is_gone() => {}
        // Offline or not led, with something that is not flushed: whoever opens it next needs its frames.
        Err(_) => way.keep_frames(partition.key(), partition),
    }
    Ok(None)
}

/// A plan of many holds no files, of which there may not be as many as plans.
fn of_many(mut plan: FlushPlan<NodeDisk>, are_many: bool) -> FlushPlan<NodeDisk> {
    if are_many {
        plan.let_files_go();
    }
    plan
}

/// Runs the plans of many, which hold no files, at the price of two syncs.
fn run_many(
    way: &WriteAhead,
    mut plans: Vec<(&Arc<Partition>, FlushPlan<NodeDisk>)>,
    threads: usize,
) -> Result<(), IoError> {
    in_shares(&mut plans, threads, |(_, plan)| plan.write())?;
    way.volume.sync()?;
    in_shares(&mut plans, threads, |(_, plan)| plan.replace())?;
    way.volume.sync()?;
    plans.into_iter().try_for_each(|(partition, plan)| {
        finish(way, partition, plan.done()?);
        Ok(())
    })
}

fn finish(way: &WriteAhead, partition: &Arc<Partition>, done: Flushed) {
    // One that is gone needs no recovery point.
    let _ = partition.with_leader(|leader| {
        leader.log_mut().finish_flush(done);
        partition.segments_synced(leader, done.end());
    });
    way.let_frames_go(partition.key());
}
