//! The tables of all configuration keys, by kind of resource and by family.

mod broker {
    //! The keys of brokers and controllers, one file a family.

    pub(super) mod cleaner;
    pub(super) mod groups;
    pub(super) mod listeners;
    pub(super) mod log;
    pub(super) mod metrics;
    pub(super) mod node;
    pub(super) mod quorum;
    pub(super) mod quotas;
    pub(super) mod remote;
    pub(super) mod replication;
    pub(super) mod sasl;
    pub(super) mod security;
    pub(super) mod share;
    pub(super) mod streams;
    pub(super) mod tls;
    pub(super) mod topics;
    pub(super) mod transactions;
}
mod client_metrics;
mod group;
mod own;
mod quota;
mod topic;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::key::ConfigKey;
use crate::suggest::nearest;

/// Keys that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// A heading for the reference page.
    pub title: &'static str,
    /// The keys, in the order in which they are best read.
    pub keys: &'static [ConfigKey],
}

/// All keys of one kind of resource.
#[derive(Debug)]
pub struct Table {
    families: &'static [Family],
    by_name: BTreeMap<&'static str, &'static ConfigKey>,
}

impl Table {
    fn new(families: &'static [Family]) -> Self {
        let by_name = families.iter().flat_map(|f| f.keys).map(|key| (key.name, key)).collect();
        Self { families, by_name }
    }

    /// The key of that name.
    pub fn get(&self, name: &str) -> Option<&'static ConfigKey> {
        self.by_name.get(name).copied()
    }

    /// All keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static ConfigKey> {
        self.by_name.values().copied()
    }

    /// The families, in the order of the reference page.
    pub fn families(&self) -> &'static [Family] {
        self.families
    }

    /// The name that somebody who wrote `name` may have meant.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.by_name.keys().copied())
    }
}

macro_rules! families {
    ($($title:literal: $keys:path;)*) => { &[$(Family { title: $title, keys: $keys }),*] };
}

const BROKER_FAMILIES: &[Family] = families! {
    "The node": broker::node::KEYS;
    "Listeners and connections": broker::listeners::KEYS;
    "Quorum and metadata log": broker::quorum::KEYS;
    "Topics": broker::topics::KEYS;
    "Logs": broker::log::KEYS;
    "Log cleaner": broker::cleaner::KEYS;
    "Replication and fetching": broker::replication::KEYS;
    "Consumer groups": broker::groups::KEYS;
    "Share groups": broker::share::KEYS;
    "Streams groups": broker::streams::KEYS;
    "Transactions and producers": broker::transactions::KEYS;
    "Authorisation and delegation tokens": broker::security::KEYS;
    "SASL": broker::sasl::KEYS;
    "TLS": broker::tls::KEYS;
    "Quotas": broker::quotas::KEYS;
    "Metrics": broker::metrics::KEYS;
    "Tiered storage": broker::remote::KEYS;
    "Dohle's own": own::BROKER;
};

/// The keys of brokers and controllers.
pub static BROKER: LazyLock<Table> = LazyLock::new(|| Table::new(BROKER_FAMILIES));

/// The keys of topics.
pub static TOPIC: LazyLock<Table> =
    LazyLock::new(|| Table::new(families! { "Kafka's": topic::KEYS; "Dohle's own": own::TOPIC; }));

/// The keys of groups.
pub static GROUP: LazyLock<Table> =
    LazyLock::new(|| Table::new(families! { "Groups": group::KEYS; }));

/// The keys of subscriptions to client metrics.
pub static CLIENT_METRICS: LazyLock<Table> =
    LazyLock::new(|| Table::new(families! { "Client metrics": client_metrics::KEYS; }));

/// The keys of users, client ids and addresses: quotas, and credentials as tools name them.
pub static QUOTA: LazyLock<Table> =
    LazyLock::new(|| Table::new(families! { "Quotas of clients": quota::KEYS; }));

/// The quotas that a user, a client id, or both together can have.
pub const USER_AND_CLIENT_QUOTAS: &[&str] =
    &["consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"];

/// The quotas that an address can have.
pub const IP_QUOTAS: &[&str] = &["connection_creation_rate"];

/// The names by which tools set credentials of users.
pub const SCRAM_CREDENTIALS: &[&str] = &["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The broker key that a `listener.name.` key overrides for one listener, such as
/// `ssl.keystore.location` for `listener.name.external.ssl.keystore.location`. Between the
/// listener and the key a SASL mechanism may stand.
///
/// The second part is false if the name has the prefix but overrides nothing that is known.
pub fn listener_override(name: &str) -> Option<Option<&'static ConfigKey>> {
    let (_, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if let Some(key) = BROKER.get(rest) {
        return Some(Some(key));
    }
    let of_mechanism = PER_MECHANISM.iter().find(|key| rest.ends_with(*key));
    Some(of_mechanism.and_then(|key| BROKER.get(key)))
}

/// The keys that are set for a listener and a mechanism.
const PER_MECHANISM: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The keys of key stores and trust stores, which change for single listeners only.
pub(crate) const STORES: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// The broker key that gives type, range and secrecy of a name in a broker's configuration.
pub(crate) fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    BROKER.get(name).or_else(|| listener_override(name).flatten())
}

#[cfg(test)]
mod tests;
