//! Which settings a running broker takes, and from which of its dynamic layers.

use crate::check::parse_checked_for;
use crate::error::{ConfigError, shown};
use crate::key::Scope;
use crate::keys::{self, BROKER, broker_key, listener_override};

/// Why a stored dynamic value cannot be used.
pub(crate) fn dynamic_fault(name: &str, text: &str, per_broker: bool) -> Option<ConfigError> {
    let fault = |rule| {
        let value = broker_key(name).map_or(text, |key| shown(key, text));
        Some(ConfigError::conflict(name, value, rule))
    };
    if BROKER.get(name).is_some_and(|key| key.scope == Scope::ReadOnly) {
        return fault("cannot be changed while the broker runs");
    }
    if keys::STORES.contains(&name) {
        return fault("can be changed for single listeners only, with the prefix listener.name.");
    }
    if !per_broker && is_per_broker(name) {
        return fault("can be changed for single brokers only");
    }
    parse_checked_for(name, broker_key(name)?, text).err()
}

/// Whether a dynamic setting must name its broker. Settings of single listeners must, except for
/// connection limits and threads.
fn is_per_broker(name: &str) -> bool {
    const FOR_ALL: &[&str] =
        &["max.connections", "max.connection.creation.rate", "num.network.threads"];
    match listener_override(name) {
        Some(of_listener) => of_listener.is_none_or(|key| !FOR_ALL.contains(&key.name)),
        None => BROKER.get(name).is_some_and(|key| key.scope == Scope::PerBroker),
    }
}
