//! Directories of partitions that are gone from here, and that could not be given another name.
//!
//! Until they have one no partition of their name can be made here. So it is tried again with each flush, and by who
//! is about to make one.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use dohle_base::Timestamp;

use super::{Key, LogDir};

impl LogDir {
    /// The directory of a partition keeps its name for now; it may be removed at `due`.
    pub(crate) fn leave_in_the_way(&self, key: Key, due: Timestamp) {
        self.in_the_way().insert(key, due);
        self.upkeep().try_again();
    }

    /// All of them. Nobody else gives them names as long as that is held.
    pub(crate) fn in_the_way(&self) -> MutexGuard<'_, BTreeMap<Key, Timestamp>> {
        self.in_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
