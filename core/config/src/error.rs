//! What can be wrong with a configuration. Every message names the key, and the value unless it is
//! a secret.

use std::fmt;

use dohle_base::Str;

use crate::key::{ConfigKey, Kind};
use crate::valid::Valid;

/// What stands in messages and listings where a secret would.
pub const HIDDEN: &str = "[hidden]";

/// One fault in a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no value of the key's type.
    #[error("{key} = {value}: is not {}", kind_in_words(*.kind))]
    NotOfType {
        /// The key.
        key: Str,
        /// The text, or [`HIDDEN`].
        value: Str,
        /// The type that was wanted.
        kind: Kind,
    },
    /// The value is of the right type but not allowed.
    #[error("{key} = {value}: must be {}", Requirement(.allowed))]
    NotAllowed {
        /// The key.
        key: Str,
        /// The value, or [`HIDDEN`], or `null`.
        value: Str,
        /// What would be allowed.
        allowed: Valid,
    },
    /// A key without default is not set.
    #[error("{key}: must be set")]
    Missing {
        /// The key.
        key: Str,
    },
    /// A resource other than a broker has no such key.
    #[error("{name}: is not a configuration of a {resource}{}", Suggestion(*.nearest))]
    Unknown {
        /// The name.
        name: Str,
        /// The kind of resource, in words.
        resource: &'static str,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// The value is null where only a value makes sense.
    #[error("{key}: null is not a value")]
    Null {
        /// The key.
        key: Str,
    },
    /// The value is valid in itself but contradicts another key, or the operation.
    #[error("{key} = {value}: {rule}")]
    Conflict {
        /// The key.
        key: Str,
        /// The value, or [`HIDDEN`], or `null`.
        value: Str,
        /// The rule that is broken, to be read after the value.
        rule: Str,
    },
    /// A value asks a provider for a text that it cannot give.
    #[error("{key} = {value}: {fault}")]
    Provider {
        /// The key.
        key: Str,
        /// The value as written, with its `${…}`.
        value: Str,
        /// What is wrong with it.
        fault: Str,
    },
    /// A setting that this version does not act on and must not ignore.
    #[error("{key} = {value}: is not supported yet ({reason})")]
    Unsupported {
        /// The key.
        key: Str,
        /// The value.
        value: Str,
        /// What would go wrong if it were ignored.
        reason: &'static str,
    },
}

impl ConfigError {
    pub(crate) fn not_of_type(key: &ConfigKey, text: &str) -> Self {
        Self::NotOfType { key: key.name.into(), value: shown(key, text).into(), kind: key.kind }
    }

    pub(crate) fn not_allowed(key: &ConfigKey, text: &str) -> Self {
        Self::NotAllowed {
            key: key.name.into(),
            value: shown(key, text).into(),
            allowed: key.valid,
        }
    }

    pub(crate) fn conflict(key: &str, value: impl fmt::Display, rule: impl fmt::Display) -> Self {
        Self::Conflict {
            key: key.into(),
            value: value.to_string().into(),
            rule: rule.to_string().into(),
        }
    }

    /// The key at fault.
    pub fn key(&self) -> &str {
        match self {
            Self::NotOfType { key, .. }
            | Self::NotAllowed { key, .. }
            | Self::Missing { key }
            | Self::Unknown { name: key, .. }
            | Self::Null { key }
            | Self::Conflict { key, .. }
            | Self::Provider { key, .. }
            | Self::Unsupported { key, .. } => key,
        }
    }

    /// The same fault under the name that was written, where that is a listener's own.
    pub(crate) fn under(mut self, name: &str) -> Self {
        if let Self::NotOfType { key, .. } | Self::NotAllowed { key, .. } = &mut self {
            *key = name.into();
        }
        self
    }
}

/// The text of a value, or what stands for it if it is a secret.
pub(crate) fn shown<'a>(key: &ConfigKey, text: &'a str) -> &'a str {
    if key.is_sensitive() { HIDDEN } else { text }
}

fn kind_in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true or false",
        Kind::Int => "a 32-bit integer",
        Kind::Short => "a 16-bit integer",
        Kind::Long => "a 64-bit integer",
        Kind::Double => "a number",
        Kind::List => "a list",
        Kind::String | Kind::Class | Kind::Password => "text",
    }
}

/// A rule as the end of a sentence that begins with `must be`.
struct Requirement<'a>(&'a Valid);

impl fmt::Display for Requirement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Valid::Any => f.write_str("a value"),
            Valid::AtLeast(min) => write!(f, "at least {min}"),
            Valid::Between(min, max) => write!(f, "between {min} and {max}"),
            Valid::BetweenOr(min, max, or) => write!(f, "between {min} and {max}, or {or}"),
            Valid::Share(min, max) => write!(f, "between {min} and {max}"),
            Valid::NonNull => f.write_str("set"),
            Valid::NonEmpty => f.write_str("a text that is not empty"),
            Valid::OneOf(names) => write!(f, "one of {}", names.join(", ")),
            Valid::OneOfAnyCase(names) => write!(f, "one of {} (in any case)", names.join(", ")),
            Valid::List { of, empty, .. } => {
                f.write_str(if *empty { "a list" } else { "a list that is not empty" })?;
                match of {
                    [] => f.write_str(" without empty items"),
                    of => write!(f, " of {}", of.join(", ")),
                }
            }
            Valid::Addresses => f.write_str("a list of HOST:PORT"),
            Valid::Voters => f.write_str("a list of ID@HOST:PORT"),
            Valid::ThrottledReplicas => f.write_str("* or a list of PARTITION:BROKER"),
            Valid::ShareGroupStart => {
                f.write_str("earliest, latest, or by_duration: and a duration such as PT1H")
            }
        }
    }
}

/// `, did you mean …?`, or nothing.
pub(crate) struct Suggestion(pub(crate) Option<&'static str>);

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ", did you mean {name}?"),
            None => Ok(()),
        }
    }
}

/// A fault, and where the key was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The line of the file; none if the file does not set the key.
    pub line: Option<u32>,
    /// The fault.
    pub error: ConfigError,
}

/// All faults of a configuration, so that they can be mended in one go.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConfigErrors(pub Vec<Located>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Located { line, error }) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            match line {
                Some(line) => write!(f, "line {line}: {error}")?,
                None => error.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
