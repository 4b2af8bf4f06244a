//! The layers of a node's configuration, and what they amount to.
//!
//! ```text
//! strongest   dynamic, this broker      Config records of BROKER "7"
//!             dynamic, all brokers      Config records of BROKER ""
//!             file                      server.properties
//! weakest     default                   the table
//! ```
//!
//! A key in a stronger layer hides its whole family in weaker ones: `log.roll.hours` set
//! dynamically beats `log.roll.ms` in the file, although within one layer `log.roll.ms` counts.
//!
//! A [`NodeSettings`] is immutable; a change of a dynamic layer makes the next one. Dynamic values
//! that are not valid, which another version may have stored, are passed over with a warning, as
//! Kafka does: a node must be able to start in spite of them.

mod access;
mod dynamic;
mod warning;

use std::collections::BTreeMap;
use std::fmt;

use dohle_base::Str;

use crate::check::{parse_checked, parse_checked_for};
use crate::error::{ConfigError, ConfigErrors, Located};
use crate::key::{DefaultValue, Visibility};
use crate::keys::{BROKER, listener_override};
use crate::properties::{Properties, Property};
use crate::provider::{ProviderHost, Providers};
use crate::value::Value;

pub(crate) use dynamic::dynamic_fault;
pub use warning::Warning;

/// Names and values as they were written, of one resource.
pub type Settings = BTreeMap<Str, Str>;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// This line of the file; 0 if it was set without one.
    File(u32),
    /// Set for all brokers while running.
    AllBrokers,
    /// Set for this broker while running.
    ThisBroker,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(0) => f.write_str("derived"),
            Self::File(line) => write!(f, "line {line}"),
            Self::AllBrokers => f.write_str("dynamic, all brokers"),
            Self::ThisBroker => f.write_str("dynamic, this broker"),
        }
    }
}

/// A value with its origin. No value is null.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Option<Value>,
    /// Where it comes from.
    pub origin: Origin,
}

/// All layers of one node's configuration, and what they amount to.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The file, with its variables replaced.
    file: BTreeMap<Str, Property>,
    all_brokers: Settings,
    this_broker: Settings,
    /// What is set, family by family from the strongest layer.
    effective: BTreeMap<Str, (Str, Origin)>,
    /// Every broker key.
    values: BTreeMap<&'static str, Resolved>,
}

impl NodeSettings {
    /// Reads what a file sets: replaces variables, parses every known key and checks its range.
    /// Whether the keys fit together is the business of [`crate::BrokerConfig`].
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn from_file(
        properties: &Properties,
        host: &dyn ProviderHost,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let warnings = warning::warnings(properties);
        let mut file = resolved(properties, host)?;
        alias_node_id(&mut file);
        let mut settings = Self {
            file,
            all_brokers: Settings::new(),
            this_broker: Settings::new(),
            effective: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        settings.effective = settings.merged();
        let mut faults = settings.evaluate();
        faults.extend(settings.listener_faults());
        if faults.is_empty() { Ok((settings, warnings)) } else { Err(settings.located(faults)) }
    }

    /// The same file under other dynamic layers: those of all brokers, and of this one. Values
    /// that cannot be used are left out and reported; assignment intervals of groups are brought
    /// within the bounds of the file.
    pub fn with_dynamic(
        &self,
        all_brokers: &Settings,
        this_broker: &Settings,
    ) -> (Self, Vec<Warning>) {
        let (mut settings, warnings) = self.with_dynamic_as_is(all_brokers, this_broker);
        settings.clamp();
        settings.evaluate_valid();
        (settings, warnings)
    }

    /// The same without the bounds, to see whether a change keeps them.
    pub(crate) fn with_dynamic_as_is(
        &self,
        all_brokers: &Settings,
        this_broker: &Settings,
    ) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut usable = |layer: &Settings, per_broker| -> Settings {
            let mut usable = Settings::new();
            for (name, text) in layer {
                match dynamic_fault(name, text, per_broker) {
                    None => _ = usable.insert(name.clone(), text.clone()),
                    Some(fault) => warnings.push(Warning::Ignored(fault)),
                }
            }
            usable
        };
        let all_brokers = usable(all_brokers, false);
        let this_broker = usable(this_broker, true);
        let mut settings = Self { all_brokers, this_broker, ..self.clone() };
        settings.effective = settings.merged();
        settings.evaluate_valid();
        (settings, warnings)
    }

    /// Parses every known key, after only valid values were merged.
    fn evaluate_valid(&mut self) {
        let faults = self.evaluate();
        assert!(faults.is_empty(), "only valid values were merged, but {faults:?}");
    }

    /// The layers one over the other.
    fn merged(&self) -> BTreeMap<Str, (Str, Origin)> {
        let mut merged: BTreeMap<Str, (Str, Origin)> = self
            .file
            .iter()
            .map(|(name, p)| (name.clone(), (p.value.clone(), Origin::File(p.line))))
            .collect();
        let layers =
            [(&self.all_brokers, Origin::AllBrokers), (&self.this_broker, Origin::ThisBroker)];
        for (layer, origin) in layers {
            for name in layer.keys() {
                for synonym in BROKER.get(name).map_or(&[][..], |key| key.synonyms) {
                    merged.remove(synonym.name);
                }
            }
            for (name, text) in layer {
                merged.insert(name.clone(), (text.clone(), origin));
            }
        }
        merged
    }

    /// Brings dynamic assignment intervals within the bounds that the file sets.
    fn clamp(&mut self) {
        for kind in ["consumer", "share", "streams"] {
            let name = format!("group.{kind}.assignment.interval.ms");
            let min = self.int(&format!("group.{kind}.min.assignment.interval.ms"));
            let max = self.int(&format!("group.{kind}.max.assignment.interval.ms"));
            if let Some((text, Origin::AllBrokers | Origin::ThisBroker)) =
                self.effective.get_mut(name.as_str())
                && let Ok(interval) = crate::value::trim(text).parse::<i32>()
                && min <= max
            {
                *text = interval.clamp(min, max).to_string().into();
            }
        }
    }

    /// Parses every known key.
    fn evaluate(&mut self) -> Vec<ConfigError> {
        let mut faults = Vec::new();
        self.values = BTreeMap::new();
        for key in BROKER.iter() {
            let set = self.effective.get(key.name).filter(|(_, origin)| {
                key.visibility != Visibility::DynamicOnly || !matches!(origin, Origin::File(_))
            });
            let resolved = match set {
                Some((text, origin)) => match parse_checked(key, text) {
                    Ok(value) => Resolved { value: Some(value), origin: *origin },
                    Err(fault) => {
                        faults.push(fault);
                        continue;
                    }
                },
                None if key.default == DefaultValue::Required => {
                    faults.push(ConfigError::Missing { key: key.name.into() });
                    continue;
                }
                None => Resolved { value: key.default.value(), origin: Origin::Default },
            };
            self.values.insert(key.name, resolved);
        }
        faults
    }

    /// Faults in keys with a `listener.name.` prefix.
    fn listener_faults(&self) -> Vec<ConfigError> {
        let faults = self.effective.iter().filter_map(|(name, (text, _))| {
            let key = listener_override(name).flatten()?;
            parse_checked_for(name, key, text).err()
        });
        faults.collect()
    }

    /// The faults, with the lines that set their keys.
    pub(crate) fn located(&self, faults: Vec<ConfigError>) -> ConfigErrors {
        let locate = |error: ConfigError| {
            let line = self.file.get(error.key()).map(|p| p.line).filter(|line| *line > 0);
            Located { line, error }
        };
        ConfigErrors(faults.into_iter().map(locate).collect())
    }
}

/// The file with its variables replaced.
fn resolved(
    properties: &Properties,
    host: &dyn ProviderHost,
) -> Result<BTreeMap<Str, Property>, ConfigErrors> {
    let at = |error: ConfigError, line| Located { line, error };
    let providers = Providers::declared(properties).map_err(|e| ConfigErrors(vec![at(e, None)]))?;
    let mut file = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, Property { value, line }) in properties.iter() {
        match providers.resolve(name, value, host) {
            Ok(value) => _ = file.insert(name.clone(), Property { value, line: *line }),
            Err(error) => faults.push(at(error, Some(*line))),
        }
    }
    if faults.is_empty() { Ok(file) } else { Err(ConfigErrors(faults)) }
}

/// `broker.id` and `node.id` are one key under two names.
fn alias_node_id(file: &mut BTreeMap<Str, Property>) {
    for (one, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let (Some(property), None) = (file.get(one), file.get(other)) {
            let derived = Property { value: property.value.clone(), line: property.line };
            file.insert(other.into(), derived);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
