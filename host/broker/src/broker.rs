//! What all requests share: the node's identity, its view of the metadata, and the ways to its
//! partitions, coordinators and controller.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use dohle_base::{BrokerId, ErrorCode, PartitionId, Rng, Str, Uuid};
use dohle_config::{BrokerConfig, NodeSettings};
use dohle_controller::Request;
use dohle_metadata::{ConfigResource, MetadataImage};
use dohle_os::Clock;
use dohle_protocol::{
    ApiKey,
    api::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
};
use dohle_replication::fetch_session::{SessionCache, SessionLimits};
use tokio::sync::Semaphore;

use crate::{
    cleaner::Cleaner,
    controller::ControllerHandle,
    coordinator::Coordinator,
    fatal::Fatal,
    log_dirs::{Alarm, LogDir},
    metadata::Published,
    metrics::Metrics,
    moves::Moves,
    partition::Partition,
    partitions::Partitions,
    producer_ids::ProducerIds,
    retention::Retention,
    topic_config,
    topic_names::CONSUMER_OFFSETS,
};

/// See `Broker::time_searches`.
const TIME_SEARCHES_MAX: usize = 2;

/// Which part of the node a listener leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Clients and other brokers.
    Broker,
    /// Brokers and other controllers.
    Controller,
}

impl ListenerKind {
    /// Whether requests with this key are answered here.
    pub(crate) fn serves(self, key: ApiKey) -> bool {
        match self {
            Self::Broker => key.on_broker(),
            Self::Controller => key.on_controller(),
        }
    }
}

/// What the broker is made of.
pub struct Parts {
    /// The number of this node.
    pub node_id: BrokerId,
    /// The cluster.
    pub cluster_id: Str,
    /// The configuration, as far as it does not change.
    pub config: BrokerConfig,
    /// The configuration, layer by layer.
    pub settings: NodeSettings,
    /// The kinds of the listeners, in the order in which the network knows them.
    pub listeners: Vec<ListenerKind>,
    /// Where partitions lie.
    pub log_dirs: Vec<Arc<LogDir>>,
    /// The way to the controller.
    pub controller: ControllerHandle,
    /// The way to the coordinators of groups.
    pub coordinator: Coordinator,
    /// The way to the thread that removes what is to go.
    pub retention: Retention,
    /// Rings when a log directory has failed.
    pub alarm: Alarm,
    /// The way to the threads that compact logs.
    pub cleaner: Cleaner,
    /// The clock.
    pub clock: Clock,
    /// What is counted for metrics.
    pub metrics: Arc<Metrics>,
    /// Gives session and member ids.
    pub rng: Rng,
}

/// One broker.
pub struct Broker {
    /// The number of this node.
    pub node_id: BrokerId,
    /// The cluster.
    pub cluster_id: Str,
    /// The configuration, as far as it does not change.
    pub config: BrokerConfig,
    /// The partitions that this node holds.
    pub partitions: Partitions,
    /// Where they lie: the log directories that could be opened.
    pub log_dirs: Vec<Arc<LogDir>>,
    /// The way to the controller.
    pub controller: ControllerHandle,
    /// The way to the coordinators of groups.
    pub coordinator: Coordinator,
    /// The way to the thread that removes what is to go.
    pub retention: Retention,
    /// The way to the thread that moves partitions between log directories.
    pub moves: Moves,
    /// Rings when a log directory has failed.
    pub alarm: Alarm,
    /// Tells why the node cannot go on.
    pub fatal: Fatal,
    /// The way to the threads that compact logs.
    pub cleaner: Cleaner,
    /// The clock.
    pub clock: Clock,
    /// What is counted for metrics.
    pub metrics: Arc<Metrics>,
    pub(crate) fetch_sessions: Mutex<SessionCache>,
    /// How many records may be searched for by time at once: fewer than a network thread has others for what it
    /// must not wait for.
    pub(crate) time_searches: Semaphore,
    pub(crate) producer_ids: ProducerIds,
    settings: ArcSwap<NodeSettings>,
    metadata: ArcSwap<Published>,
    listeners: Vec<ListenerKind>,
    rng: Mutex<Rng>,
    /// The epoch of this broker's registration; −1 before it.
    epoch: AtomicI64,
}

impl Broker {
    /// A broker that knows no metadata yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { mut rng, config, .. } = parts;
        let limits = SessionLimits {
            slots: usize::try_from(config.fetch.sessions_max).unwrap_or(0),
            ..SessionLimits::default()
        };
        let sessions = SessionCache::new(limits, Rng::from_seed(rng.next_u64()));
        Arc::new(Self {
            node_id: parts.node_id,
            cluster_id: parts.cluster_id,
            config,
            partitions: Partitions::default(),
            log_dirs: parts.log_dirs,
            controller: parts.controller,
            coordinator: parts.coordinator,
            retention: parts.retention,
            moves: Moves::default(),
            fatal: parts.alarm.fatal().clone(),
            alarm: parts.alarm,
            cleaner: parts.cleaner,
            clock: parts.clock,
            metrics: parts.metrics,
            fetch_sessions: Mutex::new(sessions),
            time_searches: Semaphore::new(TIME_SEARCHES_MAX),
            producer_ids: ProducerIds::default(),
            settings: ArcSwap::from_pointee(parts.settings),
            metadata: ArcSwap::from_pointee(Published::default()),
            listeners: parts.listeners,
            rng: Mutex::new(rng),
            epoch: AtomicI64::new(-1),
        })
    }

    /// The metadata as of now.
    pub fn metadata(&self) -> Guard<Arc<Published>> {
        self.metadata.load()
    }

    /// The configuration as of now.
    pub fn settings(&self) -> Guard<Arc<NodeSettings>> {
        self.settings.load()
    }

    /// Shows new metadata to all requests from now on.
    pub(crate) fn show(&self, published: Published) {
        if let Some(broker) = published.image.broker(self.node_id) {
            self.epoch.store(broker.epoch, Ordering::Relaxed);
        }
        self.metadata.store(Arc::new(published));
    }

    /// Takes over what was configured dynamically for this broker and for all.
    pub(crate) fn take_settings(&self, image: &MetadataImage) {
        let all = topic_config::settings_of(image, &ConfigResource::all_brokers());
        let own = topic_config::settings_of(image, &ConfigResource::broker(self.node_id));
        let (settings, warnings) = self.settings.load().with_dynamic(&all, &own);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.settings.store(Arc::new(settings));
    }

    /// Whether some of the configured log directories cannot be used.
    pub(crate) fn has_failed_dirs(&self) -> bool {
        self.log_dirs.len() < self.config.log_dirs.len()
            || self.log_dirs.iter().any(|dir| dir.has_failed())
    }

    /// The epoch of this broker's registration; −1 before it.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn listener_kind(&self, index: usize) -> ListenerKind {
        self.listeners[index]
    }

    pub(crate) fn random_id(&self) -> Uuid {
        Uuid::random(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody gets one meanwhile.
    #[cfg(test)]
    pub(crate) fn hold_random(&self) -> std::sync::MutexGuard<'_, Rng> {
        self.rng.lock().unwrap()
    }

    /// A partition by the name of its topic, if this node leads it or could.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` if there is none, `NOT_LEADER_OR_FOLLOWER` if it is elsewhere.
    pub(crate) fn led(
        &self,
        published: &Published,
        topic: &str,
        index: PartitionId,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let topic =
            published.image.topics.named(topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        match self.partitions.get(topic.id, index) {
            Some(partition) => Ok(partition),
            None if topic.partitions.contains_key(&index) => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    /// Whether a topic's records go by compaction alone, so that nobody may delete them otherwise.
    pub(crate) fn is_only_compacted(&self, published: &Published, topic: &str) -> bool {
        let config = topic_config::resolve(&self.settings(), &published.image, &topic.into());
        config.cleanup_policy.compact && !config.cleanup_policy.delete
    }

    /// Makes topics that somebody asked for, with the defaults, and those of Kafka's own with theirs.
    /// What cannot be made is not there afterwards.
    pub(crate) async fn auto_create(&self, names: Vec<Str>) {
        let topics = names.into_iter().map(|name| self.new_topic(name)).collect();
        let request = CreateTopicsRequest { topics, ..CreateTopicsRequest::default() };
        // Its reply is not needed: whoever asked looks at the metadata, which is there before it.
        self.controller.ask(Request::CreateTopics(request)).await;
    }

    fn new_topic(&self, name: Str) -> CreatableTopic {
        if name != CONSUMER_OFFSETS {
            let topic = CreatableTopic {
                name,
                num_partitions: -1,
                replication_factor: -1,
                ..Default::default()
            };
            return topic;
        }
        let offsets = &self.config.offsets;
        let config = |name: &str, value: String| CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
        };
        CreatableTopic {
            name,
            num_partitions: offsets.partitions,
            replication_factor: offsets.replication_factor,
            configs: vec![
                config("compression.type", "producer".to_owned()),
                config("cleanup.policy", "compact".to_owned()),
                config("segment.bytes", offsets.segment_bytes.to_string()),
            ],
            ..CreatableTopic::default()
        }
    }

    /// Closes all log directories, at the same time.
    pub fn close_log_dirs(&self) {
        let (partitions, epoch) = (self.partitions.all(), self.epoch());
        let threads = self.threads_per_dir();
        std::thread::scope(|scope| {
            for dir in &self.log_dirs {
                scope.spawn(|| dir.close(&partitions, epoch, threads));
            }
        });
    }

    /// How many threads open the logs of a directory at start, and flush them at stop.
    pub(crate) fn threads_per_dir(&self) -> usize {
        let threads = self.settings().long("num.recovery.threads.per.data.dir");
        usize::try_from(threads).unwrap_or(1).max(1)
    }

    /// How long to wait for answers that are owed when the node stops.
    pub const STOP_GRACE: Duration = Duration::from_secs(5);
}
