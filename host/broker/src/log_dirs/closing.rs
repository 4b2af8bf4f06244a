//! How a log directory is left: its logs closed, its checkpoints written, and nothing served from it.

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use dohle_base::Offset;
use dohle_log::{
    IoError,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    clean_stop,
};
use tracing::{error, warn};

use super::{Key, LogDir, checkpoints::key_of};
use crate::{
    disk::NodeLock,
    durability::{self, WriterThread},
    partition::{Partition, State},
};

impl LogDir {
    /// Closes all logs here, on so many threads, and leaves the directory clean, if everything worked. A
    /// partition that is offline has to be read at the next start, and with it, as in Kafka, all that lie
    /// here. Whatever failed, nothing that lies here is served any more when another process may have it.
    pub fn close(&self, partitions: &[Arc<Partition>], broker_epoch: i64, threads: usize) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_durable = writer.is_some_and(WriterThread::stop);
        let mut is_clean = is_durable && !self.way.keeps_frames();
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        let here: Vec<_> = here.collect();
        if self.way.has_failed() {
            // What is lost would be found durable.
            error!(dir = %self.path.display(), "not left clean: its disk has failed");
            return self.release(&here);
        }
        if let Err(error) = durability::close_all(&self.way, &here, threads) {
            // Nothing is synced again that was not: the checkpoints go on saying what the last flush did.
            error!(dir = %self.path.display(), "not left clean: {error}");
            // Nor may the next process take what is cached for what is on the disk.
            self.judge(&error);
            return self.release(&here);
        }
        let mut ends = BTreeMap::new();
        for &partition in &here {
            let closed = close_log(partition).unwrap_or_else(|error| {
                error!(%partition, "not closed cleanly: {error}");
                self.judge_log(&error);
                None
            });
            is_clean &= closed.is_some();
            let closed = closed.unwrap_or_else(|| self.as_it_was(&key_of(partition)));
            ends.insert(key_of(partition), closed);
        }
        for key in self.withheld() {
            is_clean = false;
            ends.insert(key.clone(), self.as_it_was(&key));
        }
        if !is_clean {
            warn!(
                dir = %self.path.display(),
                "not left clean, for a partition in it is offline or led by nobody: before another process has it, have this one serve or delete that"
            );
        }
        let is_clean = is_clean.then_some(broker_epoch);
        if let Err(error) = self.write_final(&ends, is_clean) {
            error!(dir = %self.path.display(), "not left clean: {error}");
            self.judge(&error);
        }
        self.release(&here);
    }

    /// Lets another process have the directory, once nobody is served from it.
    fn release(&self, partitions: &[&Arc<Partition>]) {
        let led = partitions.iter().filter(|partition| partition.is_led());
        led.for_each(|partition| partition.take_offline());
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = lock.map(NodeLock::release) {
            warn!("{error}");
        }
    }

    /// What the checkpoints said of a partition, which they go on saying.
    fn as_it_was(&self, key: &Key) -> Closed {
        let known = self.noted_of(key);
        Closed {
            end: known.recovery_point,
            high_watermark: known.recovery_point,
            log_start: Some(known.log_start).filter(|start| *start > Offset::ZERO),
            cleaned_to: Some(known.cleaned_to).filter(|end| *end > Offset::ZERO),
        }
    }

    /// Writes the checkpoints, and that the directory is left clean, if it is.
    fn write_final(
        &self,
        ends: &BTreeMap<Key, Closed>,
        clean_in_epoch: Option<i64>,
    ) -> Result<(), IoError> {
        let all = |of: fn(&Closed) -> Option<Offset>| -> PartitionOffsets {
            ends.iter().filter_map(|(key, closed)| Some((key.clone(), of(closed)?))).collect()
        };
        let write =
            |kind, offsets| checkpoint::write_offsets(&self.disk, &self.path, kind, &offsets);
        let high_watermarks = all(|closed| Some(closed.high_watermark));
        write(OffsetKind::RecoveryPoint, all(|closed| Some(closed.end)))?;
        write(OffsetKind::LogStart, all(|closed| closed.log_start))?;
        write(OffsetKind::CleanerPoint, all(|closed| closed.cleaned_to))?;
        let Some(epoch) = clean_in_epoch else { return self.write_marked(&high_watermarks) };
        self.way.leave()?;
        // From now on they are whoever's.
        write(OffsetKind::HighWatermark, high_watermarks)?;
        clean_stop::write(&self.disk, &self.path, epoch)
    }
}

/// What a closed log leaves in the checkpoints.
struct Closed {
    end: Offset,
    high_watermark: Offset,
    /// Where it starts, if that is not the start of its first segment.
    log_start: Option<Offset>,
    /// Up to where it was cleaned, if it was.
    cleaned_to: Option<Offset>,
}

fn close_log(partition: &Partition) -> Result<Option<Closed>, dohle_log::LogError> {
    let mut state = partition.state();
    let leader = match std::mem::replace(&mut *state, State::Gone) {
        State::Led(leader) => leader,
        other => {
            *state = other;
            return Ok(None);
        }
    };
    let mut leader = *leader;
    let standing = leader.standing();
    let log = leader.into_log();
    let first = log.first_base_offset();
    let log_start = Some(standing.log_start).filter(|start| *start > first);
    let cleaned_to = Some(log.cleaned_to()).filter(|end| *end > Offset::ZERO);
    let end = log.close()?;
    let high_watermark = standing.high_watermark;
    Ok(Some(Closed { end, high_watermark, log_start, cleaned_to }))
}
