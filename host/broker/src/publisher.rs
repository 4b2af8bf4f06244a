//! Makes the node what the metadata says: partitions opened, led, deleted and configured, and the
//! image shown to requests.
//!
//! Runs on the controller's thread. What an image promises is there before the image is shown, and
//! what it no longer has is taken away after.

use std::{collections::BTreeSet, sync::Arc};

use dohle_base::{BrokerId, PartitionId, Rng, Str, Timestamp, TopicId, Uuid};
use dohle_config::{Resource, TopicConfig};
use dohle_log::{
    DirRole, Disk, IoError, Log, LogConfig, LogError, OpenLog, PartitionDir,
    checkpoint::SideFileError, disk::remove_tree, partition_metadata,
};
use dohle_metadata::{ConfigResource, MetadataDelta, Topic, TopicDelta};
use dohle_os::OsDisk;
use dohle_replication::Leader;
use tracing::{error, info, warn};

use crate::{
    Broker,
    log_dirs::LogDir,
    metadata::Published,
    partition::{Partition, State},
    topic_config,
    topic_names::CONSUMER_OFFSETS,
};

/// How many threads open partitions at once. Source: measured, syncs of many files share the journal's
/// commits up to about so many.
const OPENERS_MAX: usize = 16;

/// Publishes images to a broker.
pub struct Publisher {
    broker: Arc<Broker>,
    rng: Rng,
}

impl Publisher {
    /// A publisher; `rng` spreads the ages at which segments are closed, and names what is deleted.
    pub fn new(broker: Arc<Broker>, rng: Rng) -> Self {
        Self { broker, rng }
    }

    /// Makes the node what `new` says.
    pub fn publish(&mut self, new: Published) {
        let old = self.broker.metadata();
        let delta = MetadataDelta::between(&old.image, &new.image);
        if delta.is_empty() {
            self.broker.show(new);
            return;
        }
        if self.has_broker_settings(&delta) {
            self.broker.take_settings(&new.image);
        }
        // Deleted first: a topic that was made again has the name of the one that is gone.
        for topic in &delta.deleted {
            self.delete(topic);
        }
        let created = delta
            .created
            .iter()
            .flat_map(|topic| topic.partitions.keys().map(|index| (Arc::clone(topic), *index)));
        self.open(created.collect(), &new);
        for topic in &delta.changed {
            self.change(&new, topic);
        }
        self.configure(&delta, &new);
        let deleted: Vec<_> =
            delta.deleted.iter().map(|topic| (topic.name.clone(), topic.id)).collect();
        self.broker.show(new);
        if !deleted.is_empty() {
            self.broker.coordinator.topics_deleted(deleted);
        }
    }

    fn has_broker_settings(&self, delta: &MetadataDelta) -> bool {
        delta.configs.iter().any(|resource| resource.resource() == Some(Resource::Broker))
    }

    /// Opens and leads partitions that this node has replicas of, several at a time: to make one durable,
    /// or to read what a crash has left, is to wait for the disk.
    fn open(&mut self, wanted: Vec<(Arc<Topic>, PartitionId)>, new: &Published) {
        let mut tasks = Vec::with_capacity(wanted.len());
        let mut config: Option<(Str, TopicConfig)> = None;
        for (topic, index) in wanted {
            let Some(partition) = topic.partitions.get(&index).cloned() else { continue };
            if !partition.replicas.contains(&self.broker.node_id) {
                continue;
            }
            let Some(dir) = self.directory_of(&topic, index, &partition) else { continue };
            let of_topic = match config.take() {
                Some(known) if known.0 == topic.name => known,
                _ => {
                    let settings = self.broker.settings();
                    let resolved = topic_config::resolve(&settings, &new.image, &topic.name);
                    (topic.name.clone(), resolved)
                }
            };
            let expiration = self.broker.config.producer_id_expiration_ms;
            let log_config = topic_config::log_config(&of_topic.1, expiration, &mut self.rng);
            config = Some(of_topic);
            tasks.push(Opening { topic, index, partition, dir, config: log_config });
        }
        let opened = self.run(tasks);
        self.broker.partitions.insert(opened.iter().cloned());
        for partition in opened {
            if partition.topic() == CONSUMER_OFFSETS && partition.is_led() {
                self.broker.coordinator.elected(partition);
            }
        }
    }

    fn run(&self, mut tasks: Vec<Opening>) -> Vec<Arc<Partition>> {
        let (node_id, now) = (self.broker.node_id, self.broker.clock.now().wall);
        let share = tasks.len().div_ceil(OPENERS_MAX);
        if tasks.len() <= 1 {
            return tasks.into_iter().map(|task| task.run(node_id, now)).collect();
        }
        let mut shares = Vec::new();
        while !tasks.is_empty() {
            shares.push(tasks.split_off(tasks.len().saturating_sub(share)));
        }
        std::thread::scope(|scope| {
            let run = |share: Vec<Opening>| {
                move || share.into_iter().map(|task| task.run(node_id, now)).collect::<Vec<_>>()
            };
            let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(run(share))).collect();
            let opened = threads.into_iter().map(|thread| thread.join());
            opened.flat_map(|opened| opened.expect("opening a log does not panic")).collect()
        })
    }

    /// The directory that a partition lies in, or belongs in.
    fn directory_of(
        &self,
        topic: &Topic,
        index: PartitionId,
        partition: &dohle_metadata::Partition,
    ) -> Option<Arc<LogDir>> {
        let dirs = &self.broker.log_dirs;
        let assigned = partition.directory(self.broker.node_id);
        if let Some(dir) = dirs.iter().find(|dir| Some(dir.id) == assigned) {
            return Some(Arc::clone(dir));
        }
        let name = PartitionDir::current(&topic.name, index).name(Uuid::ZERO);
        let present = dirs.iter().find(|dir| dir.path.join(&name).is_dir());
        present.or_else(|| dirs.first()).map(Arc::clone)
    }

    fn change(&mut self, new: &Published, delta: &TopicDelta) {
        let topic = &delta.topic;
        let (there, added): (Vec<_>, Vec<_>) = delta
            .partitions
            .iter()
            .partition(|partition| self.broker.partitions.get(topic.id, partition.id).is_some());
        self.open(added.iter().map(|added| (Arc::clone(topic), added.id)).collect(), new);
        for change in there {
            let Some(partition) = self.broker.partitions.get(topic.id, change.id) else { continue };
            if change.after.leader != self.broker.node_id {
                continue; // With one replica nobody else can lead: this one is on its way back.
            }
            let epoch = change.after.leader_epoch;
            let led = partition.with_leader(|leader| leader.begin_epoch(epoch));
            if let Ok(Err(error)) = led {
                error!(%partition, "leader epoch {epoch} not noted: {error}");
                self.take_offline(&partition);
            }
        }
    }

    /// Whoever waits at the partition is told.
    fn take_offline(&self, partition: &Partition) {
        let state = std::mem::replace(&mut *partition.state(), State::Offline);
        if let State::Led(mut leader) = state {
            leader.waiting().interrupt();
        }
        if partition.topic() == CONSUMER_OFFSETS {
            self.broker.coordinator.resigned(partition.index());
        }
    }

    fn configure(&mut self, delta: &MetadataDelta, new: &Published) {
        let all = self.has_broker_settings(delta);
        let named: BTreeSet<&Str> =
            delta.configs.iter().filter(|resource| is_topic(resource)).map(|r| &r.name).collect();
        if !all && named.is_empty() {
            return;
        }
        for partition in self.broker.partitions.all() {
            if all || named.contains(partition.topic()) {
                let settings = self.broker.settings();
                let config = topic_config::resolve(&settings, &new.image, partition.topic());
                let expiration = self.broker.config.producer_id_expiration_ms;
                let config = topic_config::log_config(&config, expiration, &mut self.rng);
                // One that is offline takes it when it is opened again.
                let _ = partition.with_leader(|leader| leader.log_mut().set_config(config));
            }
        }
    }

    fn delete(&mut self, topic: &Topic) {
        for index in topic.partitions.keys() {
            let Some(partition) = self.broker.partitions.remove(topic.id, *index) else { continue };
            if topic.name == CONSUMER_OFFSETS {
                self.broker.coordinator.resigned(*index);
            }
            let state = std::mem::replace(&mut *partition.state(), State::NotLed);
            if let State::Led(leader) = state {
                drop(leader.into_log());
            }
            let dirs = self.broker.log_dirs.iter();
            for dir in dirs.filter(|dir| dir.id == partition.directory()) {
                if let Err(error) = remove(dir, topic, *index, &mut self.rng) {
                    warn!(%partition, "its files stay until the next start: {error}");
                }
            }
        }
        info!(topic = %topic.name, id = %topic.id, "topic deleted");
    }
}

fn is_topic(resource: &ConfigResource) -> bool {
    resource.resource() == Some(Resource::Topic)
}

/// A partition to be opened.
struct Opening {
    topic: Arc<Topic>,
    index: PartitionId,
    partition: Arc<dohle_metadata::Partition>,
    dir: Arc<LogDir>,
    config: LogConfig,
}

impl Opening {
    fn run(self, node_id: BrokerId, now: Timestamp) -> Arc<Partition> {
        let Self { topic, index, partition, dir, config } = self;
        let led = open_log(&dir, &topic, index, config, now).and_then(|log| {
            if partition.leader == node_id {
                Ok(State::Led(Box::new(Leader::new(log, partition.leader_epoch)?)))
            } else {
                Ok(State::NotLed)
            }
        });
        let state = led.unwrap_or_else(|error| {
            error!(topic = %topic.name, %index, "partition offline: {error}");
            State::Offline
        });
        Partition::new(topic.name.clone(), topic.id, index, dir.id, state)
    }
}

/// Why a partition's log is not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("its directory belongs to the topic with id {found}")]
    OtherTopic { found: TopicId },
    #[error(transparent)]
    SideFile(#[from] SideFileError),
    #[error(transparent)]
    Io(#[from] IoError),
}

fn open_log(
    dir: &LogDir,
    topic: &Topic,
    index: PartitionId,
    config: LogConfig,
    now: Timestamp,
) -> Result<Log<OsDisk>, OpenError> {
    let name = PartitionDir::current(&topic.name, index).name(Uuid::ZERO);
    let path = dir.path.join(name);
    let is_there = path.is_dir();
    let written = if is_there { partition_metadata::read(dir.disk(), &path)? } else { None };
    if let Some(found) = written.filter(|found| *found != topic.id) {
        return Err(OpenError::OtherTopic { found });
    }
    // A directory that is not there yet holds nothing that could be torn.
    let mut how = dir.how_to_open(&topic.name, index);
    if !is_there {
        how = OpenLog { clean: true, ..OpenLog::default() };
    }
    let log = Log::open(*dir.disk(), path.clone(), config, how, now)?;
    if let Some(cut) = &log.recovery().cut {
        warn!(
            topic = %topic.name, %index, file = %cut.path.display(), position = cut.position,
            size = cut.size, "torn end cut off: {}", cut.reason
        );
    }
    if written.is_none() {
        partition_metadata::write(dir.disk(), &path, topic.id)?;
    }
    Ok(log)
}

/// Takes the partition's directory out of the way in one step, then removes what is in it.
fn remove(dir: &LogDir, topic: &Topic, index: PartitionId, rng: &mut Rng) -> Result<(), IoError> {
    let disk = dir.disk();
    let current = PartitionDir::current(&topic.name, index);
    let deleted = PartitionDir { role: DirRole::Deleted, ..current.clone() };
    let unique = Uuid::random(rng);
    let path = dir.path.join(deleted.name(unique));
    disk.rename(&dir.path.join(current.name(unique)), &path)?;
    disk.sync_dir(&dir.path)?;
    remove_tree(disk, &path)
}
