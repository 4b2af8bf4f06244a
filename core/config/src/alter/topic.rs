//! What a topic may be set to.

use crate::alter::Refusal;
use crate::error::ConfigError;
use crate::settings::{NodeSettings, Settings};
use crate::topic::TopicValues;

/// Judges the settings of a topic together with what it inherits.
pub(super) fn validate(
    node: &NodeSettings,
    name: &str,
    old: &Settings,
    new: &Settings,
) -> Result<(), Refusal> {
    if name.is_empty() {
        let rule = "must not be empty: topics have no defaults of their own";
        return Err(Refusal::request(ConfigError::conflict("topic", name, rule)));
    }
    let values = TopicValues::resolve(node, new).map_err(Refusal::config)?;
    check(node, old, &values).map_err(Refusal::config)
}

fn check(node: &NodeSettings, old: &Settings, topic: &TopicValues) -> Result<(), ConfigError> {
    let (min, max) = (topic.long("min.compaction.lag.ms"), topic.long("max.compaction.lag.ms"));
    if min > max {
        let rule = format_args!("must not exceed max.compaction.lag.ms = {max}");
        return Err(ConfigError::conflict("min.compaction.lag.ms", min, rule));
    }
    let was_tiered = old.get("remote.storage.enable").is_some_and(|v| v.trim() == "true");
    if topic.boolean("remote.storage.enable") {
        check_tiered(node, topic)
    } else if was_tiered && !topic.boolean("remote.log.delete.on.disable") {
        let rule = "leaves data behind; set remote.log.delete.on.disable=true to delete it, or \
                    keep it readable with remote.storage.enable=true and \
                    remote.log.copy.disable=true";
        Err(ConfigError::conflict("remote.storage.enable", false, rule))
    } else {
        Ok(())
    }
}

fn check_tiered(node: &NodeSettings, topic: &TopicValues) -> Result<(), ConfigError> {
    let fault = |key, value: &dyn std::fmt::Display, rule: &dyn std::fmt::Display| {
        Err(ConfigError::conflict(key, value, rule))
    };
    if !node.boolean("remote.log.storage.system.enable") {
        let rule = "needs brokers with remote.log.storage.system.enable=true";
        return fault("remote.storage.enable", &true, &rule);
    }
    let policy = topic.list("cleanup.policy");
    if !policy.is_empty() && policy != ["delete"] {
        let rule = "must be delete or empty if remote.storage.enable=true";
        return fault("cleanup.policy", &policy.join(","), &rule);
    }
    for unit in ["bytes", "ms"] {
        let retention = Limit::of(topic, &format!("retention.{unit}"));
        let local = Limit::of(topic, &format!("local.retention.{unit}"));
        local.check_within(&retention)?;
        let lag = Limit::of(topic, &format!("remote.copy.lag.{unit}"));
        let effective_local = if local.value == -2 { retention.value } else { local.value };
        if lag.value > 0 && effective_local >= 0 && lag.value > effective_local {
            let rule = format_args!("must not exceed the local retention of {effective_local}");
            return Err(ConfigError::conflict(&lag.key, lag.value, rule));
        }
        let differs = local.value != -2 && local.value != retention.value;
        if topic.boolean("remote.log.copy.disable") && differs {
            let rule = format_args!(
                "must equal {} = {}, since nothing more is copied",
                retention.key, retention.value
            );
            return Err(ConfigError::conflict(&local.key, local.value, rule));
        }
    }
    Ok(())
}

/// The same for the broker's own keys, which topics inherit.
pub(super) fn check_local_retention(node: &NodeSettings) -> Result<(), ConfigError> {
    let topic = TopicValues::resolve(node, &Settings::new())?;
    for unit in ["bytes", "ms"] {
        let of = |name: String, key: String| Limit { value: topic.long(&name), key };
        let retention = of(format!("retention.{unit}"), format!("log.retention.{unit}"));
        let local = of(format!("local.retention.{unit}"), format!("log.local.retention.{unit}"));
        local.check_within(&retention)?;
    }
    Ok(())
}

/// A limit on time or size, under the name that it was set with.
struct Limit {
    key: String,
    value: i64,
}

impl Limit {
    fn of(topic: &TopicValues, key: &str) -> Self {
        Self { key: key.into(), value: topic.long(key) }
    }

    /// A local limit must not let more stay than the whole.
    fn check_within(&self, whole: &Self) -> Result<(), ConfigError> {
        let follows = self.value == -2;
        if whole.value < 0 || follows || (0..=whole.value).contains(&self.value) {
            return Ok(());
        }
        let rule = format_args!("must not exceed {} = {}", whole.key, whole.value);
        Err(ConfigError::conflict(&self.key, self.value, rule))
    }
}
