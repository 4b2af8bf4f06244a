//! Makes the node what the metadata says: partitions opened, led, deleted and configured, and the
//! image shown to requests.
//!
//! Runs on the controller's thread. What an image promises is there before the image is shown, and what it no longer
//! has is gone by then, too: whoever asks for it in between is told that it is not led here, and asks again.

mod in_sync;
mod opening;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dohle_base::{ErrorCode, PartitionId, Rng, Str, TopicId, Uuid};
use dohle_config::{Resource, TopicConfig};
use dohle_log::{LogConfig, PartitionDir, partition_metadata};
use dohle_metadata::{ConfigResource, MetadataDelta, MetadataImage, Topic, TopicDelta};
use tracing::{error, info, warn};

use self::opening::{Opened, Opening, Withheld};
use crate::{
    Broker,
    disk::System,
    log_dirs::{Key, LogDir},
    metadata::Published,
    partition::{Partition, State},
    partition_dirs::{self, FutureDir, Leftovers},
    placement::{Place, Placement},
    topic_config,
    topic_names::CONSUMER_OFFSETS,
};

/// How many threads open partitions at once. Source: measured, syncs of many files share the journal's
/// commits up to about so many.
const OPENERS_MAX: usize = 16;

/// Publishes images to a broker.
pub struct Publisher {
    broker: Arc<Broker>,
    /// Drawn once: a change of settings is no reason for another jitter.
    jitter_seed: u64,
    has_published: bool,
    /// Whether some partitions refuse `acks=all` that did not, or the reverse.
    have_refusals_changed: bool,
    /// Of how many that was told.
    refusals_told: usize,
    /// Where partitions were put that the metadata does not know to be there.
    assignments: Vec<(TopicId, PartitionId, Uuid)>,
    /// The directories whose failure was noticed.
    failed: BTreeSet<Uuid>,
    /// What was there at the start and is not opened: it is not new when it comes by again.
    absent: BTreeSet<(TopicId, PartitionId)>,
    /// Until all logs are open: those whose groups this node is to coordinate.
    uncoordinated: Option<Vec<Arc<Partition>>>,
}

impl Publisher {
    /// A publisher; `rng` spreads the ages at which segments are closed.
    pub fn new(broker: Arc<Broker>, mut rng: Rng) -> Self {
        let (failed, absent, jitter_seed) = (BTreeSet::new(), BTreeSet::new(), rng.next_u64());
        let (assignments, uncoordinated) = (Vec::new(), Some(Vec::new()));
        Self {
            broker,
            jitter_seed,
            has_published: false,
            have_refusals_changed: false,
            refusals_told: 0,
            assignments,
            failed,
            absent,
            uncoordinated,
        }
    }

    /// All logs of the start are open: from now on they take records.
    ///
    /// Not before, for until it is noted that they are this program's a power cut could leave in them what the next
    /// start takes for damage. Clients cannot come in yet, but coordinators write as soon as they are told.
    pub fn logs_are_open(&mut self) {
        let partitions = self.broker.partitions.all();
        self.broker.log_dirs.iter().for_each(|dir| dir.logs_are_open(&partitions));
        self.uncoordinated.take().into_iter().flatten().for_each(|led| self.coordinate(led));
    }

    /// Has the groups of a partition coordinated, now or as soon as all logs are open.
    fn coordinate(&mut self, partition: Arc<Partition>) {
        if !partition.is_led() {
            return;
        }
        match &mut self.uncoordinated {
            Some(waiting) => waiting.push(partition),
            None => self.broker.coordinator.elected(partition),
        }
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
        let copies = if is_first { self.sort_out(&new) } else { Vec::new() };
        let created = delta
            .created
            .iter()
            .flat_map(|topic| topic.partitions.keys().map(|index| (Arc::clone(topic), *index)));
        self.open(created.collect(), &new, is_first);
        if is_first {
            self.forget_others();
            self.resume(copies, &new);
        }
        let unled = delta.changed.iter().flat_map(|topic| self.change(&new, topic));
        let unled = unled.collect();
        self.open(unled, &new, false);
        self.configure(&delta, &new);
        self.tell_refusals();
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
    /// or to read what a crash has left, is to wait for the disk. One that is here and not led is opened where it
    /// lies.
    fn open(&mut self, wanted: Vec<(Arc<Topic>, PartitionId)>, new: &Published, is_first: bool) {
        if wanted.is_empty() {
            return;
        }
        let mut tasks = Vec::with_capacity(wanted.len());
        let mut placement = Placement::of(&self.broker);
        let mut config: Option<(Str, TopicConfig)> = None;
        let mut last = None;
        for (topic, index) in wanted {
            let Some(partition) = topic.partitions.get(&index).cloned() else { continue };
            if !partition.replicas.contains(&self.broker.node_id) {
                continue;
            }
            let of_topic = match config.take() {
                Some(known) if known.0 == topic.name => known,
                _ => {
                    let settings = self.broker.settings();
                    let resolved = topic_config::resolve(&settings, &new.image, &topic.name);
                    (topic.name.clone(), resolved)
                }
            };
            let expiration = topic_config::producer_expiration_ms(&self.broker.settings());
            let log_config = topic_config::log_config(&of_topic.1, expiration, self.jitter_seed);
            let log_config = shared(&mut last, log_config);
            let rule = topic_config::commit_rule(&of_topic.1);
            let isr_min = || of_topic.1.min_insync_replicas;
            let refuses_acks_all =
                in_sync::refuses_acks_all(&partition, self.broker.node_id, isr_min);
            self.have_refusals_changed |= refuses_acks_all;
            config = Some(of_topic);
            let cleaner = self.broker.cleaner.clone();
            let is_new = !is_first && !self.absent.contains(&(topic.id, index));
            let unled = self.broker.partitions.get(topic.id, index);
            let place = match &unled {
                Some(unled) => Place::In(unled.log_dir()),
                None => placement.place(&self.broker, &topic, index, &partition, is_new),
            };
            let key = (topic.id, index);
            let opening = |dir| Opening {
                topic,
                index,
                partition,
                unled,
                dir,
                config: log_config,
                rule,
                refuses_acks_all,
                cleaner,
                withheld: None,
            };
            match self.find(place, opening) {
                Some(task) => tasks.push(task),
                None => drop(self.absent.insert(key)),
            }
        }
        let (node_id, now) = (self.broker.node_id, self.broker.clock.now().wall);
        // Making directories at other times is to wait for the disk; what a start reads it reads, as the
        // operator says.
        let opened = match self.uncoordinated.is_some() {
            true => opening::open_by_directory(tasks, self.broker.threads_per_dir(), node_id, now),
            false => opening::open_all(tasks, OPENERS_MAX, node_id, now),
        };
        self.broker.partitions.insert(opened.iter().cloned());
        if self.uncoordinated.is_none() {
            for dir in self.broker.log_dirs.iter().filter(|dir| dir.has_unsynced()) {
                dir.sync_opened(&self.broker.partitions.all());
            }
        }
        self.broker.cleaner.ring();
        for partition in opened {
            if partition.topic() == CONSUMER_OFFSETS {
                self.coordinate(partition);
            }
        }
    }

    /// What is to be opened of a partition that lies in this place; none if it cannot be.
    fn find(
        &mut self,
        place: Place,
        opening: impl FnOnce(Arc<LogDir>) -> Opening,
    ) -> Option<Opening> {
        let found = match place {
            Place::In(dir) => return Some(opening(dir)),
            Place::Chosen(dir) => opening(dir),
            Place::Withheld(dirs) => {
                let withheld = Some(Withheld::DirIsMissing);
                let opening = Opening { withheld, ..opening(dirs.first().cloned()?) };
                opening.withhold_in(&dirs);
                return Some(opening);
            }
            Place::Several(dirs) => self.settle_rivals(opening(dirs.first().cloned()?), dirs),
            // The metadata says that nobody leads it.
            Place::Offline => return None,
        };
        self.assignments.push((found.topic.id, found.index, found.dir.id));
        Some(found)
    }

    /// Of the directories that a partition lies in, the one with the longest log is it. So a move ends
    /// that a crash has cut short between its renames; what the others have it has, too.
    fn settle_rivals(&mut self, mut opening: Opening, rivals: Vec<Arc<LogDir>>) -> Opening {
        let now = self.broker.clock.wall();
        let assigned = opening.partition.directory(self.broker.node_id);
        let mut reached = Vec::new();
        for dir in &rivals {
            opening.dir = Arc::clone(dir);
            match opening.open(now) {
                Ok(Opened { log, .. }) => {
                    let reach = (log.latest_epoch(), log.log_end_offset());
                    reached.push((
                        reach,
                        Some(opening.dir.id) == assigned,
                        Arc::clone(&opening.dir),
                    ));
                }
                Err(error) => {
                    warn!(dir = %opening.dir.path.display(), "lies in several directories: {error}");
                    error.judge(&opening.dir);
                    opening.note_offline(&error);
                    // All of them stay as they are. Another attempt might succeed, and serve the wrong one.
                    opening.withheld = Some(Withheld::RivalIsUnread);
                    opening.withhold_in(&rivals);
                    return opening;
                }
            }
        }
        reached.sort_by_key(|(reach, is_assigned, _)| (*reach, *is_assigned));
        if let Some((_, _, dir)) = reached.pop() {
            opening.dir = dir;
        }
        for (_, _, dir) in reached {
            warn!(dir = %dir.path.display(), topic = %opening.topic.name, index = %opening.index,
                "the partition lies in {}, too, which reaches as far or further", opening.dir.path.display());
            self.clear_away(&dir, &opening.topic.name, opening.index);
        }
        opening
    }

    /// Schedules the directory of a partition for removal.
    fn clear_away(&self, dir: &Arc<LogDir>, topic: &Str, index: PartitionId) {
        dir.forget(topic, index);
        if dir.has_failed() {
            // The next start finds that the metadata does not know it.
            return;
        }
        partition_dirs::clear(&self.broker, dir, topic, index);
    }

    /// Says which partitions are led here from now on and have no log open: nobody led them at the start, for the
    /// metadata took them for lost with a directory, and has been told since where they lie.
    fn change(&mut self, new: &Published, delta: &TopicDelta) -> Vec<(Arc<Topic>, PartitionId)> {
        let topic = &delta.topic;
        let (there, added): (Vec<_>, Vec<_>) = delta
            .partitions
            .iter()
            .partition(|partition| self.broker.partitions.get(topic.id, partition.id).is_some());
        self.open(added.iter().map(|added| (Arc::clone(topic), added.id)).collect(), new, false);
        let mut unled = Vec::new();
        for change in there {
            let Some(partition) = self.broker.partitions.get(topic.id, change.id) else { continue };
            self.judge_in_sync(&partition, new);
            if change.after.leader != self.broker.node_id {
                continue; // With one replica nobody else can lead: this one is on its way back.
            }
            let epoch = change.after.leader_epoch;
            match partition.with_leader(|leader| leader.begin_epoch(epoch)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    error!(%partition, "leader epoch {epoch} not noted: {error}");
                    partition.take_offline();
                    self.resign(&partition);
                }
                Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) => {
                    unled.push((Arc::clone(topic), change.id));
                }
                // Why it was not opened is no better now.
                Err(_) => {}
            }
        }
        unled
    }

    /// A partition is out of service: nobody coordinates its groups.
    fn resign(&self, partition: &Partition) {
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
        let mut last = None;
        for partition in self.broker.partitions.all() {
            if all || named.contains(partition.topic()) {
                self.judge_in_sync(&partition, new);
                let settings = self.broker.settings();
                let config = topic_config::resolve(&settings, &new.image, partition.topic());
                let rule = topic_config::commit_rule(&config);
                let expiration = topic_config::producer_expiration_ms(&self.broker.settings());
                let config = topic_config::log_config(&config, expiration, self.jitter_seed);
                let config = shared(&mut last, config);
                // One that is offline takes it when it is opened again.
                let _ = partition.with_leader(|leader| {
                    leader.log_mut().set_config(config);
                    if leader.commit_rule() != rule {
                        leader.set_commit_rule(rule);
                        partition.leave_unframed(leader.log().log_end_offset());
                        partition.unflushed();
                    }
                });
            }
        }
        self.broker.cleaner.ring();
    }

    fn delete(&mut self, topics: &[Arc<Topic>]) {
        let mut gone: BTreeMap<Uuid, BTreeSet<Key>> = BTreeMap::new();
        for topic in topics {
            for index in topic.partitions.keys() {
                for dir in self.delete_partition(topic, *index) {
                    gone.entry(dir).or_default().insert((topic.name.clone(), *index));
                }
            }
            info!(topic = %topic.name, id = %topic.id, "topic deleted");
        }
        // A topic that is made again must not be taken for the one that these still tell of.
        for dir in self.broker.log_dirs.iter().filter(|dir| !dir.has_failed()) {
            if let Some(gone) = gone.get(&dir.id) {
                self.write_forgotten(dir, gone);
            }
        }
    }

    /// Says which log directories tell of the partition.
    fn delete_partition(&mut self, topic: &Topic, index: PartitionId) -> Vec<Uuid> {
        let Some(partition) = self.broker.partitions.remove(topic.id, index) else {
            return Vec::new();
        };
        if topic.name == CONSUMER_OFFSETS {
            self.broker.coordinator.resigned(index);
        }
        let state = std::mem::replace(&mut *partition.state(), State::Gone);
        if let State::Led(leader) = state
            && let Err(error) = leader.into_log().abandon()
        {
            warn!(%partition, "an index of the deleted partition is missing: {error}");
        }
        // Its files may be cleaned at this moment, which ends now that it is led no more.
        drop(partition.cleaning());
        self.broker.moves.cancel(topic.id, index);
        let shown = partition.log_dir();
        let lies_in = |dir: &&Arc<LogDir>| dir.id == shown.id || dir.withholds(&topic.name, index);
        let dirs: Vec<_> = self.broker.log_dirs.iter().filter(lies_in).cloned().collect();
        for dir in &dirs {
            // A flush that has begun writes to its files by name: they may be another topic's next. And it may
            // keep frames for it.
            drop(dir.write_ahead().alone());
            dir.write_ahead().let_frames_go(partition.key());
            self.clear_away(dir, &topic.name, index);
        }
        // Where a move was going its recovery point may be noted already, and where one came from still.
        let told = |dir: &&Arc<LogDir>| dir.tells_of(&topic.name, index);
        let told: Vec<_> = self.broker.log_dirs.iter().filter(told).collect();
        told.iter().for_each(|dir| dir.forget(&topic.name, index));
        dirs.iter().chain(told).map(|dir| dir.id).collect()
    }

    /// At start: what in the log directories is no partition of this node's is taken out of the way.
    /// Returns the copies of partitions that were being moved.
    fn sort_out(&mut self, new: &Published) -> Vec<FutureDir> {
        let mut left = Leftovers::default();
        for dir in &self.broker.log_dirs {
            if let Err(error) = partition_dirs::sort_out(&self.broker, dir, &new.image, &mut left) {
                error!("leftovers stay where they are: {error}");
                dir.judge(&error);
            }
        }
        left.deleted.into_iter().for_each(|deleted| self.broker.retention.remove(deleted));
        let (orphans, copies) = left
            .futures
            .into_iter()
            .partition::<Vec<_>, _>(|future| self.is_orphan(future, &new.image));
        for future in orphans {
            if let Err(error) = partition_dirs::promote(&future.dir, &future) {
                error!("a copy stays what it is: {error}");
                future.dir.judge(&error);
            }
        }
        copies
    }

    /// Whether a copy is all that there is of a partition, and lies where the partition is assigned.
    fn is_orphan(&self, future: &FutureDir, image: &MetadataImage) -> bool {
        let current = PartitionDir::current(&future.found.topic, future.found.partition);
        let name = current.name(Uuid::ZERO);
        let topic = image.topics.named(&future.found.topic);
        let partition = topic.and_then(|topic| topic.partitions.get(&future.found.partition));
        let assigned = partition.and_then(|partition| partition.directory(self.broker.node_id));
        // It was made durable, and says so, before its directory was assigned.
        let owner = partition_metadata::read(future.dir.disk(), &future.path).ok().flatten();
        assigned == Some(future.dir.id)
            && owner.is_some()
            && owner == topic.map(|topic| topic.id)
            && !self.broker.has_failed_dirs()
            && !self.broker.log_dirs.iter().any(|dir| dir.disk().has_dir(&dir.path.join(&name)))
    }

    /// At start: moves that were cut short go on.
    fn resume(&self, copies: Vec<FutureDir>, new: &Published) {
        for FutureDir { dir, path, found } in copies {
            let topic = new.image.topics.named(&found.topic);
            let partition =
                topic.and_then(|topic| self.broker.partitions.get(topic.id, found.partition));
            match partition {
                Some(partition) => self.broker.moves.resume(&partition, &dir, path),
                None => warn!(dir = %path.display(), "a copy of a partition that is not served"),
            }
        }
    }

    /// Takes the partitions out of service whose log directory has failed; says which those are.
    pub(crate) fn take_failed_offline(&mut self) -> Vec<Uuid> {
        let dirs = self.broker.log_dirs.iter().filter(|dir| dir.has_failed());
        let news: Vec<_> = dirs.filter(|dir| self.failed.insert(dir.id)).cloned().collect();
        for dir in &news {
            let partitions = self.broker.partitions.all();
            // At this moment one may leave it, or come: which of the two, tells the lock of its state.
            for partition in partitions.iter().filter(|partition| self.may_lie_in(dir, partition)) {
                if partition.take_offline_from(dir.write_ahead()) {
                    self.resign(partition);
                }
            }
            warn!(dir = %dir.path.display(), "out of service until the next start");
        }
        let metadata = self.broker.config.metadata_log.dir.as_str();
        if let Some(dir) = news.iter().find(|dir| dir.path.as_os_str() == metadata) {
            self.broker.fatal.tell(format!("{} holds the metadata", dir.path.display()));
        } else if !news.is_empty() && self.broker.log_dirs.iter().all(|dir| dir.has_failed()) {
            self.broker.fatal.tell("all log directories have failed");
        }
        news.into_iter().map(|dir| dir.id).collect()
    }

    fn may_lie_in(&self, dir: &LogDir, partition: &Partition) -> bool {
        let (topic, index) = partition.key();
        // That first: it is forgotten once the partition lies there.
        let target = self.broker.moves.of(topic, index).map(|(target, _)| target);
        target == Some(dir.id) || partition.directory() == dir.id
    }

    /// In which directories partitions were put that the metadata does not know to be there.
    pub(crate) fn take_assignments(&mut self) -> Vec<(TopicId, PartitionId, Uuid)> {
        std::mem::take(&mut self.assignments)
    }

    /// The broker that it publishes to.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// At start: checkpoints that tell of partitions which are gone are written anew.
    fn forget_others(&self) {
        let partitions = self.broker.partitions.all();
        for dir in &self.broker.log_dirs {
            let gone = dir.forget_others(&partitions);
            if !gone.is_empty() {
                self.write_forgotten(dir, &gone);
            }
        }
    }

    fn write_forgotten(&self, dir: &LogDir, gone: &BTreeSet<Key>) {
        if let Err(error) = dir.write_forgotten(|| self.broker.partitions.all(), gone) {
            error!("checkpoints still tell of partitions that are gone: {error}");
            dir.judge(&error);
        }
    }
}

fn is_topic(resource: &ConfigResource) -> bool {
    resource.resource() == Some(Resource::Topic)
}

/// The last settings, if these are the same, as those of most partitions are.
fn shared(last: &mut Option<Arc<LogConfig>>, config: LogConfig) -> Arc<LogConfig> {
    if last.as_deref() != Some(&config) {
        *last = Some(Arc::new(config));
    }
    Arc::clone(last.as_ref().expect("just made sure of it"))
}
