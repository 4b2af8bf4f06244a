//! In which log directory a partition lies, or a new one goes.
//!
//! ```text
//! it is in some directory                        there, and the metadata is told if it says otherwise
//! it is not, and belongs in one that is there    there
//! it may be in one that has failed               nowhere: it is not made anew beside what it has
//! it is new                                      where a client wanted it, or else where the fewest are
//! ```
//!
//! Source: Kafka's `LogManager`, KIP-858, KIP-1066 (cordoned directories).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dohle_base::{PartitionId, Str, Uuid};
use dohle_config::NodeSettings;
use dohle_log::PartitionDir;
use dohle_metadata::Partition;

use crate::{Broker, log_dirs::LogDir};

/// Where a partition lies, or goes.
#[derive(Debug)]
pub(crate) enum Place {
    /// It lies there, or belongs there.
    In(Arc<LogDir>),
    /// It was not assigned to a directory, or to another one: the metadata is to be told.
    Chosen(Arc<LogDir>),
    /// It lies in several: the move of it was cut short.
    Several(Vec<Arc<LogDir>>),
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

    /// Where a partition lies, or is to go.
    pub(crate) fn place(
        &mut self,
        broker: &Broker,
        topic: &Str,
        index: PartitionId,
        partition: &Partition,
    ) -> Place {
        let assigned = partition.directory(broker.node_id).unwrap_or(Uuid::UNASSIGNED_DIR);
        let name = PartitionDir::current(topic, index).name(Uuid::ZERO);
        let online = || broker.log_dirs.iter().filter(|dir| !dir.has_failed());
        let mut present: Vec<_> =
            online().filter(|dir| dir.path.join(&name).is_dir()).cloned().collect();
        let own = online().find(|dir| dir.id == assigned).cloned();
        match (present.pop(), own) {
            (Some(last), _) if !present.is_empty() => {
                present.push(last);
                Place::Several(present)
            }
            (Some(only), _) if only.id == assigned => Place::In(only),
            (Some(only), _) => Place::Chosen(only),
            (None, Some(own)) => Place::In(own),
            (None, None) if assigned != Uuid::UNASSIGNED_DIR && broker.has_failed_dirs() => {
                Place::Offline
            }
            (None, None) => self.choose(broker, topic, index).map_or(Place::Offline, Place::Chosen),
        }
    }

    /// The directory that a client asked for, or the one with the fewest partitions.
    fn choose(&mut self, broker: &Broker, topic: &Str, index: PartitionId) -> Option<Arc<LogDir>> {
        let online = || broker.log_dirs.iter().filter(|dir| !dir.has_failed());
        let preferred = broker.moves.preferred(topic, index);
        let preferred = preferred.and_then(|id| online().find(|dir| dir.id == id));
        let count = |dir: &&Arc<LogDir>| self.counts.get(&dir.id).copied().unwrap_or(0);
        let uncordoned = online().filter(|dir| !self.cordoned.contains(&dir.id));
        // If all are cordoned the controller was too late to know.
        let chosen = preferred.or_else(|| uncordoned.min_by_key(count)).or_else(|| online().next());
        let chosen = Arc::clone(chosen?);
        *self.counts.entry(chosen.id).or_default() += 1;
        Some(chosen)
    }
}

/// The directories that get no new partitions.
pub(crate) fn cordoned(settings: &NodeSettings, dirs: &[Arc<LogDir>]) -> BTreeSet<Uuid> {
    let named = settings.list_or_null("cordoned.log.dirs").unwrap_or_default();
    let is_cordoned = |dir: &&Arc<LogDir>| {
        named.iter().any(|name| name == "*" || dir.path.as_os_str() == name.as_str())
    };
    dirs.iter().filter(is_cordoned).map(|dir| dir.id).collect()
}
