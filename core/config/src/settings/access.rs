//! Reading single values of [`NodeSettings`] by the name of their key.

use dohle_base::Str;

use crate::error::HIDDEN;
use crate::key::ConfigKey;
use crate::keys::BROKER;
use crate::settings::{NodeSettings, Origin, Resolved, Settings};
use crate::value::Value;

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
