//! What a subscription to client metrics may be set to.

use crate::alter::Refusal;
use crate::check::parse_checked;
use crate::error::ConfigError;
use crate::keys::CLIENT_METRICS;
use crate::settings::Settings;
use crate::value::Value;

/// The attributes of a client that a subscription can select by. Source: KIP-714.
const ATTRIBUTES: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// The shortest and the longest interval between pushes. Source: Kafka 4.4.0.
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

/// Judges the settings of a subscription. Patterns are not compiled here: whoever matches clients
/// against them knows their syntax.
pub(super) fn validate(name: &str, new: &Settings) -> Result<(), Refusal> {
    if name.is_empty() {
        let rule = "must have a name";
        return Err(Refusal::request(ConfigError::conflict("subscription", name, rule)));
    }
    for (name, text) in new {
        let Some(key) = CLIENT_METRICS.get(name) else {
            return Err(Refusal::request(ConfigError::Unknown {
                name: name.clone(),
                resource: "client metrics subscription",
                nearest: CLIENT_METRICS.nearest(name),
            }));
        };
        match (key.name, parse_checked(key, text).map_err(Refusal::config)?) {
            ("interval.ms", Value::Integer(ms)) if !INTERVAL_MS.contains(&ms) => {
                let rule = "must be from 100 to 3600000, one hour";
                return Err(Refusal::request(ConfigError::conflict(key.name, ms, rule)));
            }
            ("match", Value::List(items)) => {
                if let Some(bad) = items.iter().find(|item| !is_pattern(item)) {
                    let rule =
                        format_args!("must be ATTRIBUTE=PATTERN; attributes are {ATTRIBUTES:?}");
                    return Err(Refusal::config(ConfigError::conflict(key.name, bad, rule)));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_pattern(item: &str) -> bool {
    match item.split_once('=') {
        Some((attribute, pattern)) => {
            ATTRIBUTES.contains(&attribute.trim()) && !pattern.is_empty() && !pattern.contains('=')
        }
        None => false,
    }
}
