//! What can be set for users, client ids, addresses and, by `kafka-configs`, SCRAM credentials.

use crate::key::{ConfigKey, keys};

pub(super) const KEYS: &[ConfigKey] = keys! {
    scope: Resource;

    /// How many bytes a second the entity may produce to one broker.
    "producer_byte_rate": Long = i64::MAX;

    /// How many bytes a second the entity may fetch from one broker.
    "consumer_byte_rate": Long = i64::MAX;

    /// Which percentage of a broker's request threads the entity may keep busy.
    "request_percentage": Double = 2_147_483_647.0;

    /// How many partitions a second the entity may create and delete.
    "controller_mutation_rate": Double = 2_147_483_647.0;

    /// How many connections a second the address may open to one broker.
    "connection_creation_rate": Int = i32::MAX, at_least(0);

    /// The user's credential for SCRAM-SHA-256.
    "SCRAM-SHA-256": String;

    /// The user's credential for SCRAM-SHA-512.
    "SCRAM-SHA-512": String;
};
