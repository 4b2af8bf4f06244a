//! Partitions that lie here and elsewhere, and are served from nowhere, for it is not known yet who has all.
//!
//! Each is shown in one of its directories. In the others, too, it stays as it was left: what the checkpoints
//! say of it, the frames that it may lack, and that the directory is not clean.

use std::sync::{MutexGuard, PoisonError};

use dohle_base::{PartitionId, Str};

use super::{Key, LogDir};

impl LogDir {
    /// The log of this partition here is left as it is, whatever is shown of it in another directory.
    pub(crate) fn withhold(&self, topic: &Str, index: PartitionId) {
        self.lock_withheld().insert((topic.clone(), index));
    }

    /// Whether that is so of a partition.
    pub(crate) fn withholds(&self, topic: &Str, index: PartitionId) -> bool {
        self.lock_withheld().contains(&(topic.clone(), index))
    }

    /// It was deleted.
    pub(super) fn withhold_no_more(&self, key: &Key) {
        self.lock_withheld().remove(key);
    }

    /// All of them.
    pub(super) fn withheld(&self) -> Vec<Key> {
        self.lock_withheld().iter().cloned().collect()
    }

    fn lock_withheld(&self) -> MutexGuard<'_, std::collections::BTreeSet<Key>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
