//! Which names a topic may have, and which are Kafka's own.

/// The topic of committed offsets.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// The longest name, in bytes. Source: Kafka, so that directory names stay below 255.
const LENGTH_MAX: usize = 249;

/// Whether a topic may have this name.
pub(crate) fn is_valid(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty()
        && name.len() <= LENGTH_MAX
        && name != "."
        && name != ".."
        && name.bytes().all(legal)
}

/// Whether the topic is one that Kafka keeps for itself.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | "__transaction_state" | "__share_group_state")
}
