//! What an operator may set about groups: the values the coordinator needs, already validated by
//! the configuration.

/// Settings of the group coordinator, with Kafka's defaults.
///
/// `group.coordinator.rebalance.protocols` has no counterpart here: the classic protocol cannot be
/// switched off in Kafka 4.4, and the others are not served yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`, inclusive.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`, inclusive.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the number of members of one group.
    pub group_size_max: usize,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 units.
    pub offset_metadata_units_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            group_size_max: i32::MAX as usize,
            offset_metadata_units_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}
