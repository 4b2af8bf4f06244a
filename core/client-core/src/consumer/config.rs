//! What a consumer can be told. Defaults are Kafka 4.4's.

use std::time::Duration;

use dohle_base::Str;

use crate::{Assignor, ClientConfig, ConfigError};

/// `auto.offset.reset`: where to begin without a committed offset, or with one that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OffsetReset {
    /// `earliest`: at the oldest record there is.
    Earliest,
    /// `latest`: behind the newest.
    #[default]
    Latest,
    /// `none`: nowhere; that is an error.
    None,
}

/// `isolation.level`: which records of transactions are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// All, as soon as they are replicated.
    #[default]
    ReadUncommitted,
    /// Only those of committed transactions, and nothing beyond the first open one.
    ReadCommitted,
}

/// Settings of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// What every client must know.
    pub client: ClientConfig,
    /// `group.id`: whose offsets are committed, and who shares the partitions.
    pub group_id: Option<Str>,
    /// `group.instance.id`: a name that survives a restart, so that a restart is no rebalance.
    pub group_instance_id: Option<Str>,
    /// `session.timeout.ms`: without a heartbeat for so long, the group goes on without us.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`: how often the coordinator hears of us.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: how long the application may take between polls, and how long a
    /// rebalance waits for us.
    pub max_poll_interval: Duration,
    /// `max.poll.records`: how many records one poll hands out at most.
    pub max_poll_records: usize,
    /// `auto.offset.reset`: where to begin if there is no offset.
    pub auto_offset_reset: OffsetReset,
    /// `enable.auto.commit`: offsets of what was polled before are committed now and then.
    pub enable_auto_commit: bool,
    /// `auto.commit.interval.ms`: how often.
    pub auto_commit_interval: Duration,
    /// `fetch.min.bytes`: how much a broker collects before it answers.
    pub fetch_min_bytes: i32,
    /// `fetch.max.bytes`: how much a broker answers at most, unless its first batch is larger.
    pub fetch_max_bytes: i32,
    /// `fetch.max.wait.ms`: how long a broker waits for `fetch.min.bytes`.
    pub fetch_max_wait: Duration,
    /// `max.partition.fetch.bytes`: how much of one partition, unless its first batch is larger.
    pub max_partition_fetch_bytes: i32,
    /// `isolation.level`: which records of transactions are handed out.
    pub isolation_level: IsolationLevel,
    /// `check.crcs`: whether the checksum of each batch is compared.
    pub check_crcs: bool,
    /// `partition.assignment.strategy`: how a group may share partitions, dearest first.
    pub assignors: Vec<Assignor>,
    /// `client.rack`: where we are, so that a near replica can be read from.
    pub client_rack: Option<Str>,
    /// `allow.auto.create.topics`: whether brokers may create topics that we ask for.
    pub allow_auto_create_topics: bool,
}

impl ConsumerConfig {
    /// Kafka's defaults, without a group.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            group_id: None,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            max_poll_records: 500,
            auto_offset_reset: OffsetReset::Latest,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 * 1024 * 1024,
            fetch_max_wait: Duration::from_millis(500),
            max_partition_fetch_bytes: 1024 * 1024,
            isolation_level: IsolationLevel::ReadUncommitted,
            check_crcs: true,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            client_rack: None,
            allow_auto_create_topics: true,
        }
    }

    /// Whether a consumer can work with this.
    ///
    /// # Errors
    /// The first setting at fault.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.client.check()?;
        let out_of_range = |setting, reason| Err(ConfigError::OutOfRange { setting, reason });
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.session_timeout {
            return out_of_range("heartbeat.interval.ms", "above zero, below session.timeout.ms");
        }
        if self.max_poll_records == 0 {
            return out_of_range("max.poll.records", "above zero");
        }
        if self.fetch_max_bytes <= 0 || self.max_partition_fetch_bytes <= 0 {
            return out_of_range("fetch.max.bytes and max.partition.fetch.bytes", "above zero");
        }
        if self.fetch_max_wait >= self.client.request_timeout {
            return out_of_range("fetch.max.wait.ms", "below request.timeout.ms");
        }
        if self.group_id.as_ref().is_some_and(|id| id.is_empty()) {
            return Err(ConfigError::Missing { setting: "group.id" });
        }
        if self.group_id.is_some() && self.assignors.is_empty() {
            return Err(ConfigError::Missing { setting: "partition.assignment.strategy" });
        }
        Ok(())
    }

    /// Whether offsets are committed without being asked.
    pub(super) fn commits_itself(&self) -> bool {
        self.enable_auto_commit && self.group_id.is_some()
    }
}

impl OffsetReset {
    /// The timestamp that asks for it; `None` if it is an error. Source: ListOffsets.
    pub(super) fn timestamp(self) -> Option<i64> {
        match self {
            Self::Earliest => Some(-2),
            Self::Latest => Some(-1),
            Self::None => None,
        }
    }
}

impl IsolationLevel {
    /// The number on the wire.
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}
