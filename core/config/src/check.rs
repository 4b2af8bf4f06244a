//! From text to a value that its key allows.

use crate::error::ConfigError;
use crate::key::ConfigKey;
use crate::value::Value;

/// Parses a value and checks its range.
pub(crate) fn parse_checked(key: &ConfigKey, text: &str) -> Result<Value, ConfigError> {
    let value = Value::parse(key, text)?;
    if key.valid.allows(Some(&value)) {
        Ok(value)
    } else {
        Err(ConfigError::not_allowed(key, text))
    }
}

/// The same for a key that was written under a longer name, that of one listener.
pub(crate) fn parse_checked_for(
    name: &str,
    key: &ConfigKey,
    text: &str,
) -> Result<Value, ConfigError> {
    parse_checked(key, text).map_err(|fault| fault.under(name))
}
