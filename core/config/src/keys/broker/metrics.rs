//! Metrics, the node's own and those that clients push.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Classes that publish metrics.
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", any_list, low,
        cluster_wide;

    /// How many samples a metric remembers.
    "metrics.num.samples": Int = 2, at_least(1), low;

    /// How long a sample of a metric is.
    "metrics.sample.window.ms": Long = 30_000, at_least(1), low;

    /// Down to which level metrics are recorded.
    "metrics.recording.level": String = "INFO", low;

    /// Classes that publish metrics of the older kind.
    "kafka.metrics.reporters": List = "", any_list, low;

    /// How often reporters of the older kind are asked to publish.
    "kafka.metrics.polling.interval.secs": Int = 10, at_least(1), low;

    /// The largest push of metrics that a client may send, after compression.
    "telemetry.max.bytes": Int = 1_048_576, at_least(1), low;
};
