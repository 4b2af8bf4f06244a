//! Settings that a node must not ignore and that this version does not act on yet.
//!
//! Most keys without effect are harmless: a queue is sized otherwise, a metric is not published.
//! The ones here are not: who sets them relies on them, for access control or for data. A node
//! that met one and started all the same would do something else than it was told.

use crate::error::ConfigError;
use crate::settings::NodeSettings;

/// When a key must not be ignored.
enum When {
    /// Whenever it is set to something.
    Set,
    /// Unless it has this value.
    Not(&'static str),
    /// If it is true.
    True,
}

const RELIED_ON: &[(&str, When, &str)] = &[
    ("authorizer.class.name", When::Set, "everybody could do everything"),
    (
        "principal.builder.class",
        When::Not("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        "clients would get other principals",
    ),
    ("create.topic.policy.class.name", When::Set, "the policy would not be asked"),
    ("alter.config.policy.class.name", When::Set, "the policy would not be asked"),
    ("client.quota.callback.class", When::Set, "quotas would not be enforced"),
    ("ssl.engine.factory.class", When::Set, "TLS would be set up in another way"),
    ("sasl.server.callback.handler.class", When::Set, "credentials would not be checked by it"),
    ("delegation.token.secret.key", When::Set, "there would be no delegation tokens"),
    ("remote.log.storage.system.enable", When::True, "nothing would be copied to remote storage"),
];

impl NodeSettings {
    /// The settings that this version must refuse, because somebody relies on them and nothing
    /// acts on them. A server does not start with any.
    ///
    /// Security protocols of listeners are not judged here: the network layer knows which it can
    /// speak.
    pub fn unsupported(&self) -> Vec<ConfigError> {
        let is_relied_on = |key: &str, when: &When| match when {
            When::Set => self.text_or_null(key).is_some_and(|text| !text.is_empty()),
            When::Not(harmless) => self.text_or_null(key).is_some_and(|text| text != *harmless),
            When::True => self.boolean(key),
        };
        RELIED_ON
            .iter()
            .filter(|(key, when, _)| is_relied_on(key, when))
            .map(|(key, _, reason)| ConfigError::Unsupported {
                key: (*key).into(),
                value: self.shown(key),
                reason,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
