//! What an operator should know about a configuration that works all the same.

use std::fmt;

use dohle_base::Str;

use crate::error::{ConfigError, Suggestion};
use crate::key::Visibility;
use crate::keys::{BROKER, listener_override};
use crate::properties::{Properties, Property};

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

/// What is odd about a file.
pub(super) fn warnings(properties: &Properties) -> Vec<Warning> {
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
