//! Making a log durable.
//!
//! The sync itself is slow and must not be made under the lock that guards a log. So it has three
//! steps: `begin_flush` under the lock says what to sync, `FlushPlan::run` does it without, and
//! `finish_flush` under the lock notes it. One thread runs the plans of all partitions of a log
//! directory in turn.
//!
//! After a plan fails its log directory is dead: nothing of it may be acknowledged any more, and
//! the plan must not be run again.

use std::path::PathBuf;

use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode},
    error::LogError,
    log::Log,
    names::FileKind,
    segment::Dir,
};

/// What to sync so that a log survives up to where it ended when the plan was made.
#[derive(Debug)]
#[must_use = "nothing is durable before the plan has run"]
pub struct FlushPlan<D: Disk> {
    dir: Dir<D>,
    /// Files with batches, oldest first.
    logs: Vec<D::File>,
    /// Side files of sealed segments.
    sides: Vec<PathBuf>,
    sync_dir: bool,
    done: Flushed,
}

/// What a plan that has run made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    end: Offset,
    truncations: u64,
}

impl Flushed {
    /// The offset up to which the log is durable, unless it was truncated in the meantime.
    pub fn end(&self) -> Offset {
        self.end
    }
}

impl<D: Disk> FlushPlan<D> {
    /// Syncs.
    ///
    /// # Errors
    /// The log directory is dead.
    pub fn run(self) -> Result<Flushed, IoError> {
        for log in &self.logs {
            log.sync()?;
        }
        for side in &self.sides {
            match self.dir.disk.open(side, OpenMode::Read) {
                Ok(file) => file.sync()?,
                // Retention or truncation was faster.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        if self.sync_dir {
            match self.dir.disk.sync_dir(self.dir.path()) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(self.done)
    }
}

impl<D: Disk> Log<D> {
    /// What to sync to make all that is in the log durable; `None` if it is.
    ///
    /// # Errors
    /// `Io` if a file cannot be opened.
    pub fn begin_flush(&mut self) -> Result<Option<FlushPlan<D>>, LogError> {
        self.check_usable()?;
        if self.recovery_point >= self.log_end && !self.names_changed {
            return Ok(None);
        }
        let first = self.floor(self.recovery_point);
        let mut plan = FlushPlan {
            dir: self.dir.clone(),
            logs: Vec::with_capacity(self.segments.len() - first),
            sides: Vec::new(),
            sync_dir: std::mem::take(&mut self.names_changed),
            done: Flushed { end: self.log_end, truncations: self.truncations },
        };
        for segment in self.segments.iter_mut().skip(first) {
            plan.logs.push(segment.file(&self.dir)?.clone());
            if segment.has_aborts {
                plan.sides.push(self.dir.file(segment.base, FileKind::TxnIndex));
            }
            if segment.indexes.is_none() {
                segment.release();
                plan.sides.push(self.dir.file(segment.base, FileKind::OffsetIndex));
                plan.sides.push(self.dir.file(segment.base, FileKind::TimeIndex));
            }
        }
        Ok(Some(plan))
    }

    /// Notes that a plan has run.
    pub fn finish_flush(&mut self, done: Flushed) {
        if done.truncations == self.truncations {
            self.recovery_point = self.recovery_point.max(done.end);
        }
    }

    /// Makes all that is in the log durable, here and now.
    ///
    /// # Errors
    /// `Io`: the log directory is dead.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if let Some(plan) = self.begin_flush()? {
            let done = plan.run().inspect_err(|_| self.poisoned = true)?;
            self.finish_flush(done);
        }
        Ok(())
    }

    /// Ends the log cleanly and durably: what a start after a clean stop relies on is there.
    /// Returns the log's end, which is now its recovery point.
    ///
    /// # Errors
    /// The stop was not clean: the directory's clean-stop file must not be written.
    pub fn close(mut self) -> Result<Offset, LogError> {
        self.check_usable()?;
        if self.as_closed && !self.names_changed {
            return Ok(self.log_end);
        }
        self.write_snapshot()?;
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        let size = u64::from(segment.size);
        let file = segment.file(&self.dir)?;
        if file.size()? > size {
            // Kafka may have made the file longer than its content.
            file.truncate(size)?;
        }
        file.sync()?;
        segment.write_indexes(&self.dir)?;
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.dir.open(segment.base, kind, OpenMode::Read)?.sync()?;
        }
        if let Some(snapshot) = self.snapshots.last() {
            self.dir.open(*snapshot, FileKind::Snapshot, OpenMode::Read)?.sync()?;
        }
        self.names_changed = true;
        self.flush()?;
        Ok(self.log_end)
    }
}
