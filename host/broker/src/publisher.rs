//! Makes the node what the metadata says: partitions opened, led, deleted and configured, and the
//! image shown to requests.
//!
//! Runs on the controller's thread. What an image promises is there before the image is shown, and
//! what it no longer has is taken away after.

use std::{collections::BTreeSet, sync::Arc};

use dohle_base::{BrokerId, Offset, PartitionId, Rng, Str, Timestamp, Uuid};
use dohle_config::{Resource, TopicConfig};
use dohle_log::{AppendError, IoError, Log, LogConfig, LogError, PartitionDir};
use dohle_metadata::{ConfigResource, MetadataDelta, Topic, TopicDelta};
use dohle_os::OsDisk;
use dohle_replication::{CommitRule, Leader};
use tracing::{error, info, warn};

use crate::{
    Broker,
    cleaner::Cleaner,
    log_dirs::LogDir,
    metadata::Published,
    partition::{Partition, State},
    partition_dirs, topic_config,
    topic_names::CONSUMER_OFFSETS,
};

/// How many threads open partitions at once. Source: measured, syncs of many files share the journal's
/// commits up to about so many.
const OPENERS_MAX: usize = 16;

/// Publishes images to a broker.
pub struct Publisher {
    broker: Arc<Broker>,
    rng: Rng,
    has_published: bool,
}

impl Publisher {
    /// A publisher; `rng` spreads the ages at which segments are closed, and names what is deleted.
    pub fn new(broker: Arc<Broker>, rng: Rng) -> Self {
        Self { broker, rng, has_published: false }
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
        self.delete(&delta.deleted);
        let is_first = !std::mem::replace(&mut self.has_published, true);
        if is_first {
            self.sort_out(&new);
        }
        let created = delta
            .created
            .iter()
            .flat_map(|topic| topic.partitions.keys().map(|index| (Arc::clone(topic), *index)));
        self.open(created.collect(), &new);
        if is_first {
            self.forget_others();
        }
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
            let rule = topic_config::commit_rule(&of_topic.1);
            config = Some(of_topic);
            let cleaner = self.broker.cleaner.clone();
            let opening =
                Opening { topic, index, partition, dir, config: log_config, rule, cleaner };
            tasks.push(opening);
        }
        let opened = self.run(tasks);
        self.broker.partitions.insert(opened.iter().cloned());
        self.broker.cleaner.ring();
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
        partition.take_offline();
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
                let rule = topic_config::commit_rule(&config);
                let expiration = self.broker.config.producer_id_expiration_ms;
                let config = topic_config::log_config(&config, expiration, &mut self.rng);
                // One that is offline takes it when it is opened again.
                let _ = partition.with_leader(|leader| {
                    leader.log_mut().set_config(config);
                    if leader.commit_rule() != rule {
                        leader.set_commit_rule(rule);
                        partition.unflushed();
                    }
                });
            }
        }
        self.broker.cleaner.ring();
    }

    fn delete(&mut self, topics: &[Arc<Topic>]) {
        let mut dirs = BTreeSet::new();
        for topic in topics {
            for index in topic.partitions.keys() {
                dirs.extend(self.delete_partition(topic, *index));
            }
            info!(topic = %topic.name, id = %topic.id, "topic deleted");
        }
        // A topic that is made again must not be taken for the one that these still tell of.
        let partitions = self.broker.partitions.all();
        for dir in self.broker.log_dirs.iter().filter(|dir| dirs.contains(&dir.id)) {
            if let Err(error) = dir.write_checkpoints(&partitions) {
                error!("checkpoints not written: {error}");
            }
        }
    }

    /// Says which log directory the partition was in.
    fn delete_partition(&mut self, topic: &Topic, index: PartitionId) -> Option<Uuid> {
        let partition = self.broker.partitions.remove(topic.id, index)?;
        if topic.name == CONSUMER_OFFSETS {
            self.broker.coordinator.resigned(index);
        }
        let state = std::mem::replace(&mut *partition.state(), State::NotLed);
        if let State::Led(leader) = state {
            drop(leader.into_log());
        }
        // Its files may be cleaned at this moment, which ends now that it is led no more.
        drop(partition.cleaning());
        let dir = self.broker.log_dirs.iter().find(|dir| dir.id == partition.directory())?;
        dir.forget(&topic.name, index);
        let delay = self.broker.settings().long("log.segment.delete.delay.ms");
        let due = Timestamp(self.broker.clock.wall().0.saturating_add(delay));
        match partition_dirs::delete(dir, &topic.name, index, &mut self.rng, due) {
            Ok(deleted) => self.broker.retention.remove(deleted),
            Err(error) => warn!(%partition, "its files stay until the next start: {error}"),
        }
        Some(dir.id)
    }

    /// At start: what in the log directories is no partition of this node's is taken out of the way.
    fn sort_out(&mut self, new: &Published) {
        for dir in &self.broker.log_dirs {
            let (node_id, rng) = (self.broker.node_id, &mut self.rng);
            match partition_dirs::sort_out(dir, &new.image, node_id, rng) {
                Ok(deleted) => {
                    deleted.into_iter().for_each(|deleted| self.broker.retention.remove(deleted));
                }
                Err(error) => error!("leftovers stay where they are: {error}"),
            }
        }
    }

    /// At start: checkpoints that tell of partitions which are gone are written anew.
    fn forget_others(&self) {
        let partitions = self.broker.partitions.all();
        for dir in &self.broker.log_dirs {
            if !dir.forget_others(&partitions) {
                continue;
            }
            if let Err(error) = dir.write_checkpoints(&partitions) {
                error!("checkpoints not written: {error}");
            }
        }
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
    rule: CommitRule,
    cleaner: Cleaner,
}

impl Opening {
    fn run(self, node_id: BrokerId, now: Timestamp) -> Arc<Partition> {
        let opened = self.open(now).and_then(|(log, synced)| {
            if self.partition.leader != node_id {
                return Ok((State::NotLed, false));
            }
            let lacks_sync = synced < log.log_end_offset();
            let leader = Leader::new(log, self.partition.leader_epoch, self.rule, synced)?;
            Ok((State::Led(Box::new(leader)), lacks_sync))
        });
        let (state, lacks_sync) = opened.unwrap_or_else(|error| {
            error!(topic = %self.topic.name, index = %self.index, "partition offline: {error}");
            self.keep_frames();
            (State::Offline, false)
        });
        let Self { topic, index, dir, cleaner, .. } = self;
        let is_redone = dir.redo(topic.id, index, |_| ()).is_some();
        let partition = Partition::new(&topic, index, dir, state, cleaner);
        if lacks_sync || is_redone {
            partition.unflushed();
        }
        partition
    }

    /// Opens the log, and says up to where it is known to be durable.
    fn open(&self, now: Timestamp) -> Result<(Log<OsDisk>, Offset), OpenError> {
        let Self { topic, index, dir, config, rule, .. } = self;
        let path = dir.path.join(PartitionDir::current(&topic.name, *index).name(Uuid::ZERO));
        let how = dir.how_to_open(&topic.name, topic.id, *index, *rule);
        let mut log = Log::open(*dir.disk(), path, config.clone(), how, now)?;
        if let Some(cut) = &log.recovery().cut {
            warn!(
                topic = %topic.name, %index, file = %cut.path.display(), position = cut.position,
                size = cut.size, "torn end cut off: {}", cut.reason
            );
        }
        let mut synced = log.recovery_point();
        let redone = dir.redo(topic.id, *index, |runs| -> Result<(), OpenError> {
            for run in runs {
                synced = synced.max(log.redo(&run?, now)?);
            }
            Ok(())
        });
        // What is behind that was written and perhaps not synced, and nobody was told of it.
        redone.unwrap_or(Ok(()))?;
        Ok((log, synced))
    }

    /// What the write-ahead log has for this partition must stay.
    fn keep_frames(&self) {
        if self.dir.redo(self.topic.id, self.index, |_| ()).is_some() {
            warn!(topic = %self.topic.name, index = %self.index, "kept in the write-ahead log");
            self.dir.write_ahead().keep_frames();
        }
    }
}

/// Why a partition's log is not opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("not taken in from the write-ahead log: {0}")]
    Redo(#[from] AppendError),
    #[error(transparent)]
    Io(#[from] IoError),
}
