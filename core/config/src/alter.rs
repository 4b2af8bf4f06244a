//! Changing the configuration of a resource: which settings result, and whether they may be.
//!
//! A change goes through three steps, each pure: [`alter`] or [`replace`] turns a request into
//! [`Change`]s, [`apply`] says what the resource would then have, and [`validate`] judges that. The
//! controller logs one Config record a change. A broker judges changes of brokers with
//! [`validate_on_broker`] before it forwards them, because only it knows its file.

mod group;
mod metrics;
mod topic;

use dohle_base::{ErrorCode, Str};

use crate::broker::BrokerConfig;
use crate::error::ConfigError;
use crate::key::{ConfigKey, Kind};
use crate::keys::{BROKER, CLIENT_METRICS, GROUP, TOPIC, Table};
use crate::resource::Resource;
use crate::settings::{NodeSettings, Settings, dynamic_fault};

/// What an incremental change does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterOp {
    /// Sets it.
    Set,
    /// Removes it, so that a weaker layer counts.
    Delete,
    /// Adds items to a list, unless they are in it.
    Append,
    /// Takes items out of a list.
    Subtract,
}

impl AlterOp {
    /// The operation of that number in a request. Source: Kafka 4.4.0.
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }
}

/// One key in an incremental request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// The key.
    pub name: Str,
    /// What happens to it.
    pub op: AlterOp,
    /// The operand; only a deletion goes without.
    pub value: Option<Str>,
}

/// What becomes of one key; none removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub name: Str,
    /// Its new value.
    pub value: Option<Str>,
}

/// Why a change is refused, and the code that a client is told.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// `INVALID_CONFIG`, or `INVALID_REQUEST` where Kafka says so.
    pub code: ErrorCode,
    /// The fault.
    #[source]
    pub error: ConfigError,
}

impl Refusal {
    pub(crate) fn config(error: ConfigError) -> Self {
        Self { code: ErrorCode::INVALID_CONFIG, error }
    }

    pub(crate) fn request(error: ConfigError) -> Self {
        Self { code: ErrorCode::INVALID_REQUEST, error }
    }
}

/// The longest value that a Config record may hold, in bytes. Source: Kafka 4.4.0.
const VALUE_BYTES_MAX: usize = 32_767;

/// The changes of an incremental request. A topic's key that keeps its value does not change;
/// those of brokers always do, so that a broker reads key stores again that are set to the same
/// file.
///
/// # Errors
/// `INVALID_REQUEST` for a key that occurs twice or lacks its operand, `INVALID_CONFIG` for a list
/// operation on what is no list and for a value that is too long.
pub fn alter(
    resource: Resource,
    current: &Settings,
    alterations: &[Alteration],
) -> Result<Vec<Change>, Refusal> {
    check_distinct(alterations.iter().map(|alteration| &alteration.name))?;
    let mut changes = Vec::with_capacity(alterations.len());
    for Alteration { name, op, value } in alterations {
        let operand = || {
            let null = || Refusal::request(ConfigError::Null { key: name.clone() });
            value.as_ref().ok_or_else(null)
        };
        let value = match op {
            AlterOp::Delete => None,
            AlterOp::Set => Some(operand()?.clone()),
            AlterOp::Append | AlterOp::Subtract => {
                let key = list_key(resource, name)?;
                let mut items = items(current.get(name).map(Str::as_str), key);
                edit(&mut items, *op, operand()?);
                Some(items.join(",").into())
            }
        };
        changes.push(Change { name: name.clone(), value });
    }
    effective(resource, current, changes)
}

/// The changes of a request that replaces all settings of a resource: what it does not name goes.
///
/// # Errors
/// As for [`alter`].
pub fn replace(
    resource: Resource,
    current: &Settings,
    settings: &[(Str, Option<Str>)],
) -> Result<Vec<Change>, Refusal> {
    check_distinct(settings.iter().map(|(name, _)| name))?;
    let mut changes = Vec::with_capacity(settings.len());
    for (name, value) in settings {
        if value.is_none() {
            return Err(Refusal::request(ConfigError::Null { key: name.clone() }));
        }
        changes.push(Change { name: name.clone(), value: value.clone() });
    }
    let is_named = |name: &Str| settings.iter().any(|(other, _)| other == name);
    let gone = current.keys().filter(|name| !is_named(name));
    changes.extend(gone.map(|name| Change { name: name.clone(), value: None }));
    effective(resource, current, changes)
}

/// The settings after some changes.
pub fn apply(current: &Settings, changes: &[Change]) -> Settings {
    let mut settings = current.clone();
    for Change { name, value } in changes {
        match value {
            Some(value) => _ = settings.insert(name.clone(), value.clone()),
            None => _ = settings.remove(name),
        }
    }
    settings
}

/// Whether a resource may have these settings. A resource that is still to be made has no old ones.
/// Whether it exists, and whether a topic's name is legal, is for the controller to know.
///
/// Of a broker's settings only those that change are judged, each by itself: others may have been
/// stored by another version.
///
/// # Errors
/// The first fault, with the code that clients are told.
pub fn validate(
    node: &NodeSettings,
    resource: Resource,
    name: &str,
    old: &Settings,
    new: &Settings,
) -> Result<(), Refusal> {
    match resource {
        Resource::Topic => topic::validate(node, name, old, new),
        Resource::Group => group::validate(node, name, new),
        Resource::ClientMetrics => metrics::validate(name, new),
        Resource::Broker => validate_broker(name, old, new),
        Resource::BrokerLogger => Err(Refusal::request(ConfigError::conflict(
            "broker logger",
            name,
            "has no stored configuration",
        ))),
    }
}

fn validate_broker(name: &str, old: &Settings, new: &Settings) -> Result<(), Refusal> {
    if !name.is_empty() && !name.parse::<i32>().is_ok_and(|id| id >= 0) {
        let rule = "must be the id of a broker, or empty for all of them";
        return Err(Refusal::request(ConfigError::conflict("broker", name, rule)));
    }
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(*value));
    for (key, text) in changed {
        if let Some(fault) = dynamic_fault(key, text, !name.is_empty()) {
            return Err(Refusal::request(fault));
        }
    }
    Ok(())
}

/// Whether this broker could run with new settings, its own or those of all brokers: everything
/// that [`validate`] judges, and the rules across keys that hold at start, and steps that threads
/// are added and removed in.
///
/// # Errors
/// `INVALID_REQUEST` with the first fault.
pub fn validate_on_broker(
    node: &NodeSettings,
    name: &str,
    old: &Settings,
    new: &Settings,
) -> Result<(), Refusal> {
    validate_broker(name, old, new)?;
    let (after, _) = if name.is_empty() {
        node.with_dynamic_as_is(new, node.this_broker())
    } else {
        node.with_dynamic_as_is(node.all_brokers(), new)
    };
    if let Err(faults) = BrokerConfig::new(&after)
        && let Some(first) = faults.0.into_iter().next()
    {
        return Err(Refusal::request(first.error));
    }
    thread_steps(node, &after)?;
    topic::check_local_retention(&after).map_err(Refusal::request)
}

/// Keys whose number may at most double or halve at a time.
const THREADS: &[&str] = &[
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

fn thread_steps(before: &NodeSettings, after: &NodeSettings) -> Result<(), Refusal> {
    for key in THREADS {
        let (old, new) = (before.long(key), after.long(key));
        if new < old / 2 || new > old * 2 {
            let rule = format_args!("must be from half to double the current {old}");
            return Err(Refusal::request(ConfigError::conflict(key, new, rule)));
        }
    }
    Ok(())
}

fn check_distinct<'a>(names: impl Iterator<Item = &'a Str>) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let fault =
                ConfigError::conflict(name, "twice", "occurs more than once in the request");
            return Err(Refusal::request(fault));
        }
    }
    Ok(())
}

/// Drops changes that change nothing, and refuses values that no record can hold.
fn effective(
    resource: Resource,
    current: &Settings,
    changes: Vec<Change>,
) -> Result<Vec<Change>, Refusal> {
    for Change { name, value } in &changes {
        let bytes = value.as_ref().map_or(0, |value| value.len());
        if bytes > VALUE_BYTES_MAX {
            let rule = format_args!("must not be longer than {VALUE_BYTES_MAX} bytes");
            let fault = ConfigError::conflict(name, format_args!("{bytes} bytes"), rule);
            return Err(Refusal::config(fault));
        }
    }
    let is_change = |change: &Change| {
        resource == Resource::Broker || current.get(&change.name) != change.value.as_ref()
    };
    Ok(changes.into_iter().filter(is_change).collect())
}

fn table(resource: Resource) -> Option<&'static Table> {
    match resource {
        Resource::Topic => Some(&TOPIC),
        Resource::Broker => Some(&BROKER),
        Resource::ClientMetrics => Some(&CLIENT_METRICS),
        Resource::Group => Some(&GROUP),
        Resource::BrokerLogger => None,
    }
}

fn list_key(resource: Resource, name: &str) -> Result<&'static ConfigKey, Refusal> {
    match table(resource).and_then(|table| table.get(name)) {
        Some(key) if key.kind == Kind::List => Ok(key),
        _ => Err(Refusal::config(ConfigError::conflict(
            name,
            "append or subtract",
            "works on lists only",
        ))),
    }
}

/// The items of a list as it is written, or of its default.
fn items(current: Option<&str>, key: &ConfigKey) -> Vec<Str> {
    let default = key.default.value().map(|value| value.to_text());
    let text = current.or(default.as_deref()).unwrap_or("");
    text.split(',').filter(|item| !item.is_empty()).map(Into::into).collect()
}

fn edit(items: &mut Vec<Str>, op: AlterOp, operand: &str) {
    for item in operand.split(',') {
        let found = items.iter().position(|other| other == item);
        match (op, found) {
            (AlterOp::Append, None) => items.push(item.into()),
            (AlterOp::Subtract, Some(i)) => _ = items.remove(i),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
