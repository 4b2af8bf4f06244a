//! For which partitions a directory keeps its frames, whatever is flushed: those that could not take theirs
//! in, and those that nobody leads and of which nobody knows that they are durable. As long as there is one, no
//! frame goes, the directory is not left clean, and a disk that has failed is not trusted again, which makes each
//! start slow.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
};

use dohle_base::{PartitionId, TopicId};
use dohle_log::{IoError, wal::CacheTrust};

use crate::disk::NodeFile;

type Key = (TopicId, PartitionId);

/// How many of them are named.
const NAMED_MAX: usize = 16;

/// Those partitions, and what their end allows.
#[derive(Debug)]
pub(super) struct Kept {
    state: Mutex<State>,
    /// What the next process makes of a failure of the disk.
    cache_trust: CacheTrust<NodeFile>,
}

#[derive(Debug, Default)]
struct State {
    /// With their names.
    partitions: BTreeMap<Key, String>,
    /// Their names were told.
    are_told: bool,
    /// All other logs hold what the frames have.
    are_logs_open: bool,
}

impl Kept {
    /// None yet, and the logs are yet to be opened.
    pub(super) fn new(cache_trust: CacheTrust<NodeFile>) -> Self {
        Self { state: Mutex::default(), cache_trust }
    }

    /// A partition needs frames that it cannot take in.
    pub(super) fn add(&self, partition: Key, name: &dyn Display) {
        self.state().partitions.insert(partition, name.to_string());
    }

    /// Whether no partition needs them.
    pub(super) fn is_empty(&self) -> bool {
        self.state().partitions.is_empty()
    }

    /// Who they are, some of them at least, if that is to be told: once, until there are none.
    pub(super) fn untold(&self) -> Option<String> {
        let mut state = self.state();
        if state.partitions.is_empty() || std::mem::replace(&mut state.are_told, true) {
            return None;
        }
        let named: Vec<_> = state.partitions.values().take(NAMED_MAX).map(String::as_str).collect();
        let names = named.join(", ");
        Some(match state.partitions.len() - named.len() {
            0 => names,
            more => format!("{names} and {more} more"),
        })
    }

    /// A partition does not need them any more; says whether it was the last one.
    ///
    /// # Errors
    /// As `logs_are_open`.
    pub(super) fn remove(&self, partition: Key) -> Result<bool, IoError> {
        let mut state = self.state();
        let was_last = state.partitions.remove(&partition).is_some() && state.partitions.is_empty();
        if was_last {
            state.are_told = false;
        }
        if was_last && state.are_logs_open {
            self.cache_trust.give()?;
        }
        Ok(was_last)
    }

    /// All logs were opened, and those that are not kept for hold what the frames have. If that is all of
    /// them the next process may believe what is cached.
    ///
    /// # Errors
    /// The next process will read the disk.
    pub(super) fn logs_are_open(&self) -> Result<(), IoError> {
        let mut state = self.state();
        state.are_logs_open = true;
        if state.partitions.is_empty() { self.cache_trust.give() } else { Ok(()) }
    }

    /// The disk has failed: the next process must not believe what is cached.
    ///
    /// # Errors
    /// It is not said.
    pub(super) fn withdraw_trust(&self) -> Result<(), IoError> {
        self.cache_trust.withdraw()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
