//! A node from its configuration to serving, and back.
//!
//! ```text
//! start   directories ─▶ locks ─▶ metadata log ─▶ lead ─▶ register ─▶ open partitions ─▶ listen
//! stop    stop listening ─▶ answers that are owed ─▶ coordinators ─▶ controller ─▶ logs closed, locks
//! ```
//!
//! Nothing is served before everything is there, so a client that can connect can work.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use dohle_base::{BrokerId, Rng, Str, Uuid};
use dohle_broker::{
    Alarm, Broker, Cleaner, ControllerHandle, Coordinator, Dispatcher, Driver, DriverError,
    FilesError, GroupWrites, ListenerKind, LogDir, LogDirContext, LogDirError, MetadataFiles,
    OpenFiles, Parts, Publisher, Retention, Upkeep, metrics::Metrics,
};
use dohle_config::{Address, BrokerConfig, NodeSettings};
use dohle_controller::{NodeConfig, OpenError, Settings, SnapshotPolicy};
use dohle_group::GroupSettings;
use dohle_metadata::{Listener as Registered, MetaProperties, supported_features};
use dohle_metrics::Endpoint;
use dohle_net::{ListenerSpec, Options, Reserved, Server, StartError as NetError};
use dohle_os::{Clock, OsDisk};
use dohle_protocol::api::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener as RegisteredListener,
};
use dohle_raft::{Endpoint as RaftEndpoint, LoadError, METADATA_LOG_DIR, ReplicaKey, VoterSet};
use tracing::warn;

use crate::{
    AddressError, DirectoriesError,
    addresses::{self, Bound},
    directories,
};

/// Why a node does not start. Nothing is left locked or listening.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The roles are not those of a combined node.
    #[error("process.roles: only broker,controller (a node that is both) is supported yet")]
    Roles,
    /// A setting that would have to change what the node does, and does not yet.
    #[error("{0}")]
    Unsupported(String),
    /// The directories are not formatted, or not this node's.
    #[error(transparent)]
    Directories(#[from] DirectoriesError),
    /// None of the log directories can be used; why was logged for each.
    #[error("none of log.dirs can be used")]
    NoLogDir,
    /// A directory is in use, or cannot be read.
    #[error(transparent)]
    LogDir(#[from] LogDirError),
    /// A listener cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A port is taken, or the system has no threads to give.
    #[error("{error}{}", source_of(error))]
    Net {
        /// What went wrong.
        #[from]
        error: NetError,
    },
    /// Metrics cannot be served where they should be.
    #[error("dohle.metrics.listener = {listener}: {source}")]
    Metrics {
        /// Where.
        listener: Address,
        /// What the system says.
        source: std::io::Error,
    },
    /// The metadata cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The metadata does not fit together.
    #[error("{}: {error}", path.display())]
    Metadata {
        /// The file that is to blame, or the directory of the metadata log.
        path: PathBuf,
        /// What is wrong.
        error: Box<OpenError>,
    },
    /// The controller did not let the broker in.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The system has no thread or no entropy to give.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Which file of the metadata directory is to blame.
fn misfit(config: &BrokerConfig, error: OpenError) -> StartError {
    let dir = Path::new(config.metadata_log.dir.as_str());
    let name = match &error {
        OpenError::Raft(LoadError::NotAVoter { .. }) => MetaProperties::FILE,
        _ => METADATA_LOG_DIR,
    };
    StartError::Metadata { path: dir.join(name), error: Box::new(error) }
}

fn source_of(error: &NetError) -> String {
    std::error::Error::source(error).map_or(String::new(), |source| format!(": {source}"))
}

/// A node that serves.
pub struct Node {
    server: Server,
    broker: Arc<Broker>,
    threads: Threads,
    metrics: Option<Endpoint>,
}

/// The threads beside those of the network.
struct Threads {
    controller: JoinHandle<()>,
    coordinator: JoinHandle<()>,
    upkeep: Vec<JoinHandle<()>>,
    retention: JoinHandle<()>,
    moves: JoinHandle<()>,
    cleaner: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts a combined node on formatted directories. Ports of its listeners may have been reserved before.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        settings: NodeSettings,
        config: BrokerConfig,
        reserved: Vec<Reserved>,
    ) -> Result<Self, StartError> {
        if !(config.roles.broker && config.roles.controller) {
            return Err(StartError::Roles);
        }
        if let Some(unsupported) = settings.unsupported().first() {
            return Err(StartError::Unsupported(unsupported.to_string()));
        }
        let bound = addresses::bound(&config, reserved)?;
        let mut rng = dohle_os::seeded_rng()?;
        let disk = OsDisk;
        let clock = Clock::start();
        let found = directories::read(&config, &disk, &mut rng)?;
        let (mut log_dirs, mut upkeep_inboxes) = (Vec::new(), Vec::new());
        let handles = dohle_os::raise_open_files();
        let connections_max = connections_max(&config, handles);
        let thread_count = network_threads(&settings, &config, cores());
        let files = Arc::new(OpenFiles::within(handles, connections_max, cores()));
        let alarm = Alarm::default();
        for (path, id) in found.logs {
            let is_metadata = path.as_os_str() == config.metadata_log.dir.as_str();
            let (upkeep, inbox) = Upkeep::new();
            let (alarm, files) = (alarm.clone(), Arc::clone(&files));
            let context = LogDirContext { disk, upkeep, alarm, files };
            match LogDir::open(id, path.clone(), context) {
                Ok(dir) => {
                    log_dirs.push(Arc::new(dir));
                    upkeep_inboxes.push(inbox);
                }
                Err(error) if error.is_of_disk() && !is_metadata => {
                    directories::set_offline(&path, &error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if log_dirs.is_empty() {
            return Err(StartError::NoLogDir);
        }
        let me = Identity {
            node_id: config.node_id,
            cluster_id: found.cluster_id,
            metadata_directory: found.metadata,
            incarnation_id: Uuid::random(&mut rng),
        };

        let metrics = Arc::new(Metrics::default());
        let mut files = MetadataFiles::open(&config.metadata_log, disk, clock.now().wall)?;
        let node_config = node_config(&me, &settings, &config, &bound, rng.next_u64());
        let mut loader = files.loader(node_config)?;
        files.load(&mut loader)?;
        let started = loader.start(clock.now()).map_err(|error| misfit(&config, error))?;
        let mut driver = Driver::new(started, files, clock, Arc::clone(&metrics));
        driver.boot(registration(&me, &config, &bound, &log_dirs))?;

        let (controller, inbox) = ControllerHandle::new();
        let writes = GroupWrites::of(&config.offsets);
        let (coordinator, coordinator_thread) =
            Coordinator::start(group_settings(&config), writes, clock, alarm.fatal())?;
        let broker = Broker::new(Parts {
            node_id: me.node_id,
            cluster_id: me.cluster_id,
            listeners: bound.iter().map(kind).collect(),
            log_dirs,
            controller,
            coordinator,
            retention: Retention::default(),
            alarm,
            cleaner: Cleaner::default(),
            clock,
            metrics,
            rng: Rng::from_seed(rng.next_u64()),
            settings,
            config,
        });
        let mut publisher = Publisher::new(Arc::clone(&broker), rng);
        driver.publish(&mut publisher)?;
        publisher.logs_are_open();
        let upkeep = upkeep_inboxes.into_iter().zip(&broker.log_dirs);
        let upkeep = upkeep.map(|(inbox, dir)| inbox.start(Arc::clone(&broker), Arc::clone(dir)));
        let threads = Threads {
            upkeep: upkeep.collect::<Result<_, _>>()?,
            retention: broker.retention.start(Arc::clone(&broker))?,
            moves: broker.moves.start(Arc::clone(&broker))?,
            cleaner: broker.cleaner.start(Arc::clone(&broker))?,
            controller: driver.start(inbox, publisher, Arc::clone(&broker))?,
            coordinator: coordinator_thread,
        };

        let handlers = Arc::clone(&broker);
        let server = Server::start(
            options(&broker.config, thread_count, connections_max),
            specs(bound),
            move |thread| Dispatcher::new(Arc::clone(&handlers), thread),
        );
        let serving = server.map_err(StartError::from).and_then(|server| {
            let metrics = metrics_endpoint(&broker, &server)?;
            Ok((server, metrics))
        });
        match serving {
            Ok((server, metrics)) => Ok(Self { server, broker, threads, metrics }),
            Err(error) => {
                stop(&broker, threads);
                Err(error)
            }
        }
    }

    /// The listeners by name, with the addresses that they are bound to.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.server.listeners().iter().map(|listener| (&*listener.name, listener.address))
    }

    /// The cluster that the node belongs to.
    pub fn cluster_id(&self) -> &Str {
        &self.broker.cluster_id
    }

    /// Where metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Endpoint::address)
    }

    /// Waits until the node cannot go on, and says why. It is to be stopped then.
    pub fn failed(&self) -> impl Future<Output = String> + use<> {
        let fatal = self.broker.fatal.clone();
        async move { fatal.heard().await.to_owned() }
    }

    /// Stops cleanly: what was acknowledged is durable, and the next start reads no log.
    pub fn shutdown(self) {
        drop(self.metrics);
        self.server.shutdown(Broker::STOP_GRACE);
        stop(&self.broker, self.threads);
    }
}

/// Serves metrics, if that was configured.
fn metrics_endpoint(broker: &Arc<Broker>, server: &Server) -> Result<Option<Endpoint>, StartError> {
    let Some(listener) = &broker.config.metrics_listener else { return Ok(None) };
    let failed = |source| StartError::Metrics { listener: listener.clone(), source };
    let mut found = (&*listener.host, listener.port).to_socket_addrs().map_err(failed)?;
    let address = found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let (broker, network) = (Arc::clone(broker), server.counters().to_vec());
    let endpoint = Endpoint::start(address, move || broker.metrics_page(&network));
    endpoint.map(Some).map_err(failed)
}

fn stop(broker: &Broker, threads: Threads) {
    broker.log_dirs.iter().for_each(|dir| dir.upkeep().stop());
    broker.retention.stop();
    broker.moves.stop();
    broker.cleaner.stop();
    broker.coordinator.stop();
    broker.controller.stop();
    let Threads { controller, coordinator, upkeep, retention, moves, cleaner } = threads;
    let threads = [
        ("retention", retention),
        ("moves", moves),
        ("coordinator", coordinator),
        ("controller", controller),
    ];
    let upkeep = upkeep.into_iter().map(|thread| ("upkeep", thread));
    let cleaner = cleaner.map(|thread| ("cleaner", thread));
    for (name, thread) in cleaner.into_iter().chain(upkeep).chain(threads) {
        if thread.join().is_err() {
            warn!("the {name}'s thread had panicked");
        }
    }
    if broker.fatal.has_panicked() {
        warn!("the log directories are left as by a crash: a thread had panicked");
        return;
    }
    broker.close_log_dirs();
}

/// Who the node is.
struct Identity {
    node_id: BrokerId,
    cluster_id: Str,
    metadata_directory: Uuid,
    incarnation_id: Uuid,
}

fn kind(bound: &Bound) -> ListenerKind {
    if bound.is_controller { ListenerKind::Controller } else { ListenerKind::Broker }
}

fn node_config(
    me: &Identity,
    settings: &NodeSettings,
    config: &BrokerConfig,
    bound: &[Bound],
    seed: u64,
) -> NodeConfig {
    let listeners = addresses::advertised(&config.listeners.advertised_controller, bound);
    let endpoints = listeners.iter().map(|listener: &Registered| RaftEndpoint {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    });
    let default_listener = config.listeners.controller_names.first().cloned().unwrap_or_default();
    let static_voters = config.quorum.voters.iter().map(|voter| {
        let endpoint = RaftEndpoint {
            listener: default_listener.clone(),
            host: voter.address.host.clone(),
            port: voter.address.port,
        };
        (voter.id, dohle_raft::Voter::of_this_software(Uuid::ZERO, vec![endpoint]))
    });
    let interval = u64::try_from(config.metadata_log.snapshot_ms).ok().filter(|ms| *ms > 0);
    NodeConfig {
        raft: dohle_raft::Config {
            own: ReplicaKey::new(me.node_id, me.metadata_directory),
            endpoints: endpoints.collect(),
            static_voters: static_voters.collect::<VoterSet>(),
        },
        settings: Settings {
            node_id: me.node_id,
            cluster_id: me.cluster_id.clone(),
            node: settings.clone(),
        },
        incarnation_id: me.incarnation_id,
        listeners,
        snapshots: SnapshotPolicy {
            bytes_max: u64::try_from(config.metadata_log.snapshot_bytes).unwrap_or(u64::MAX),
            interval: interval.map(Duration::from_millis),
        },
        seed,
    }
}

fn registration(
    me: &Identity,
    config: &BrokerConfig,
    bound: &[Bound],
    log_dirs: &[Arc<LogDir>],
) -> BrokerRegistrationRequest {
    let listeners = addresses::advertised(&config.listeners.advertised, bound);
    let features = supported_features();
    let mut ids: Vec<Uuid> = log_dirs.iter().map(|dir| dir.id).collect();
    ids.sort_unstable();
    // Unclean unless all directories are there and say the same of one stop.
    let mut epochs: Vec<i64> = log_dirs.iter().map(|dir| dir.previous_broker_epoch()).collect();
    epochs.dedup();
    BrokerRegistrationRequest {
        broker_id: me.node_id,
        cluster_id: me.cluster_id.clone(),
        incarnation_id: me.incarnation_id,
        listeners: listeners
            .into_iter()
            .map(|listener| RegisteredListener {
                name: listener.name,
                host: listener.host,
                port: listener.port,
                security_protocol: listener.security_protocol,
            })
            .collect(),
        features: features
            .map(|feature| Feature {
                name: feature.name.into(),
                min_supported_version: feature.min,
                max_supported_version: feature.max,
            })
            .collect(),
        rack: config.rack.clone(),
        is_migrating_zk_broker: false,
        log_dirs: ids,
        previous_broker_epoch: match epochs[..] {
            [epoch] if log_dirs.len() == config.log_dirs.len() => epoch,
            _ => -1,
        },
    }
}

fn group_settings(config: &BrokerConfig) -> GroupSettings {
    let groups = &config.groups;
    let unsigned = |value: i32| usize::try_from(value).unwrap_or(0);
    GroupSettings {
        session_timeout_min_ms: groups.session_timeout_ms_min,
        session_timeout_max_ms: groups.session_timeout_ms_max,
        initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
        group_size_max: unsigned(groups.members_max),
        offset_metadata_units_max: unsigned(config.offsets.metadata_bytes_max),
        offsets_retention_ms: config.offsets.retention_ms,
        offsets_retention_check_interval_ms: config.offsets.retention_check_interval_ms,
    }
}

fn specs(bound: Vec<Bound>) -> Vec<ListenerSpec> {
    let spec = |Bound { listener, address, reserved, .. }: Bound| ListenerSpec {
        name: listener.name.to_string(),
        address,
        reserved,
    };
    bound.into_iter().map(spec).collect()
}

/// How many connections there may be at once. They take half of the file handles at most: without one
/// for a log nobody of them would be served.
fn connections_max(config: &BrokerConfig, handles: usize) -> usize {
    let (wanted, half) = (config.sockets.connections_max, handles / 2);
    let count = usize::try_from(wanted).unwrap_or(0);
    if wanted < i32::MAX && count > half {
        warn!(
            "max.connections = {wanted}: {half} at most, for the process may open {handles} files"
        );
    }
    count.min(half)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Kafka starts three network threads for each listener and eight for requests; here one thread does
/// both, so more of them than cores only cost.
fn network_threads(settings: &NodeSettings, config: &BrokerConfig, cores: usize) -> usize {
    let wanted = config.sockets.network_threads;
    let threads = usize::try_from(wanted).unwrap_or(0).clamp(1, cores);
    // Of Kafka's default nobody has to be told.
    if settings.is_set("num.network.threads") && usize::try_from(wanted) != Ok(threads) {
        warn!("num.network.threads = {wanted}: {threads}, for there are not more cores");
    }
    threads
}

fn options(config: &BrokerConfig, threads: usize, connections_max: usize) -> Options {
    let sockets = &config.sockets;
    let unsigned = |value: i32| usize::try_from(value).unwrap_or(0);
    Options {
        threads,
        send_buffer_bytes: sockets.send_buffer_bytes.map(|bytes| bytes as usize),
        receive_buffer_bytes: sockets.receive_buffer_bytes.map(|bytes| bytes as usize),
        backlog: u32::try_from(sockets.listen_backlog).unwrap_or(0),
        request_bytes_max: unsigned(sockets.request_bytes_max),
        idle_max: u64::try_from(sockets.idle_ms_max).ok().map(Duration::from_millis),
        connections_max,
        connections_per_ip_max: unsigned(sockets.connections_per_ip_max),
        ..Options::default()
    }
}
