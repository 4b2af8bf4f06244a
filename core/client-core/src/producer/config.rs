//! What a producer can be told. Defaults are Kafka 4.4's.

use std::time::Duration;

use dohle_records::Compression;

use crate::{ClientConfig, ConfigError};

/// `acks`: when a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Acks {
    /// When it has been sent. Records can be lost without anyone noticing.
    None,
    /// When the leader has it. Records can be lost with the leader.
    Leader,
    /// When all replicas in sync have it.
    #[default]
    All,
}

/// Settings of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// What every client must know.
    pub client: ClientConfig,
    /// `acks`: when a record counts as written.
    pub acks: Acks,
    /// `enable.idempotence`: retries never write a record twice or out of order.
    pub enable_idempotence: bool,
    /// `linger.ms`: how long a batch waits for more records.
    pub linger: Duration,
    /// `batch.size`: bytes of a batch, before compression, at which it is sent without waiting.
    pub batch_size: usize,
    /// `buffer.memory`: bytes of records not acknowledged yet, above which sending has to wait.
    pub buffer_memory: usize,
    /// `compression.type`: and its level.
    pub compression: Compression,
    /// `max.request.size`: bytes of the largest record and of the batches in one request.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`: requests to one broker without an answer.
    pub max_in_flight: usize,
    /// `retries`: attempts after the first; the delivery time bounds them anyway.
    pub retries: u32,
    /// `delivery.timeout.ms`: how long from `send` to the outcome, with all retries.
    pub delivery_timeout: Duration,
    /// `max.block.ms`: how long a record waits for its topic to be known.
    pub max_block: Duration,
}

/// Most requests in flight with which sequences can be kept. Source: KIP-98; brokers remember the
/// last five batches of a producer.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

impl ProducerConfig {
    /// Kafka's defaults.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            acks: Acks::All,
            enable_idempotence: true,
            linger: Duration::from_millis(5),
            batch_size: 16_384,
            buffer_memory: 32 * 1024 * 1024,
            compression: Compression::NONE,
            max_request_size: 1024 * 1024,
            max_in_flight: 5,
            retries: u32::MAX,
            delivery_timeout: Duration::from_secs(120),
            max_block: Duration::from_secs(60),
        }
    }

    /// Whether a producer can work with this.
    ///
    /// # Errors
    /// The first setting at fault.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.client.check()?;
        let out_of_range = |setting, reason| Err(ConfigError::OutOfRange { setting, reason });
        if self.max_in_flight == 0 || self.max_in_flight > crate::connections::IN_FLIGHT_MAX / 2 {
            return out_of_range("max.in.flight.requests.per.connection", "1 to 32");
        }
        if self.delivery_timeout < self.linger + self.client.request_timeout {
            let reason = "at least linger.ms and request.timeout.ms together";
            return out_of_range("delivery.timeout.ms", reason);
        }
        if self.max_request_size == 0 || self.buffer_memory == 0 {
            return out_of_range("max.request.size and buffer.memory", "above zero");
        }
        if self.enable_idempotence && self.acks != Acks::All {
            return Err(ConfigError::Conflict { setting: "acks", other: "enable.idempotence" });
        }
        if self.enable_idempotence && self.max_in_flight > IDEMPOTENT_IN_FLIGHT_MAX {
            let setting = "max.in.flight.requests.per.connection";
            return Err(ConfigError::Conflict { setting, other: "enable.idempotence" });
        }
        Ok(())
    }
}

impl Acks {
    /// The number on the wire.
    pub(crate) fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}
