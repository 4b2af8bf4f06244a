//! What a group may be set to: within the bounds that the broker's configuration draws.

use crate::alter::Refusal;
use crate::broker::has_duplicates;
use crate::check::parse_checked;
use crate::error::ConfigError;
use crate::keys::GROUP;
use crate::settings::{NodeSettings, Settings};
use crate::value::Value;

/// Keys with a lower and an upper bound: `consumer.x` stays between `group.consumer.min.x` and
/// `group.consumer.max.x`.
const BOUNDED: &[(&str, &str)] = &[
    ("consumer", "heartbeat.interval.ms"),
    ("consumer", "session.timeout.ms"),
    ("consumer", "assignment.interval.ms"),
    ("share", "heartbeat.interval.ms"),
    ("share", "session.timeout.ms"),
    ("share", "record.lock.duration.ms"),
    ("share", "delivery.count.limit"),
    ("share", "partition.max.record.locks"),
    ("share", "assignment.interval.ms"),
    ("streams", "heartbeat.interval.ms"),
    ("streams", "session.timeout.ms"),
    ("streams", "assignment.interval.ms"),
];

/// Keys with an upper bound, and its key.
const AT_MOST: &[(&str, &str)] = &[
    ("streams.num.standby.replicas", "group.streams.max.standby.replicas"),
    ("streams.num.warmup.replicas", "group.streams.max.warmup.replicas"),
];

/// Keys with a lower bound, and its key.
const AT_LEAST: &[(&str, &str)] =
    &[("streams.task.offset.interval.ms", "group.streams.min.task.offset.interval.ms")];

/// Judges the settings of a group.
pub(super) fn validate(node: &NodeSettings, name: &str, new: &Settings) -> Result<(), Refusal> {
    if name.is_empty() {
        let rule = "must not be empty: groups have no defaults of their own";
        return Err(Refusal::request(ConfigError::conflict("group", name, rule)));
    }
    check(node, new).map_err(Refusal::config)
}

fn check(node: &NodeSettings, new: &Settings) -> Result<(), ConfigError> {
    for (name, text) in new {
        let key = GROUP.get(name).ok_or_else(|| ConfigError::Unknown {
            name: name.clone(),
            resource: "group",
            nearest: GROUP.nearest(name),
        })?;
        parse_checked(key, text)?;
    }
    const TAGS: &str = "streams.rack.aware.assignment.tags";
    if let Some(tags) = new.get(TAGS).filter(|tags| has_duplicates(tags)) {
        return Err(ConfigError::conflict(TAGS, tags, "must not name a tag twice"));
    }
    let group = Group { node, settings: new };
    group.check_bounds()?;
    group.check_assignor()?;
    for kind in ["consumer", "share", "streams"] {
        group.check_session(kind)?;
    }
    const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";
    match new.get(DEAD_LETTERS) {
        Some(topic) if topic.trim().starts_with("__") => {
            let rule = "must not begin with __, which is for internal topics";
            Err(ConfigError::conflict(DEAD_LETTERS, topic, rule))
        }
        _ => Ok(()),
    }
}

/// Settings of a group whose values are valid by themselves.
struct Group<'a> {
    node: &'a NodeSettings,
    settings: &'a Settings,
}

impl Group<'_> {
    /// A number that the group sets itself.
    fn number(&self, name: &str) -> Option<i64> {
        let (key, text) = (GROUP.get(name)?, self.settings.get(name)?);
        match Value::parse(key, text) {
            Ok(Value::Integer(i)) => Some(i),
            _ => None,
        }
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        for (kind, rest) in BOUNDED {
            let min = self.node.long(&format!("group.{kind}.min.{rest}"));
            let max = self.node.long(&format!("group.{kind}.max.{rest}"));
            self.check_range(&format!("{kind}.{rest}"), min, max)?;
        }
        for (name, limit) in AT_MOST {
            self.check_range(name, 0, self.node.long(limit))?;
        }
        for (name, limit) in AT_LEAST {
            self.check_range(name, self.node.long(limit), i64::MAX)?;
        }
        Ok(())
    }

    fn check_range(&self, name: &str, min: i64, max: i64) -> Result<(), ConfigError> {
        match self.number(name) {
            Some(value) if !(min..=max).contains(&value) => {
                let rule = format_args!("this broker allows values from {min} to {max}");
                Err(ConfigError::conflict(name, value, rule))
            }
            _ => Ok(()),
        }
    }

    fn check_assignor(&self) -> Result<(), ConfigError> {
        const NAME: &str = "streams.assignor.name";
        let known = self.node.list("group.streams.assignors");
        match self.settings.get(NAME) {
            Some(name) if !known.iter().any(|assignor| assignor == name.trim()) => {
                let rule =
                    format_args!("must be one of the broker's assignors {}", known.join(","));
                Err(ConfigError::conflict(NAME, name, rule))
            }
            _ => Ok(()),
        }
    }

    /// A member must be able to send a heartbeat before its session ends.
    fn check_session(&self, kind: &str) -> Result<(), ConfigError> {
        let name = |rest: &str| format!("{kind}.{rest}");
        let own = |rest: &str| self.number(&name(rest));
        let inherited = |rest: &str| self.node.long(&format!("group.{kind}.{rest}"));
        let (timeout, interval) = ("session.timeout.ms", "heartbeat.interval.ms");
        if own(timeout).is_none() && own(interval).is_none() {
            return Ok(());
        }
        let session = own(timeout).unwrap_or_else(|| inherited(timeout));
        let heartbeat = own(interval).unwrap_or_else(|| inherited(interval));
        if session > heartbeat {
            return Ok(());
        }
        let rule = format_args!("must be greater than {} = {heartbeat}", name(interval));
        Err(ConfigError::conflict(&name(timeout), session, rule))
    }
}
