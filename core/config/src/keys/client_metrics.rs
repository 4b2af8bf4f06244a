//! What can be set for one subscription to the metrics of clients.

use crate::key::{ConfigKey, keys};

pub(super) const KEYS: &[ConfigKey] = keys! {
    scope: Resource;

    /// Prefixes of the names of the metrics that clients push; `*` means all.
    "metrics": List = "", any_list;

    /// How often clients push.
    "interval.ms": Int = 300_000;

    /// Which clients the subscription applies to, as `ATTRIBUTE=PATTERN` pairs; none means all.
    "match": List = "", any_list;
};
