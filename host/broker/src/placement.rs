//! In which log directory a partition lies, or a new one goes.
//!
//! ```text
//! it is in some directory                        there, and the metadata is told if it says otherwise
//! it is not, and belongs in one that is there    there
//! it is not assigned, and one has frames of it   there: it was made there, and the metadata was not told yet
//! it may be in one that has failed               nowhere: it is not made anew beside what it has
//! it is new                                      where a client wanted it, or else where the fewest are
//! ```
//!
//! What a move leaves behind looks like a partition when the disk has not taken the rename to `-delete`, and
//! what has not moved yet lies where the metadata does not say any more:
//!
//! ```text
//!                                from       to         the metadata says   where all of it is
//! copied                         t-0        -future    from                from
//! the controller is told         t-0        -future    to                  from
//! the copy is renamed            t-0        t-0        to                  to
//! what it was is renamed         -delete    t-0        to                  to
//! ```
//!
//! With both directories there the longer log tells. With one that is missing nothing does, so what is found
//! where the metadata does not name it is kept and not served: the missing one may have more. Nor is anything
//! made where the metadata names it beside a copy, or what is left of one that is not wanted any more.
//!
//! A metadata version without directories names none, and nothing can tell: what is found is served, and one
//! that a crash caught between the renames lacks what came since if `to` is missing. Several directories need
//! a version that has them.
//!
//! Source: Kafka's `LogManager`, KIP-858, KIP-1066 (cordoned directories).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dohle_base::{PartitionId, Str, TopicId, Uuid};
use dohle_config::NodeSettings;
use dohle_log::{DirRole, Disk, PartitionDir, checkpoint::SideFileError, partition_metadata};
use dohle_metadata::{Partition, Topic};

use crate::{Broker, disk::System, log_dirs::LogDir, partition_dirs};

#[cfg(test)]
mod tests;

/// Where a partition lies, or goes.
#[derive(Debug)]
pub(crate) enum Place {
    /// It lies there, or belongs there.
    In(Arc<LogDir>),
    /// It was not assigned to a directory, or to another one: the metadata is to be told.
    Chosen(Arc<LogDir>),
    /// It lies in several: the move of it was cut short.
    Several(Vec<Arc<LogDir>>),
    /// Something of it lies there, and perhaps more in a directory that has failed: it is to be kept as it is.
    Withheld(Vec<Arc<LogDir>>),
    /// Its directory has failed, or may be one that has.
    Offline,
}

/// How many partitions each directory has, for those that are placed at once.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    counts: BTreeMap<Uuid, usize>,
    cordoned: BTreeSet<Uuid>,
}

impl Placement {
    /// The directories as they are.
    pub(crate) fn of(broker: &Broker) -> Self {
        let mut counts = BTreeMap::new();
        for partition in broker.partitions.all() {
            *counts.entry(partition.directory()).or_default() += 1;
        }
        for target in broker.moves.targets() {
            *counts.entry(target).or_default() += 1;
        }
        Self { counts, cordoned: cordoned(&broker.settings(), &broker.log_dirs) }
    }

    /// Where a partition lies, or is to go. One that `is_new` was never in any directory.
    pub(crate) fn place(
        &mut self,
        broker: &Broker,
        topic: &Topic,
        index: PartitionId,
        partition: &Partition,
        is_new: bool,
    ) -> Place {
        let assigned = partition.directory(broker.node_id).unwrap_or(Uuid::UNASSIGNED_DIR);
        let is_named = ![Uuid::UNASSIGNED_DIR, Uuid::MIGRATING_DIR].contains(&assigned);
        let may_be_elsewhere = !is_new && broker.has_failed_dirs();
        let current = PartitionDir::current(&topic.name, index);
        let name = current.name(Uuid::ZERO);
        // What is in the way of a new one's name is none of it.
        let is_usable = |dir: &&Arc<LogDir>| {
            !dir.has_failed() && (!is_new || partition_dirs::make_way(broker, dir, topic, index))
        };
        let usable: Vec<_> = broker.log_dirs.iter().filter(is_usable).collect();
        let online = || usable.iter().copied();
        let mut present: Vec<_> =
            online().filter(|dir| dir.disk().has_dir(&dir.path.join(&name))).cloned().collect();
        let own = online().find(|dir| dir.id == assigned).cloned();
        if may_be_elsewhere && is_named && !present.iter().any(|dir| dir.id == assigned) {
            if !present.is_empty() {
                return Place::Withheld(present);
            }
            // Whatever frames there are: they may be of a former stay, and only the first part of it.
            if own.as_ref().is_some_and(|own| has_copy(own, topic.id, &current)) {
                return Place::Offline;
            }
        }
        match (present.pop(), own) {
            (Some(last), _) if !present.is_empty() => {
                present.push(last);
                Place::Several(present)
            }
            (Some(only), _) if only.id == assigned => Place::In(only),
            (Some(only), _) => Place::Chosen(only),
            (None, Some(own)) => Place::In(own),
            (None, None) if assigned == Uuid::UNASSIGNED_DIR => {
                // It was in no other: it does not move before the metadata says where it is.
                let framed = online().find(|dir| dir.redo(topic.id, index, |_| ()).is_some());
                match framed {
                    Some(dir) => Place::Chosen(self.count(dir)),
                    None if may_be_elsewhere => Place::Offline,
                    None => self.choose_place(broker, &usable, &topic.name, index),
                }
            }
            (None, None) if broker.has_failed_dirs() => Place::Offline,
            (None, None) => self.choose_place(broker, &usable, &topic.name, index),
        }
    }

    fn choose_place(
        &mut self,
        broker: &Broker,
        usable: &[&Arc<LogDir>],
        topic: &Str,
        index: PartitionId,
    ) -> Place {
        let preferred = broker.moves.preferred(topic, index);
        self.choose(usable, preferred).map_or(Place::Offline, Place::Chosen)
    }

    /// One more goes there.
    fn count(&mut self, dir: &Arc<LogDir>) -> Arc<LogDir> {
        *self.counts.entry(dir.id).or_default() += 1;
        Arc::clone(dir)
    }

    /// The directory that a client asked for, or the one with the fewest partitions.
    fn choose(&mut self, usable: &[&Arc<LogDir>], preferred: Option<Uuid>) -> Option<Arc<LogDir>> {
        let online = || usable.iter().copied();
        let preferred = preferred.and_then(|id| online().find(|dir| dir.id == id));
        let count = |dir: &&Arc<LogDir>| self.counts.get(&dir.id).copied().unwrap_or(0);
        let uncordoned = online().filter(|dir| !self.cordoned.contains(&dir.id));
        // If all are cordoned the controller was too late to know.
        let chosen = preferred.or_else(|| uncordoned.min_by_key(count)).or_else(|| online().next());
        chosen.map(|chosen| self.count(chosen))
    }
}

/// Whether a directory has a copy of a partition that was to be moved there, be it one that is not wanted
/// any more. One that cannot be read may.
fn has_copy(dir: &LogDir, topic: TopicId, current: &PartitionDir) -> bool {
    let is_copy = |name: &str| {
        let Ok(found) = PartitionDir::parse(name) else { return false };
        if (&found.topic, found.partition) != (&current.topic, current.partition) {
            return false;
        }
        let owner = partition_metadata::read(dir.disk(), &dir.path.join(name));
        match found.role {
            // An empty one does not say whose it is.
            DirRole::Future => !matches!(owner, Ok(Some(owner)) if owner != topic),
            DirRole::Deleted => match owner {
                Ok(Some(owner)) => owner == topic,
                Err(SideFileError::Io(_)) => true,
                Ok(None) | Err(SideFileError::Malformed { .. }) => false,
            },
            DirRole::Current | DirRole::Stray => false,
        }
    };
    let entries = dir.disk().list(&dir.path);
    entries.map_or(true, |entries| entries.iter().any(|entry| is_copy(&entry.name)))
}

/// The directories that get no new partitions.
pub(crate) fn cordoned(settings: &NodeSettings, dirs: &[Arc<LogDir>]) -> BTreeSet<Uuid> {
    let named = settings.list_or_null("cordoned.log.dirs").unwrap_or_default();
    let is_cordoned = |dir: &&Arc<LogDir>| {
        named.iter().any(|name| name == "*" || dir.path.as_os_str() == name.as_str())
    };
    dirs.iter().filter(is_cordoned).map(|dir| dir.id).collect()
}
