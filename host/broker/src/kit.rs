//! A broker for tests, with log directories and without a network.

mod metadata;

use std::{path::Path, sync::Arc, time::Duration};

use dohle_base::{BrokerId, LeaderEpoch, Offset, PartitionId, Rng, Timestamp, TopicId, Uuid};
use dohle_config::{BrokerConfig, NoProviders, NodeSettings, Properties};
use dohle_group::GroupSettings;
use dohle_log::{Log, LogConfig, OpenLog};
use dohle_metadata::Topic;
use dohle_net::{ConnectionContext, ConnectionId};
use dohle_os::Clock;
use dohle_replication::{CommitRule, Leader};
use tempfile::TempDir;

pub(crate) use self::metadata::{make_topic, no_topics, replicate};
use crate::{
    Alarm, Broker, Cleaner, ControllerHandle, ControllerInbox, Coordinator, GroupWrites,
    ListenerKind, LogDir, LogDirContext, OpenFiles, Parts, Published, Retention, Upkeep,
    UpkeepInbox,
    api::Call,
    disk::either::OS,
    metrics::Metrics,
    partition::{Partition, State},
};

const CONFIG: &str = "process.roles=broker,controller\nnode.id=1\nlog.dirs=/a,/b\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
    controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n";
const TOPIC: TopicId = TopicId(Uuid(1));

/// How long tests wait for what a broker does at once: a busy disk may take half a minute for a sync.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Kit {
    pub(crate) broker: Arc<Broker>,
    /// In the first directory.
    pub(crate) partitions: Vec<Arc<Partition>>,
    /// What is asked of the controller.
    pub(crate) controller: ControllerInbox,
    /// For the threads that flush the log directories.
    pub(crate) upkeep: Vec<UpkeepInbox>,
    _root: TempDir,
}

/// A broker with two log directories and so many partitions of the topic `t`, which the metadata knows.
pub(crate) fn kit(settings: &str, files: OpenFiles, partitions: i32, config: &LogConfig) -> Kit {
    kit_in(tempfile::tempdir().unwrap(), settings, files, partitions, config)
}

/// The same, in this directory.
pub(crate) fn kit_in(
    root: TempDir,
    settings: &str,
    files: OpenFiles,
    partitions: i32,
    config: &LogConfig,
) -> Kit {
    let (files, alarm, mut inboxes) = (Arc::new(files), Alarm::default(), Vec::new());
    let log_dirs = ["a", "b"].into_iter().zip(7..).map(|(name, id)| {
        let path = root.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let (upkeep, inbox) = Upkeep::new();
        inboxes.push(inbox);
        let (alarm, files) = (alarm.clone(), Arc::clone(&files));
        let context = LogDirContext { disk: OS, upkeep, alarm, files };
        Arc::new(LogDir::open(Uuid(id), path, context).unwrap())
    });
    let log_dirs: Vec<_> = log_dirs.collect();
    let properties = Properties::parse(&format!("{CONFIG}{settings}")).unwrap();
    let (settings, _) = NodeSettings::from_file(&properties, &NoProviders).unwrap();
    let (broker, inbox) = broker(settings, log_dirs, alarm, 1);
    broker.show(Published { image: image(partitions), ..Published::default() });
    let partitions: Vec<_> = (0..partitions).map(|index| open(&broker, index, config)).collect();
    broker.partitions.insert(partitions.iter().map(Arc::clone));
    Kit { broker, partitions, controller: inbox, upkeep: inboxes, _root: root }
}

/// A log directory by itself, which nobody flushes.
pub(crate) fn log_dir(id: Uuid, path: &Path) -> LogDir {
    LogDir::open(id, path.to_owned(), log_dir_context()).unwrap()
}

/// What it works with.
pub(crate) fn log_dir_context() -> LogDirContext {
    let files = Arc::new(OpenFiles::within(1_000, 100, 2));
    LogDirContext { disk: OS, upkeep: Upkeep::new().0, alarm: Alarm::default(), files }
}

/// A broker with these log directories, and what it asks of the controller. `seed` is that of the names which it
/// makes up.
pub(crate) fn broker(
    settings: NodeSettings,
    log_dirs: Vec<Arc<LogDir>>,
    alarm: Alarm,
    seed: u64,
) -> (Arc<Broker>, ControllerInbox) {
    let (clock, (controller, inbox)) = (Clock::start(), ControllerHandle::new());
    let config = BrokerConfig::new(&settings).unwrap();
    let (groups, writes) = (GroupSettings::default(), GroupWrites::of(&config.offsets));
    let coordinator = Coordinator::start(groups, writes, clock, alarm.fatal()).unwrap().0;
    let broker = Broker::new(Parts {
        node_id: BrokerId(1),
        cluster_id: "c".into(),
        config,
        settings,
        listeners: vec![ListenerKind::Broker],
        log_dirs,
        controller,
        coordinator,
        retention: Retention::default(),
        alarm,
        cleaner: Cleaner::default(),
        clock,
        metrics: Arc::new(Metrics::default()),
        rng: Rng::from_seed(seed),
    });
    (broker, inbox)
}

impl Kit {
    /// Lets `act` make a call of a version, as a client of the network.
    pub(crate) fn call<R>(&self, version: i16, act: impl FnOnce(Call<'_>) -> R) -> R {
        let connection = ConnectionContext {
            id: ConnectionId(1),
            peer: ([127, 0, 0, 1], 1).into(),
            listener: 0,
            listener_name: "PLAINTEXT".into(),
            thread: 0,
        };
        let tally = self.broker.metrics.tally(connection.thread);
        let (broker, connection, tally) = (&self.broker, &connection, &tally);
        act(Call { broker, tally, version, client_id: None, connection })
    }

    /// Flushes all log directories and writes their checkpoints.
    pub(crate) fn flush(&self) {
        self.broker.log_dirs.iter().for_each(|dir| dir.flush(|| self.broker.partitions.all()));
    }
}

fn image(partitions: i32) -> dohle_metadata::MetadataImage {
    let mut state = no_topics();
    make_topic(&mut state, "t", TOPIC, partitions, Uuid(7));
    state.image().clone()
}

fn open(broker: &Broker, index: i32, config: &LogConfig) -> Arc<Partition> {
    let dir = &broker.log_dirs[0];
    let (path, how) = (dir.path.join(format!("t-{index}")), OpenLog::default());
    let log = Log::open(OS, path, config.clone(), how, Timestamp(0)).unwrap();
    let leader = Leader::new(log, LeaderEpoch(0), CommitRule::Synced, Offset::ZERO).unwrap();
    let topic = Topic { name: "t".into(), id: TOPIC, partitions: Default::default() };
    let state = State::Led(Box::new(leader));
    Partition::new(&topic, PartitionId(index), Arc::clone(dir), state, broker.cleaner.clone())
}
