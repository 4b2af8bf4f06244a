//! Who may do what, and delegation tokens.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The class that decides what a principal may do; empty means everything is allowed.
    "authorizer.class.name": String = "", non_null, low;

    /// The class that derives a principal from a connection's credentials.
    "principal.builder.class": Class = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        per_broker;

    /// Java security providers; they have no meaning outside a JVM.
    "security.providers": String, low;

    /// The secret with which delegation tokens are signed; without it there are none.
    "delegation.token.secret.key": Password;

    /// The longest life of a delegation token, renewals included.
    "delegation.token.max.lifetime.ms": Long = 604_800_000, at_least(1);

    /// How long a delegation token is valid until it must be renewed.
    "delegation.token.expiry.time.ms": Long = 86_400_000, at_least(1);

    /// How often expired delegation tokens are removed.
    "delegation.token.expiry.check.interval.ms": Long = 3_600_000, at_least(1), low;

    /// After how long a SASL connection must authenticate again; 0 means never.
    "connections.max.reauth.ms": Long = 0;
};
