//! A node on a simulated disk, without threads: what it is told to do it has done when the call returns.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

use dohle_base::{Rng, TopicId, Uuid};
use dohle_config::{NoProviders, NodeSettings, Properties};
use dohle_controller::{Reply, Request};
use dohle_log::sim::SimDisk;
use dohle_protocol::api::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;

use super::told::{INDEX, Told};
use crate::{
    Alarm, Broker, LogDir, LogDirContext, OpenFiles, Published, Publisher, Upkeep, UpkeepInbox,
    controller::Event, disk::NodeDisk, kit, partition::Partition, partition_dirs,
};

/// The log directories.
pub(super) const DIRS: [&str; 2] = ["/a", "/b"];

const CONFIG: &str = "process.roles=broker,controller\nnode.id=1\nlog.dirs=/a,/b\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
    controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n\
    num.recovery.threads.per.data.dir=1\n\
    log.cleaner.dedupe.buffer.size=2097152\nlog.cleaner.io.buffer.size=65536\n";

/// What was told, by everyone who shares it: the controller answers from a thread of its own.
pub(super) type Shared = Arc<Mutex<Told>>;

/// How many files the node may have open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Handles {
    /// More than it needs.
    #[default]
    Enough,
    /// So few that each log is closed as soon as nobody is at it, flushed or not.
    Few,
}

/// How much the write-ahead log of a directory takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Frames {
    /// More than comes.
    #[default]
    Enough,
    /// Four small ones, so that it is full soon, and goes round where they are let go.
    Few,
}

impl Frames {
    /// In bytes.
    pub(super) const FEW: u64 = 4 * 4096;

    fn capacity(self) -> u64 {
        match self {
            Self::Enough => 256 << 20,
            Self::Few => Self::FEW,
        }
    }
}

/// What a node has to do with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Means {
    pub(super) handles: Handles,
    pub(super) frames: Frames,
}

impl Handles {
    fn files(self) -> OpenFiles {
        match self {
            Self::Enough => OpenFiles::within(1_000, 100, 2),
            Self::Few => OpenFiles::none_to_spare(),
        }
    }
}

/// A node.
pub(super) struct Site {
    pub(super) broker: Arc<Broker>,
    pub(super) told: Shared,
    publisher: Publisher,
    /// For the threads that would flush.
    _upkeep: Vec<UpkeepInbox>,
}

/// A disk with formatted directories.
pub(super) fn formatted() -> SimDisk {
    let disk = SimDisk::new();
    for dir in DIRS {
        disk.plant(&PathBuf::from(dir).join("meta.properties"), b"");
    }
    disk
}

pub(super) fn lock(told: &Shared) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// Starts the node.
    ///
    /// # Errors
    /// A log directory cannot be used.
    pub(super) fn start(disk: &SimDisk, told: &Shared, means: Means) -> Result<Self, String> {
        let (alarm, files) = (Alarm::default(), Arc::new(means.handles.files()));
        let (mut log_dirs, mut inboxes) = (Vec::new(), Vec::new());
        for (dir, id) in DIRS.into_iter().zip(7..) {
            let (upkeep, inbox) = Upkeep::new();
            inboxes.push(inbox);
            let (alarm, files) = (alarm.clone(), Arc::clone(&files));
            let disk = NodeDisk::Sim(disk.clone());
            let context = LogDirContext { disk, upkeep, alarm, files };
            let capacity = means.frames.capacity();
            match LogDir::open_with(capacity, Uuid(id), dir.into(), context) {
                Ok(dir) => log_dirs.push(Arc::new(dir)),
                Err(error) => {
                    log_dirs.iter().for_each(|dir| die(dir));
                    return Err(format!("{dir} is refused: {error}"));
                }
            }
        }
        // Another one each time, as the names that are made up have to be.
        let seed = disk.changes();
        let (broker, inbox) = kit::broker(settings(), log_dirs, alarm, seed);
        answer(inbox.0, told);
        let publisher = Publisher::new(Arc::clone(&broker), Rng::from_seed(seed));
        let mut site = Self { broker, told: Arc::clone(told), publisher, _upkeep: inboxes };
        site.publish();
        site.publisher.logs_are_open();
        site.step();
        Ok(site)
    }

    /// Shows the node what the metadata says, and tells the controller what the node finds.
    pub(super) fn publish(&mut self) {
        loop {
            let image = lock(&self.told).metadata.image().clone();
            self.publisher.publish(Published { image, ..Published::default() });
            let found = self.publisher.take_assignments();
            if found.is_empty() {
                return;
            }
            let mut told = lock(&self.told);
            found.into_iter().for_each(|(topic, _, dir)| told.assign(topic, dir));
        }
    }

    /// Does what is pending: the rounds, and what follows from a failed disk.
    pub(super) fn step(&mut self) {
        self.broker.log_dirs.iter().for_each(|dir| dir.write_ahead().step());
        if self.broker.log_dirs.iter().any(|dir| dir.has_failed()) {
            self.publisher.take_failed_offline();
        }
    }

    /// Flushes the directories and writes their checkpoints.
    pub(super) fn flush(&mut self) {
        for dir in &self.broker.log_dirs {
            dir.flush(|| self.broker.partitions.all());
            partition_dirs::clear_all_left(&self.broker, dir);
        }
        self.step();
    }

    /// Stops the node cleanly.
    pub(super) fn stop(mut self) {
        self.step();
        let partitions = self.broker.partitions.all();
        self.broker.log_dirs.iter().for_each(|dir| dir.close(&partitions, 1, 1));
    }

    pub(super) fn partition(&self, topic: TopicId) -> Option<Arc<Partition>> {
        self.broker.partitions.get(topic, INDEX)
    }

    /// Holds all that is served against what was told.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let told = lock(&self.told);
        told.ids().into_iter().filter(|id| told.is_led(*id)).try_for_each(|id| {
            let partition = self.partition(id).ok_or_else(|| format!("{id} is not there"))?;
            told.topics[&id].check(&partition)
        })
    }

    /// The same of what would not have to be there after a power cut: the power was not off.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check_cached(&self) -> Result<(), String> {
        let told = lock(&self.told);
        let ids = told.ids().into_iter().filter(|id| told.is_led(*id));
        ids.filter(|id| !told.topics[id].is_durable()).try_for_each(|id| {
            let partition = self.partition(id).ok_or_else(|| format!("{id} is not there"))?;
            told.topics[&id].check(&partition)
        })
    }

    /// The power was off: what was not promised to survive that counts as far as it is there.
    ///
    /// # Errors
    /// A partition cannot be read.
    pub(super) fn take_loss(&self) -> Result<(), String> {
        let mut told = lock(&self.told);
        for id in told.ids() {
            let partition = self.partition(id).ok_or_else(|| format!("{id} is not there"))?;
            if !told.topics[&id].is_durable() {
                told.topic(id).take_loss(&partition)?;
            }
        }
        Ok(())
    }

    /// The same of what lies in the other directories, if one has failed.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check_healthy(&self) -> Result<(), String> {
        if !self.broker.has_failed_dirs() {
            return Ok(());
        }
        let told = lock(&self.told);
        let partitions = self.broker.partitions.all();
        let is_served =
            |one: &&Arc<Partition>| !one.log_dir().has_failed() && told.is_led(one.topic_id());
        let mut healthy = partitions.iter().filter(is_served);
        healthy.try_for_each(|partition| told.topics[&partition.topic_id()].check(partition))
    }
}

impl Drop for Site {
    /// The process ends, if it has not stopped.
    fn drop(&mut self) {
        self.broker.log_dirs.iter().for_each(|dir| die(dir));
    }
}

fn die(dir: &LogDir) {
    dir.write_ahead().die();
}

pub(super) fn settings() -> NodeSettings {
    static SETTINGS: OnceLock<NodeSettings> = OnceLock::new();
    let read = || {
        let properties = Properties::parse(CONFIG).unwrap();
        NodeSettings::from_file(&properties, &NoProviders).unwrap().0
    };
    SETTINGS.get_or_init(read).clone()
}

/// Takes each directory that the node tells the controller, until the node is gone.
fn answer(mut events: tokio::sync::mpsc::Receiver<Event>, told: &Shared) {
    let told = Arc::clone(told);
    thread::spawn(move || {
        while let Some(Event::Ask { request, reply }) = events.blocking_recv() {
            let Request::AssignReplicasToDirs(asked) = *request else { return };
            for directory in asked.directories {
                let mut told = lock(&told);
                directory.topics.iter().for_each(|topic| told.assign(topic.topic_id, directory.id));
            }
            let taken = Reply::AssignReplicasToDirs(AssignReplicasToDirsResponse::default());
            let _ = reply.send(taken);
        }
    });
}
