//! Keys that Kafka does not have. Each name begins with `dohle.`, and the default is what Kafka's
//! users expect of a node that knows nothing of the key.
//!
//! They are shown to clients only where they are set or asked for by name, so that an answer to
//! DescribeConfigs is Kafka's key by key.

use crate::key::{ConfigKey, keys, same};

/// The keys of brokers and controllers.
pub(super) const BROKER: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// When a write is acknowledged: `disk` once it survives a power cut, `os` once the operating
    /// system has it.
    "dohle.durability": String = "disk", one_of(DURABILITY), high, own, cluster_wide,
        used;

    /// How closely a produced batch is looked at: `header` checks what is not compressed and the
    /// checksum over all of it, `records` also decompresses and checks every record, as Kafka does.
    "dohle.produce.validation": String = "header", one_of(PRODUCE_VALIDATION), own, cluster_wide,
        used;

    /// Where metrics are served for Prometheus, as `HOST:PORT`; without it they are not.
    "dohle.metrics.listener": String, own, used;
};

/// The keys of topics.
pub(super) const TOPIC: &[ConfigKey] = keys! {
    scope: Resource;

    /// When a write is acknowledged: `disk` once it survives a power cut, `os` once the operating
    /// system has it.
    "dohle.durability": String = "disk", one_of(DURABILITY), high, own,
        synonyms(&[same("dohle.durability")]), used;

    /// How closely a produced batch is looked at: `header` checks what is not compressed and the
    /// checksum over all of it, `records` also decompresses and checks every record, as Kafka does.
    "dohle.produce.validation": String = "header", one_of(PRODUCE_VALIDATION), own,
        synonyms(&[same("dohle.produce.validation")]), used;
};

const DURABILITY: &[&str] = &["disk", "os"];
const PRODUCE_VALIDATION: &[&str] = &["header", "records"];
