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

use std::collections::BTreeMap;
use std::fmt;

use dohle_base::Str;

use crate::check::{parse_checked, parse_checked_for};
use crate::error::{ConfigError, ConfigErrors, HIDDEN, Located, Suggestion, shown};
use crate::key::{ConfigKey, Scope, Visibility};
use crate::keys::{self, BROKER, broker_key, listener_override};
use crate::properties::{Properties, Property};
use crate::provider::{ProviderHost, Providers};
use crate::value::Value;

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

/// Something that an operator should know, though the node can run.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// Neither Kafka nor Dohle knows the key.
    UnknownKey {
        /// The key.
        key: Str,
        /// Where it was set.
        line: u32,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// The key was set twice in one file.
    SetTwice {
        /// The key.
        key: Str,
        /// The line that does not count.
        line: u32,
        /// The line that does.
        winner: u32,
    },
    /// The key can only be set while running.
    NotInFile {
        /// The key.
        key: Str,
        /// Where it was set.
        line: u32,
    },
    /// A dynamic value that cannot be used; the weaker layer counts.
    Ignored(ConfigError),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, line, nearest } => {
                write!(f, "line {line}: {key} is not a known key{}", Suggestion(*nearest))
            }
            Self::SetTwice { key, line, winner } => {
                write!(f, "line {line}: {key} is set again on line {winner}, which counts")
            }
            Self::NotInFile { key, line } => {
                write!(f, "line {line}: {key} can only be set while the broker runs")
            }
            Self::Ignored(error) => write!(f, "dynamic setting ignored: {error}"),
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
        let warnings = warnings(properties);
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
                None if key.default == crate::key::DefaultValue::Required => {
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

/// What the settings are worth.
impl NodeSettings {
    /// The value of a broker key, with its origin. None for a name that is no broker key.
    pub fn get(&self, name: &str) -> Option<&Resolved> {
        self.values.get(name)
    }

    /// All broker keys with their values and origins, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static ConfigKey, &Resolved)> {
        BROKER.iter().filter_map(|key| Some((key, self.values.get(key.name)?)))
    }

    /// Everything that is set in some layer, as text with its origin, by name; keys that are not
    /// known, and those with a `listener.name.` prefix, among it.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str, Origin)> {
        self.effective.iter().map(|(name, (text, origin))| (name.as_str(), text.as_str(), *origin))
    }

    /// The text of one name in some layer.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.effective.get(name).map(|(text, _)| text.as_str())
    }

    /// The text of a broker key for messages and listings: secrets hidden, null as `null`.
    pub fn shown(&self, name: &str) -> Str {
        let Some(value) = self.get(name).and_then(|resolved| resolved.value.as_ref()) else {
            return "null".into();
        };
        let is_secret = BROKER.get(name).is_none_or(ConfigKey::is_sensitive);
        if is_secret { HIDDEN.into() } else { value.to_text() }
    }

    /// Whether some layer sets the name.
    pub fn is_set(&self, name: &str) -> bool {
        self.effective.contains_key(name)
    }

    /// The layer of one origin, by name: raw text, for synonyms.
    pub(crate) fn layered(&self, name: &str) -> [Option<&str>; 3] {
        [
            self.this_broker.get(name).map(Str::as_str),
            self.all_brokers.get(name).map(Str::as_str),
            self.file.get(name).map(|p| p.value.as_str()),
        ]
    }

    /// The dynamic settings of all brokers.
    pub fn all_brokers(&self) -> &Settings {
        &self.all_brokers
    }

    /// The dynamic settings of this broker.
    pub fn this_broker(&self) -> &Settings {
        &self.this_broker
    }

    fn value(&self, name: &str) -> Option<&Value> {
        match self.values.get(name) {
            Some(resolved) => resolved.value.as_ref(),
            None => panic!("{name} is not a key of brokers"),
        }
    }

    /// A BOOLEAN key.
    ///
    /// # Panics
    /// These accessors panic for a name that is not in the table or has another type, and those of
    /// values that cannot be null for one that is.
    pub fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(b)) => *b,
            other => panic!("{name} is {other:?}, not a BOOLEAN"),
        }
    }

    /// A LONG, INT or SHORT key.
    pub fn long(&self, name: &str) -> i64 {
        self.long_or_null(name).unwrap_or_else(|| panic!("{name} is null"))
    }

    /// A LONG, INT or SHORT key that may be absent.
    pub fn long_or_null(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            None => None,
            Some(Value::Integer(i)) => Some(*i),
            other => panic!("{name} is {other:?}, not an integer"),
        }
    }

    /// An INT or SHORT key.
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).unwrap_or_else(|_| panic!("{name} is not an INT"))
    }

    /// A DOUBLE key.
    pub fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Double(d)) => *d,
            other => panic!("{name} is {other:?}, not a DOUBLE"),
        }
    }

    /// A STRING, CLASS or PASSWORD key.
    pub fn text(&self, name: &str) -> &str {
        self.text_or_null(name).unwrap_or_else(|| panic!("{name} is null"))
    }

    /// A STRING, CLASS or PASSWORD key that may be absent.
    pub fn text_or_null(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            None => None,
            Some(Value::Text(s)) => Some(s),
            other => panic!("{name} is {other:?}, not text"),
        }
    }

    /// A LIST key.
    pub fn list(&self, name: &str) -> &[Str] {
        self.list_or_null(name).unwrap_or_else(|| panic!("{name} is null"))
    }

    /// A LIST key that may be absent.
    pub fn list_or_null(&self, name: &str) -> Option<&[Str]> {
        match self.value(name) {
            None => None,
            Some(Value::List(items)) => Some(items),
            other => panic!("{name} is {other:?}, not a LIST"),
        }
    }
}

/// What is odd about a file.
fn warnings(properties: &Properties) -> Vec<Warning> {
    let twice = properties.repeated().iter().map(|repeated| Warning::SetTwice {
        key: repeated.key.clone(),
        line: repeated.line,
        winner: repeated.winner,
    });
    let odd = properties.iter().filter_map(|(name, Property { line, .. })| {
        let (key, line) = (name.clone(), *line);
        match BROKER.get(name) {
            Some(known) if known.visibility == Visibility::DynamicOnly => {
                Some(Warning::NotInFile { key, line })
            }
            Some(_) => None,
            None if is_of_a_plugin(name) => None,
            None => Some(Warning::UnknownKey { key, line, nearest: BROKER.nearest(name) }),
        }
    });
    twice.chain(odd).collect()
}

/// Names that are not in Kafka's table and mean something all the same: settings of providers, of
/// the standard authorizer, of storage plugins, and of single listeners.
fn is_of_a_plugin(name: &str) -> bool {
    const NAMES: &[&str] = &["super.users", "allow.everyone.if.no.acl.found"];
    const PREFIXES: &[&str] = &["config.providers.", "rlmm.config.", "rsm.config."];
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(listener_override(name), Some(Some(_)))
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

/// Why a stored dynamic value cannot be used.
pub(crate) fn dynamic_fault(name: &str, text: &str, per_broker: bool) -> Option<ConfigError> {
    let fault = |rule| {
        let value = broker_key(name).map_or(text, |key| shown(key, text));
        Some(ConfigError::conflict(name, value, rule))
    };
    if BROKER.get(name).is_some_and(|key| key.scope == Scope::ReadOnly) {
        return fault("cannot be changed while the broker runs");
    }
    if keys::STORES.contains(&name) {
        return fault("can be changed for single listeners only, with the prefix listener.name.");
    }
    if !per_broker && is_per_broker(name) {
        return fault("can be changed for single brokers only");
    }
    parse_checked_for(name, broker_key(name)?, text).err()
}

/// Whether a dynamic setting must name its broker. Settings of single listeners must, except for
/// connection limits and threads.
fn is_per_broker(name: &str) -> bool {
    const FOR_ALL: &[&str] =
        &["max.connections", "max.connection.creation.rate", "num.network.threads"];
    match listener_override(name) {
        Some(of_listener) => of_listener.is_none_or(|key| !FOR_ALL.contains(&key.name)),
        None => BROKER.get(name).is_some_and(|key| key.scope == Scope::PerBroker),
    }
}

#[cfg(test)]
pub(crate) mod tests;
