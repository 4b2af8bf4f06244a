//! What a node does by its configuration, in types: [`BrokerConfig`].
//!
//! It is made from [`NodeSettings`], whose values are valid each by itself; here they are checked
//! against one another (see [`rules`]) and given names and units. Keys that nothing reads yet have
//! no field; whoever needs one adds it here and marks the key `used` in its table.

mod rules;

pub(crate) use rules::has_duplicates;

use dohle_base::{BrokerId, Str};

use crate::address::{Address, Voter, parse_address, parse_voter};
use crate::error::{ConfigError, ConfigErrors};
use crate::listener::{
    Listener, Ports, ProtocolMap, SecurityProtocol, parse_listeners, parse_protocol_map,
};
use crate::settings::NodeSettings;

/// The configuration of a node that plays one role or both.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// The number of this node in the cluster.
    pub node_id: BrokerId,
    /// What the node does.
    pub roles: Roles,
    /// Where the node stands.
    pub rack: Option<Str>,
    /// Where it listens and what it tells others.
    pub listeners: Listeners,
    /// How it treats connections.
    pub sockets: Sockets,
    /// How brokers stay registered.
    pub liveness: Liveness,
    /// The controllers' quorum.
    pub quorum: Quorum,
    /// The log of the metadata.
    pub metadata_log: MetadataLog,
    /// The directories of records.
    pub log_dirs: Vec<Str>,
    /// The upkeep of logs that no topic configuration decides.
    pub logs: LogUpkeep,
    /// What new topics get.
    pub new_topics: NewTopics,
    /// How answers to fetches are bounded.
    pub fetch: FetchLimits,
    /// How followers fetch.
    pub replication: Replication,
    /// Classic groups.
    pub groups: Groups,
    /// The topic of committed offsets.
    pub offsets: Offsets,
    /// How long a partition remembers a producer that does not write, in milliseconds.
    pub producer_id_expiration_ms: i32,
}

/// The roles of a node; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Whether it stores partitions and serves clients.
    pub broker: bool,
    /// Whether it keeps the metadata log.
    pub controller: bool,
}

/// The listeners of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Listeners {
    /// Every endpoint to listen on, those of the controller among them.
    pub bound: Vec<Listener>,
    /// What brokers register: the endpoints that clients and other brokers connect to. Ports of 0
    /// and hosts of none are still to be filled in.
    pub advertised: Vec<Listener>,
    /// What controllers register: the endpoints of the controller role.
    pub advertised_controller: Vec<Listener>,
    /// Names of listeners of the controller role, on this node or on others; the first is the one
    /// that this node connects to.
    pub controller_names: Vec<Str>,
    /// How connections to controllers are protected.
    pub controller_protocol: SecurityProtocol,
    /// The name of the listener between brokers.
    pub inter_broker_name: Str,
    /// How connections between brokers are protected.
    pub inter_broker_protocol: SecurityProtocol,
}

impl Listeners {
    /// Whether a bound listener belongs to the controller role.
    pub fn is_controller(&self, listener: &Listener) -> bool {
        self.controller_names.contains(&listener.name)
    }
}

/// Connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Sockets {
    /// SO_SNDBUF in bytes; none leaves it to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// SO_RCVBUF in bytes; none leaves it to the operating system.
    pub receive_buffer_bytes: Option<u32>,
    /// How many connections may wait to be accepted.
    pub listen_backlog: i32,
    /// The longest request, without its length.
    pub request_bytes_max: i32,
    /// After how long without traffic a connection is closed; negative means never.
    pub idle_ms_max: i64,
    /// Connections at once.
    pub connections_max: i32,
    /// Connections at once from one address.
    pub connections_per_ip_max: i32,
    /// Other limits than that, by host name or address.
    pub connections_per_ip_overrides: Vec<(Str, i32)>,
    /// New connections a second.
    pub connection_rate_max: i32,
    /// Threads that serve connections.
    pub network_threads: i32,
}

/// How brokers stay registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Time between heartbeats of a broker.
    pub heartbeat_interval_ms: i32,
    /// Time without a heartbeat until a broker is fenced.
    pub session_timeout_ms: i32,
    /// Time that the first registration may take.
    pub registration_timeout_ms: i32,
}

/// The controllers' quorum.
#[derive(Clone, Debug, PartialEq)]
pub struct Quorum {
    /// The fixed voters; empty if membership is in the log.
    pub voters: Vec<Voter>,
    /// Where to find the quorum.
    pub bootstrap_servers: Vec<Address>,
    /// Whether this controller asks to become a voter.
    pub auto_join: bool,
    /// Time that a candidate waits for votes.
    pub election_timeout_ms: i32,
    /// The longest pause between elections.
    pub election_backoff_ms_max: i32,
    /// Time without a successful fetch.
    pub fetch_timeout_ms: i32,
    /// Time to wait for an answer.
    pub request_timeout_ms: i32,
    /// Pause before a request is sent again.
    pub retry_backoff_ms: i32,
    /// Time to collect records for one batch.
    pub append_linger_ms: i32,
    /// Bytes that one fetch asks for.
    pub fetch_bytes_max: i32,
    /// Bytes that one fetch of a snapshot asks for.
    pub fetch_snapshot_bytes_max: i32,
}

/// The log of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataLog {
    /// The directory that holds `__cluster_metadata-0`.
    pub dir: Str,
    /// Size at which a segment is closed.
    pub segment_bytes: i32,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// Bytes of new records after which a snapshot is written.
    pub snapshot_bytes: i64,
    /// Time after which a snapshot is written; 0 means that time does not count.
    pub snapshot_ms: i64,
    /// Bytes to keep.
    pub retention_bytes: i64,
    /// Time to keep.
    pub retention_ms: i64,
    /// Time without a record after which the active controller writes an empty one; 0 is never.
    pub idle_ms_max: i32,
}

/// The upkeep of logs that no topic configuration decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUpkeep {
    /// Time between searches for segments to delete.
    pub retention_check_interval_ms: i64,
    /// Time between writes of the recovery points.
    pub recovery_checkpoint_interval_ms: i32,
    /// Time between writes of the start offsets.
    pub start_offset_checkpoint_interval_ms: i32,
    /// Time between writes of the high watermarks.
    pub high_watermark_checkpoint_interval_ms: i64,
}

/// What new topics get, and who may make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTopics {
    /// Partitions, if the creator gives no number.
    pub partitions: i32,
    /// Replicas, if the creator gives no number.
    pub replication_factor: i32,
    /// Whether a metadata request may create a topic.
    pub auto_create: bool,
    /// Whether topics can be deleted.
    pub can_delete: bool,
}

/// Bounds of answers to fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes of records in one answer.
    pub bytes_max: i32,
    /// Incremental fetch sessions that are remembered.
    pub sessions_max: i32,
}

/// How followers fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Time behind the leader after which a follower leaves the in-sync set.
    pub lag_ms_max: i64,
    /// Time that a leader may hold a fetch.
    pub fetch_wait_ms_max: i32,
    /// Bytes that a fetch waits for.
    pub fetch_bytes_min: i32,
    /// Bytes of one partition.
    pub fetch_bytes_max: i32,
    /// Bytes of all partitions.
    pub response_bytes_max: i32,
    /// Pause after a failed fetch.
    pub backoff_ms: i32,
    /// Connections to each leader.
    pub fetchers: i32,
}

/// Classic groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The shortest session timeout.
    pub session_timeout_ms_min: i32,
    /// The longest session timeout.
    pub session_timeout_ms_max: i32,
    /// Time that an empty group waits for members.
    pub initial_rebalance_delay_ms: i32,
    /// Members of one group.
    pub members_max: i32,
}

/// Committed offsets and their topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Partitions of the topic.
    pub partitions: i32,
    /// Replicas of the topic.
    pub replication_factor: i16,
    /// Segment size of the topic.
    pub segment_bytes: i32,
    /// Codec, by its number in the record format.
    pub compression_codec: i32,
    /// Bytes that are read at once at loading.
    pub load_buffer_bytes: i32,
    /// Time that a write may take.
    pub commit_timeout_ms: i32,
    /// Bytes of a note at an offset.
    pub metadata_bytes_max: i32,
    /// Time that offsets of an empty group are kept.
    pub retention_ms: i64,
    /// Time between searches for expired offsets.
    pub retention_check_interval_ms: i64,
}

impl BrokerConfig {
    /// Checks the settings against one another and gives them types.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn new(settings: &NodeSettings) -> Result<Self, ConfigErrors> {
        Self::checked(settings).map_err(|faults| settings.located(faults))
    }

    fn checked(s: &NodeSettings) -> Result<Self, Vec<ConfigError>> {
        let mut faults = rules::of_values(s);
        let roles = roles(s);
        let (listeners, of_listeners) = match listeners(s) {
            Ok(listeners) => {
                let broken = rules::of_listeners(s, roles, &listeners);
                (Some(listeners), broken)
            }
            Err(fault) => (None, vec![fault]),
        };
        faults.extend(of_listeners);
        let sockets = sockets(s).map_err(|fault| faults.push(fault)).ok();
        match (listeners, sockets) {
            (Some(listeners), Some(sockets)) if faults.is_empty() => {
                Ok(Self::assemble(s, roles, listeners, sockets))
            }
            _ => Err(faults),
        }
    }

    fn assemble(s: &NodeSettings, roles: Roles, listeners: Listeners, sockets: Sockets) -> Self {
        Self {
            node_id: BrokerId(s.int("node.id")),
            roles,
            rack: s.text_or_null("broker.rack").map(Into::into),
            listeners,
            sockets,
            liveness: Liveness {
                heartbeat_interval_ms: s.int("broker.heartbeat.interval.ms"),
                session_timeout_ms: s.int("broker.session.timeout.ms"),
                registration_timeout_ms: s.int("initial.broker.registration.timeout.ms"),
            },
            quorum: quorum(s),
            metadata_log: metadata_log(s),
            log_dirs: log_dirs(s).to_vec(),
            logs: LogUpkeep {
                retention_check_interval_ms: s.long("log.retention.check.interval.ms"),
                recovery_checkpoint_interval_ms: s.int("log.flush.offset.checkpoint.interval.ms"),
                start_offset_checkpoint_interval_ms: s
                    .int("log.flush.start.offset.checkpoint.interval.ms"),
                high_watermark_checkpoint_interval_ms: s
                    .long("replica.high.watermark.checkpoint.interval.ms"),
            },
            new_topics: NewTopics {
                partitions: s.int("num.partitions"),
                replication_factor: s.int("default.replication.factor"),
                auto_create: s.boolean("auto.create.topics.enable"),
                can_delete: s.boolean("delete.topic.enable"),
            },
            fetch: FetchLimits {
                bytes_max: s.int("fetch.max.bytes"),
                sessions_max: s.int("max.incremental.fetch.session.cache.slots"),
            },
            replication: replication(s),
            groups: Groups {
                session_timeout_ms_min: s.int("group.min.session.timeout.ms"),
                session_timeout_ms_max: s.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms: s.int("group.initial.rebalance.delay.ms"),
                members_max: s.int("group.max.size"),
            },
            offsets: offsets(s),
            producer_id_expiration_ms: s.int("producer.id.expiration.ms"),
        }
    }
}

fn roles(s: &NodeSettings) -> Roles {
    let roles = s.list("process.roles");
    let plays = |role: &str| roles.iter().any(|r| r == role);
    Roles { broker: plays("broker"), controller: plays("controller") }
}

/// `log.dirs`, or `log.dir` in its absence.
fn log_dirs(s: &NodeSettings) -> &[Str] {
    s.list_or_null("log.dirs").unwrap_or_else(|| s.list("log.dir"))
}

fn sockets(s: &NodeSettings) -> Result<Sockets, ConfigError> {
    // Everything below zero means the default of the operating system.
    let buffer = |name: &str| u32::try_from(s.int(name)).ok();
    Ok(Sockets {
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes"),
        listen_backlog: s.int("socket.listen.backlog.size"),
        request_bytes_max: s.int("socket.request.max.bytes"),
        idle_ms_max: s.long("connections.max.idle.ms"),
        connections_max: s.int("max.connections"),
        connections_per_ip_max: s.int("max.connections.per.ip"),
        connections_per_ip_overrides: connections_per_ip_overrides(s)?,
        connection_rate_max: s.int("max.connection.creation.rate"),
        network_threads: s.int("num.network.threads"),
    })
}

/// `HOST:LIMIT` pairs; an IPv6 address has colons of its own, so the last one counts.
fn connections_per_ip_overrides(s: &NodeSettings) -> Result<Vec<(Str, i32)>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let text = s.text(KEY);
    let fault = |item: &str| {
        ConfigError::conflict(KEY, text, format_args!("{item} is not of the form HOST:LIMIT"))
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let (host, limit) = item.rsplit_once(':').ok_or_else(|| fault(item))?;
            let limit = limit.trim().parse().map_err(|_| fault(item))?;
            let host = host.trim();
            if host.chars().all(is_host) { Ok((host.into(), limit)) } else { Err(fault(item)) }
        })
        .collect()
}

fn quorum(s: &NodeSettings) -> Quorum {
    Quorum {
        voters: voters(s),
        bootstrap_servers: s
            .list("controller.quorum.bootstrap.servers")
            .iter()
            .filter_map(|text| parse_address(text))
            .collect(),
        auto_join: s.boolean("controller.quorum.auto.join.enable"),
        election_timeout_ms: s.int("controller.quorum.election.timeout.ms"),
        election_backoff_ms_max: s.int("controller.quorum.election.backoff.max.ms"),
        fetch_timeout_ms: s.int("controller.quorum.fetch.timeout.ms"),
        request_timeout_ms: s.int("controller.quorum.request.timeout.ms"),
        retry_backoff_ms: s.int("controller.quorum.retry.backoff.ms"),
        append_linger_ms: s.int("controller.quorum.append.linger.ms"),
        fetch_bytes_max: s.int("controller.quorum.fetch.max.bytes"),
        fetch_snapshot_bytes_max: s.int("controller.quorum.fetch.snapshot.max.bytes"),
    }
}

/// The fixed voters. Each was parsed once already when the key was checked.
fn voters(s: &NodeSettings) -> Vec<Voter> {
    s.list("controller.quorum.voters").iter().filter_map(|text| parse_voter(text)).collect()
}

fn metadata_log(s: &NodeSettings) -> MetadataLog {
    let dir = s.text_or_null("metadata.log.dir").map(Into::into);
    MetadataLog {
        dir: dir.unwrap_or_else(|| log_dirs(s)[0].clone()),
        segment_bytes: match s.long_or_null("internal.metadata.log.segment.bytes") {
            Some(_) => s.int("internal.metadata.log.segment.bytes"),
            None => s.int("metadata.log.segment.bytes"),
        },
        segment_ms: s.long("metadata.log.segment.ms"),
        snapshot_bytes: s.long("metadata.log.max.record.bytes.between.snapshots"),
        snapshot_ms: s.long("metadata.log.max.snapshot.interval.ms"),
        retention_bytes: s.long("metadata.max.retention.bytes"),
        retention_ms: s.long("metadata.max.retention.ms"),
        idle_ms_max: s.int("metadata.max.idle.interval.ms"),
    }
}

fn replication(s: &NodeSettings) -> Replication {
    Replication {
        lag_ms_max: s.long("replica.lag.time.max.ms"),
        fetch_wait_ms_max: s.int("replica.fetch.wait.max.ms"),
        fetch_bytes_min: s.int("replica.fetch.min.bytes"),
        fetch_bytes_max: s.int("replica.fetch.max.bytes"),
        response_bytes_max: s.int("replica.fetch.response.max.bytes"),
        backoff_ms: s.int("replica.fetch.backoff.ms"),
        fetchers: s.int("num.replica.fetchers"),
    }
}

fn offsets(s: &NodeSettings) -> Offsets {
    Offsets {
        partitions: s.int("offsets.topic.num.partitions"),
        replication_factor: i16::try_from(s.int("offsets.topic.replication.factor"))
            .expect("the key is a SHORT"),
        segment_bytes: s.int("offsets.topic.segment.bytes"),
        compression_codec: s.int("offsets.topic.compression.codec"),
        load_buffer_bytes: s.int("offsets.load.buffer.size"),
        commit_timeout_ms: s.int("offsets.commit.timeout.ms"),
        metadata_bytes_max: s.int("offset.metadata.max.bytes"),
        retention_ms: s.long("offsets.retention.minutes") * 60_000,
        retention_check_interval_ms: s.long("offsets.retention.check.interval.ms"),
    }
}

fn listeners(s: &NodeSettings) -> Result<Listeners, ConfigError> {
    let protocols = protocols(s)?;
    let controller_names = s.list("controller.listener.names").to_vec();
    let is_controller = |listener: &Listener| controller_names.contains(&listener.name);

    let bound = parse_listeners("listeners", s.list("listeners"), &protocols, Ports::Distinct)?;
    let told = match s.list_or_null("advertised.listeners") {
        Some(list) => {
            Some(parse_listeners("advertised.listeners", list, &protocols, Ports::Shared)?)
        }
        None => None,
    };
    let advertised = told.as_ref().unwrap_or(&bound);
    let advertised = advertised.iter().filter(|l| !is_controller(l)).cloned().collect();
    let advertised_controller =
        advertised_controller(s, &controller_names, &bound, told.as_deref().unwrap_or(&[]));

    let controller_protocol = match controller_names.first() {
        Some(name) => *protocols.get(name.to_uppercase().as_str()).ok_or_else(|| {
            ConfigError::conflict(
                "controller.listener.names",
                controller_names.join(","),
                format_args!("listener.security.protocol.map has no security protocol for {name}"),
            )
        })?,
        None => SecurityProtocol::Plaintext,
    };
    let (inter_broker_name, inter_broker_protocol) = inter_broker(s, &protocols)?;
    Ok(Listeners {
        bound,
        advertised,
        advertised_controller,
        controller_names,
        controller_protocol,
        inter_broker_name,
        inter_broker_protocol,
    })
}

/// `listener.security.protocol.map`. If nobody set it and no listener is named after a protocol
/// that protects, the controller's listeners speak plaintext.
fn protocols(s: &NodeSettings) -> Result<ProtocolMap, ConfigError> {
    let mut map = parse_protocol_map(s.text("listener.security.protocol.map"))?;
    if s.is_set("listener.security.protocol.map") {
        return Ok(map);
    }
    let protects = |name: &str| {
        !matches!(SecurityProtocol::from_name(name), None | Some(SecurityProtocol::Plaintext))
    };
    let names = s.list("controller.listener.names");
    let bound = s.list("listeners").iter().filter_map(|text| text.split(':').next());
    if !names.iter().any(|name| protects(name)) && !bound.into_iter().any(protects) {
        for name in names {
            map.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

/// What a controller registers: for each of its names the advertised endpoint if there is one,
/// otherwise the bound one; an address that means all interfaces is not told to anybody.
fn advertised_controller(
    s: &NodeSettings,
    names: &[Str],
    bound: &[Listener],
    told: &[Listener],
) -> Vec<Listener> {
    let node_id = BrokerId(s.int("node.id"));
    let find = |among: &[Listener], name: &str| {
        among.iter().find(|listener| listener.name.eq_ignore_ascii_case(name)).cloned()
    };
    let effective = |(i, name): (usize, &Str)| {
        let is_told = |listener: &Listener| names.contains(&listener.name);
        if let Some(listener) = find(told, name).filter(is_told) {
            return Some(listener);
        }
        let mut listener = find(bound, name).filter(is_told)?;
        let is_everywhere = listener.host.as_deref().is_none_or(|host| host == "0.0.0.0");
        if is_everywhere {
            listener.host = None;
            // The fixed voters tell where the first listener of each controller is reached.
            if let (0, Some(me)) = (i, voters(s).into_iter().find(|voter| voter.id == node_id)) {
                listener.host = Some(me.address.host);
                listener.port = me.address.port;
            }
        }
        Some(listener)
    };
    names.iter().enumerate().filter_map(effective).collect()
}

fn inter_broker(
    s: &NodeSettings,
    protocols: &ProtocolMap,
) -> Result<(Str, SecurityProtocol), ConfigError> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let Some(name) = s.text_or_null(NAME) else {
        // The values of this key are the names of the protocols.
        let protocol = SecurityProtocol::from_name(s.text(PROTOCOL));
        let protocol = protocol.unwrap_or(SecurityProtocol::Plaintext);
        return Ok((protocol.name().into(), protocol));
    };
    if s.is_set(PROTOCOL) {
        return Err(ConfigError::conflict(NAME, name, format_args!("excludes {PROTOCOL}")));
    }
    let name: Str = name.to_uppercase().into();
    match protocols.get(&name) {
        Some(protocol) => Ok((name, *protocol)),
        None => Err(ConfigError::conflict(
            NAME,
            name,
            "listener.security.protocol.map has no security protocol for it",
        )),
    }
}

#[cfg(test)]
mod tests;
