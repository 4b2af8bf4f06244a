//! Making a log's names durable without the lock that guards it: names must become durable in an order
//! where nothing that a power cut leaves has a gap, and the syncs between them are slow.
//!
//! As a flush: `begin_sync_names` under the lock says what to sync, `NamesPlan::run` does it without,
//! and `finish_sync_names` under the lock notes it.

use dohle_base::Offset;

use crate::{
    disk::{Disk, IoError},
    log::Log,
    segment::Dir,
};

/// A directory whose names are to become durable.
#[derive(Debug)]
#[must_use = "no name is durable before the plan has run"]
pub struct NamesPlan<D: Disk> {
    dir: Dir<D>,
    done: NamesSynced,
}

/// Which names are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesSynced {
    truncations: u64,
    names: Names,
}

/// How far a log's names have come, or are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// How many oldest segments were removed since the log was opened.
    pub(crate) removals: u64,
    /// All segments up to the one that begins there have their names; those before the recovery point
    /// have, too.
    pub(crate) segment: Option<Offset>,
}

impl<D: Disk> NamesPlan<D> {
    /// Syncs.
    ///
    /// # Errors
    /// The log directory is dead.
    pub fn run(self) -> Result<NamesSynced, IoError> {
        match self.dir.disk.sync_dir(self.dir.path()) {
            // Its topic was deleted, or it lies elsewhere: then this says nothing about it.
            Err(error) if error.is_not_found() => Ok(self.done),
            synced => synced.map(|()| self.done),
        }
    }
}

impl<D: Disk> Log<D> {
    /// What to sync to make all names of the log durable.
    pub fn begin_sync_names(&self) -> NamesPlan<D> {
        let done = NamesSynced { truncations: self.truncations, names: self.names_now() };
        NamesPlan { dir: self.dir.clone(), done }
    }

    /// Notes that a plan has run.
    pub fn finish_sync_names(&mut self, done: NamesSynced) {
        if done.truncations == self.truncations {
            self.note_names(done.names);
        }
    }

    /// Makes all names durable, here and now.
    pub(crate) fn sync_names(&mut self) -> Result<(), IoError> {
        self.dir.disk.sync_dir(self.dir.path())?;
        self.names_changed = false;
        self.names_synced = self.names_now();
        Ok(())
    }

    /// The names as they are. A segment without a file has none yet.
    pub(crate) fn names_now(&self) -> Names {
        let active = self.active();
        let segment = (!active.is_unwritten()).then_some(active.base);
        Names { removals: self.removals, segment }
    }

    /// Notes that names are durable which the log had since it was truncated.
    pub(crate) fn note_names(&mut self, synced: Names) {
        let known = &mut self.names_synced;
        known.removals = known.removals.max(synced.removals);
        known.segment = known.segment.max(synced.segment);
    }

    /// Whether the name of the segment that begins there is durable for sure.
    pub(crate) fn is_name_durable(&self, base: Offset) -> bool {
        base < self.recovery_point || self.names_synced.segment.is_some_and(|to| base <= to)
    }

    /// Whether all removals of oldest segments are durable.
    pub(crate) fn are_removals_durable(&self) -> bool {
        self.removals == self.names_synced.removals
    }
}
