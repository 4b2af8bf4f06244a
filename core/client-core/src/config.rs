//! What every client must know: where to start, who it is, and how patient it is.
//!
//! Fields are documented with Kafka's name of the setting; defaults are Kafka 4.4's.

use std::{fmt, str::FromStr, time::Duration};

use dohle_base::Str;

use crate::backoff::Backoff;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or a numeric address, without brackets.
    pub host: Str,
    /// The TCP port.
    pub port: u16,
}

/// Text that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address: {text:?}; write host:port")]
pub struct AddressError {
    /// The text.
    pub text: Str,
}

/// A setting that no client can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is nowhere to start.
    #[error("bootstrap.servers is empty")]
    NoBootstrapServers,
    /// The value is not within its bounds.
    #[error("{setting} is out of range: {reason}")]
    OutOfRange {
        /// Kafka's name of the setting.
        setting: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// Two settings exclude one another.
    #[error("{setting} does not go with {other}")]
    Conflict {
        /// Kafka's name of the one to change.
        setting: &'static str,
        /// Kafka's name of the other.
        other: &'static str,
    },
    /// A setting that this use of the client cannot do without.
    #[error("{setting} is needed")]
    Missing {
        /// Kafka's name of the setting.
        setting: &'static str,
    },
}

/// Settings of every client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// `bootstrap.servers`: brokers to ask first; any one that answers is enough.
    pub bootstrap_servers: Vec<Address>,
    /// `client.id`: names this client in the broker's logs, metrics and quotas.
    pub client_id: Str,
    /// `request.timeout.ms`: how long one request may take before its connection is given up.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: how long an operation may take, with all its requests.
    pub api_timeout: Duration,
    /// `retry.backoff.ms`: the wait before the first retry.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`: the longest wait before a retry.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`: the wait before connecting to the same broker again.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`: the longest such wait.
    pub reconnect_backoff_max: Duration,
    /// `socket.connection.setup.timeout.ms`: how long connecting may take.
    pub connection_setup_timeout: Duration,
    /// `connections.max.idle.ms`: after how long an unused connection is closed.
    pub connection_idle_max: Duration,
    /// `metadata.max.age.ms`: after how long metadata is fetched again although nothing failed.
    pub metadata_max_age: Duration,
}

impl ClientConfig {
    /// Kafka's defaults, starting at `bootstrap_servers`.
    pub fn new(bootstrap_servers: Vec<Address>) -> Self {
        Self {
            bootstrap_servers,
            client_id: Str::const_new("dohle"),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            connection_setup_timeout: Duration::from_secs(10),
            connection_idle_max: Duration::from_secs(9 * 60),
            metadata_max_age: Duration::from_secs(5 * 60),
        }
    }

    /// As [`Self::new`], from a list such as `a:9092,b:9092`.
    ///
    /// # Errors
    /// An element that is not `host:port`.
    pub fn parse(bootstrap_servers: &str) -> Result<Self, AddressError> {
        Address::parse_list(bootstrap_servers).map(Self::new)
    }

    /// Whether a client can work with this.
    ///
    /// # Errors
    /// The first setting at fault.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.bootstrap_servers.is_empty() {
            return Err(ConfigError::NoBootstrapServers);
        }
        for (setting, value) in [
            ("request.timeout.ms", self.request_timeout),
            ("default.api.timeout.ms", self.api_timeout),
            ("socket.connection.setup.timeout.ms", self.connection_setup_timeout),
        ] {
            if value.is_zero() {
                return Err(ConfigError::OutOfRange { setting, reason: "above zero" });
            }
        }
        Ok(())
    }

    pub(crate) fn retry(&self) -> Backoff {
        Backoff { base: self.retry_backoff, max: self.retry_backoff_max }
    }

    pub(crate) fn reconnect(&self) -> Backoff {
        Backoff { base: self.reconnect_backoff, max: self.reconnect_backoff_max }
    }
}

impl Address {
    /// The addresses of a list such as `a:9092,[::1]:9092`.
    ///
    /// # Errors
    /// The first element that is none. Empty elements are passed over, as Kafka does.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, AddressError> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.into() };
        // A listener name in front, as in PLAINTEXT://host:port, is understood.
        let plain = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = plain.rsplit_once(':').ok_or_else(error)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bare_colon = inner.is_none() && host.contains(':');
        let host = inner.unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        if host.is_empty() || bare_colon {
            return Err(error());
        }
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A duration as the wire has it, bounded by what fits.
pub(crate) fn wire_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
