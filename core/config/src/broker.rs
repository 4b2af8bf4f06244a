//! What a node does by its configuration, in types: [`BrokerConfig`].
//!
//! It is made from [`NodeSettings`], whose values are valid each by itself; here they are checked
//! against one another (see [`rules`]) and given names and units. Most keys have no field; whoever
//! acts on one adds it here and marks the key `used` in its table; `tests/used_keys.rs` looks for both.

mod listeners;
mod rules;

pub use listeners::Listeners;
pub(crate) use rules::has_duplicates;

use dohle_base::{BrokerId, Str};

use crate::address::{Address, Voter, parse_address, parse_voter};
use crate::error::{ConfigError, ConfigErrors};
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
    /// The controllers' quorum.
    pub quorum: Quorum,
    /// The log of the metadata.
    pub metadata_log: MetadataLog,
    /// The directories of records.
    pub log_dirs: Vec<Str>,
    /// The upkeep of logs that no topic configuration decides.
    pub logs: LogUpkeep,
    /// Who may make and delete topics.
    pub new_topics: NewTopics,
    /// How answers to fetches are bounded.
    pub fetch: FetchLimits,
    /// Classic groups.
    pub groups: Groups,
    /// The topic of committed offsets.
    pub offsets: Offsets,
    /// Where metrics are served, if they are.
    pub metrics_listener: Option<Address>,
}

/// The roles of a node; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Whether it stores partitions and serves clients.
    pub broker: bool,
    /// Whether it keeps the metadata log.
    pub controller: bool,
}

/// Connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Sockets {
    /// SO_SNDBUF in bytes; none leaves it to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// SO_RCVBUF in bytes; none leaves it to the operating system. 512 KiB where `socket.receive.buffer.bytes` has
    /// Kafka's default.
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
    /// Threads that serve connections.
    pub network_threads: i32,
}

/// The controllers' quorum.
#[derive(Clone, Debug, PartialEq)]
pub struct Quorum {
    /// The fixed voters; empty if membership is in the log.
    pub voters: Vec<Voter>,
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
    /// Bytes of log and snapshots to keep; none if bytes do not count.
    pub retention_bytes: Option<u64>,
    /// How long a snapshot is kept behind a newer one; none if time does not count.
    pub retention_ms: Option<i64>,
    /// How long files stay that are done with.
    pub delete_delay_ms: i64,
}

/// The upkeep of logs that no topic configuration decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUpkeep {
    /// Time between searches for segments to delete.
    pub retention_check_interval_ms: i64,
    /// Time from the start to the first search.
    pub initial_task_delay_ms: i64,
    /// Time between searches for producers to forget.
    pub producer_check_interval_ms: i32,
    /// Time between a change and the checkpoints that tell it.
    pub high_watermark_checkpoint_interval_ms: i64,
}

/// Who may make and delete topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTopics {
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
    pub compression_codec: u8,
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
        let (listeners, of_listeners) = match listeners::listeners(s) {
            Ok(listeners) => {
                let broken = rules::of_listeners(s, roles, &listeners);
                (Some(listeners), broken)
            }
            Err(fault) => (None, vec![fault]),
        };
        faults.extend(of_listeners);
        let sockets = sockets(s).map_err(|fault| faults.push(fault)).ok();
        faults.extend(metrics_listener(s).err());
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
            quorum: Quorum { voters: voters(s) },
            metadata_log: metadata_log(s),
            log_dirs: log_dirs(s).to_vec(),
            logs: LogUpkeep {
                retention_check_interval_ms: s.long("log.retention.check.interval.ms"),
                initial_task_delay_ms: s.long("log.initial.task.delay.ms"),
                producer_check_interval_ms: s.int("producer.id.expiration.check.interval.ms"),
                high_watermark_checkpoint_interval_ms: s
                    .long("replica.high.watermark.checkpoint.interval.ms"),
            },
            new_topics: NewTopics {
                auto_create: s.boolean("auto.create.topics.enable"),
                can_delete: s.boolean("delete.topic.enable"),
            },
            fetch: FetchLimits {
                bytes_max: s.int("fetch.max.bytes"),
                sessions_max: s.int("max.incremental.fetch.session.cache.slots"),
            },
            groups: Groups {
                session_timeout_ms_min: s.int("group.min.session.timeout.ms"),
                session_timeout_ms_max: s.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms: s.int("group.initial.rebalance.delay.ms"),
                members_max: s.int("group.max.size"),
            },
            offsets: offsets(s),
            metrics_listener: metrics_listener(s).expect("checked before"),
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

/// SO_RCVBUF where nobody has chosen one: what a network thread takes in one read.
///
/// With Kafka's 100 KiB a client that has several large requests in flight stops after each two of 64 KiB until the
/// broker has read them. Measured with four connections of five requests in flight, CPU of the broker, three rounds on
/// a quiet AMD EPYC with two cores, 100 and 512 KiB: requests of 64 KiB 0.41 and 0.29 s/GB, zstd 0.137 and 0.123,
/// 16 KiB 0.53 and 0.49; two hours later 64 KiB 0.42 and 0.40, when new pages cost more. Left to the system, which goes
/// on to 32 MiB, it was no better.
const RECEIVE_BUFFER_BYTES: u32 = 512 * 1024;

/// Kafka's default, which its sample of a server.properties repeats: who has it has not chosen it.
const RECEIVE_BUFFER_OF_KAFKA: u32 = 102_400;

fn sockets(s: &NodeSettings) -> Result<Sockets, ConfigError> {
    // Everything below zero means the default of the operating system.
    let buffer = |name: &str| u32::try_from(s.int(name)).ok();
    check_connections_per_ip_overrides(s)?;
    Ok(Sockets {
        send_buffer_bytes: buffer("socket.send.buffer.bytes"),
        receive_buffer_bytes: buffer("socket.receive.buffer.bytes").map(|bytes| match bytes {
            RECEIVE_BUFFER_OF_KAFKA => RECEIVE_BUFFER_BYTES,
            chosen => chosen,
        }),
        listen_backlog: s.int("socket.listen.backlog.size"),
        request_bytes_max: s.int("socket.request.max.bytes"),
        idle_ms_max: s.long("connections.max.idle.ms"),
        connections_max: s.int("max.connections"),
        connections_per_ip_max: s.int("max.connections.per.ip"),
        network_threads: s.int("num.network.threads"),
    })
}

/// `HOST:LIMIT` pairs; an IPv6 address has colons of its own, so the last one counts.
fn check_connections_per_ip_overrides(s: &NodeSettings) -> Result<(), ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let text = s.text(KEY);
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let is_pair = |item: &str| {
        let pair = item.rsplit_once(':');
        pair.is_some_and(|(host, limit)| {
            limit.trim().parse::<i32>().is_ok() && host.trim().chars().all(is_host)
        })
    };
    let mut items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    match items.find(|item| !is_pair(item)) {
        Some(item) => {
            let rule = format_args!("{item} is not of the form HOST:LIMIT");
            Err(ConfigError::conflict(KEY, text, rule))
        }
        None => Ok(()),
    }
}

/// The fixed voters. Each was parsed once already when the key was checked.
fn voters(s: &NodeSettings) -> Vec<Voter> {
    s.list("controller.quorum.voters").iter().filter_map(|text| parse_voter(text)).collect()
}

fn metadata_log(s: &NodeSettings) -> MetadataLog {
    let dir = s.text_or_null("metadata.log.dir").map(Into::into);
    MetadataLog {
        // Neither list of directories can be empty.
        dir: dir.unwrap_or_else(|| log_dirs(s)[0].clone()),
        segment_bytes: match s.long_or_null("internal.metadata.log.segment.bytes") {
            Some(_) => s.int("internal.metadata.log.segment.bytes"),
            None => s.int("metadata.log.segment.bytes"),
        },
        segment_ms: s.long("metadata.log.segment.ms"),
        snapshot_bytes: s.long("metadata.log.max.record.bytes.between.snapshots"),
        snapshot_ms: s.long("metadata.log.max.snapshot.interval.ms"),
        retention_bytes: u64::try_from(s.long("metadata.max.retention.bytes")).ok(),
        retention_ms: Some(s.long("metadata.max.retention.ms")).filter(|ms| *ms >= 0),
        delete_delay_ms: s.long("internal.metadata.delete.delay.millis"),
    }
}

fn metrics_listener(s: &NodeSettings) -> Result<Option<Address>, ConfigError> {
    const KEY: &str = "dohle.metrics.listener";
    let Some(text) = s.text_or_null(KEY) else { return Ok(None) };
    let address = parse_address(text).filter(|address| !address.host.is_empty());
    let fault = || ConfigError::conflict(KEY, text, "is not of the form HOST:PORT");
    address.map(Some).ok_or_else(fault)
}

fn offsets(s: &NodeSettings) -> Offsets {
    Offsets {
        partitions: s.int("offsets.topic.num.partitions"),
        replication_factor: i16::try_from(s.int("offsets.topic.replication.factor"))
            .expect("the key is a SHORT"),
        segment_bytes: s.int("offsets.topic.segment.bytes"),
        compression_codec: u8::try_from(s.int("offsets.topic.compression.codec"))
            .expect("checked before"),
        commit_timeout_ms: s.int("offsets.commit.timeout.ms"),
        metadata_bytes_max: s.int("offset.metadata.max.bytes"),
        retention_ms: s.long("offsets.retention.minutes") * 60_000,
        retention_check_interval_ms: s.long("offsets.retention.check.interval.ms"),
    }
}

#[cfg(test)]
mod tests;
