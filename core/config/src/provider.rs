//! Values that stand elsewhere: `${env:NAME}`, `${file:/path:key}`, `${dir:/path:file}`.
//!
//! As in Kafka, `config.providers` lists names, and `config.providers.NAME.class` says which of
//! three classes is behind a name; `env`, `file` and `dir` are only customary. The core does not
//! read files or the environment: the host lends it a [`ProviderHost`].
//!
//! Two things differ from Kafka, which leaves a variable in the text when it cannot be resolved:
//! here a variable with an unknown provider or without a value is an error, because a node that
//! takes `${file:…}` literally for its password is never what was meant.

use std::collections::BTreeMap;
use std::fmt;

use dohle_base::Str;

use crate::error::ConfigError;
use crate::properties::Properties;

/// What the providers need of the world.
pub trait ProviderHost {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// What the operating system said, in words.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// A world without environment and files, for configurations that are made rather than read.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProviders;

impl ProviderHost for NoProviders {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("{path} is not accessible"))
    }
}

/// The list of providers.
const PROVIDERS: &str = "config.providers";

#[derive(Clone, Copy, Debug, PartialEq)]
enum ProviderClass {
    EnvVar,
    File,
    Directory,
}

impl ProviderClass {
    fn from_java(class: &str) -> Option<Self> {
        match class.strip_prefix("org.apache.kafka.common.config.provider.")? {
            "EnvVarConfigProvider" => Some(Self::EnvVar),
            "FileConfigProvider" => Some(Self::File),
            "DirectoryConfigProvider" => Some(Self::Directory),
            _ => None,
        }
    }
}

/// The providers that a configuration declares.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    by_name: BTreeMap<Str, Provider>,
}

#[derive(Debug)]
struct Provider {
    class: ProviderClass,
    /// Directories below which files may be read; none means everywhere.
    allowed_paths: Option<Vec<Str>>,
}

impl Providers {
    /// Reads `config.providers` and what belongs to it.
    ///
    /// # Errors
    /// [`ConfigError::Provider`] for a class that has no equivalent here, and for a parameter that
    /// cannot be obeyed.
    pub(crate) fn declared(properties: &Properties) -> Result<Self, ConfigError> {
        let mut providers = Self::default();
        let names = properties.get(PROVIDERS).unwrap_or("");
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let class_key = format!("{PROVIDERS}.{name}.class");
            // Kafka passes over a provider without class; its variables then fail.
            let Some(class) = properties.get(&class_key) else { continue };
            let fault = |key: &str, value: &str, fault: &str| ConfigError::Provider {
                key: key.into(),
                value: value.into(),
                fault: fault.into(),
            };
            let class = ProviderClass::from_java(class.trim()).ok_or_else(|| {
                let known = "is not one of EnvVarConfigProvider, FileConfigProvider and \
                             DirectoryConfigProvider of org.apache.kafka.common.config.provider";
                fault(&class_key, class, known)
            })?;
            let pattern_key = format!("{PROVIDERS}.{name}.param.allowlist.pattern");
            match properties.get(&pattern_key) {
                None | Some(".*") => {}
                Some(pattern) => {
                    return Err(fault(&pattern_key, pattern, "patterns are not supported"));
                }
            }
            let paths_key = format!("{PROVIDERS}.{name}.param.allowed.paths");
            let allowed_paths = properties
                .get(&paths_key)
                .map(|paths| paths.split(',').map(|path| path.trim().into()).collect());
            providers.by_name.insert(name.into(), Provider { class, allowed_paths });
        }
        Ok(providers)
    }

    /// Replaces the variables in a value.
    ///
    /// # Errors
    /// [`ConfigError::Provider`] if one of them cannot be replaced.
    pub(crate) fn resolve(
        &self,
        key: &str,
        value: &str,
        host: &dyn ProviderHost,
    ) -> Result<Str, ConfigError> {
        let mut resolved = String::new();
        let mut rest = value;
        while let Some((before, variable, behind)) = next_variable(rest) {
            let replacement =
                self.lookup(&variable, host).map_err(|fault| ConfigError::Provider {
                    key: key.into(),
                    value: value.into(),
                    fault: fault.to_string().into(),
                })?;
            resolved.push_str(before);
            resolved.push_str(&replacement);
            rest = behind;
        }
        resolved.push_str(rest);
        Ok(resolved.into())
    }

    fn lookup(&self, variable: &Variable<'_>, host: &dyn ProviderHost) -> Result<String, Fault> {
        let Variable { provider: name, path, key } = *variable;
        let provider = self.by_name.get(name).ok_or_else(|| Fault::Undeclared(name.into()))?;
        let absent = || Fault::Absent(key.into());
        match provider.class {
            ProviderClass::EnvVar if !path.is_empty() => Err(Fault::PathOfVariable),
            ProviderClass::EnvVar => host.variable(key).ok_or_else(absent),
            ProviderClass::File => {
                let text = provider.read(path, host)?;
                let text = String::from_utf8(text).map_err(|_| Fault::NotText(path.into()))?;
                let properties = Properties::parse(&text)
                    .map_err(|e| Fault::Unreadable(format!("{path}: {e}")))?;
                properties.get(key).map(Into::into).ok_or_else(absent)
            }
            ProviderClass::Directory if key.contains('/') => Err(absent()),
            ProviderClass::Directory => {
                let file = format!("{}/{key}", path.trim_end_matches('/'));
                let text = provider.read(&file, host)?;
                String::from_utf8(text).map_err(|_| Fault::NotText(file))
            }
        }
    }
}

impl Provider {
    fn read(&self, path: &str, host: &dyn ProviderHost) -> Result<Vec<u8>, Fault> {
        let is_allowed = match &self.allowed_paths {
            None => true,
            Some(allowed) => normalized(path).is_some_and(|path| {
                allowed.iter().filter_map(|dir| normalized(dir)).any(|dir| path.starts_with(&dir))
            }),
        };
        if !is_allowed {
            return Err(Fault::Forbidden(path.into()));
        }
        host.read(path).map_err(Fault::Unreadable)
    }
}

/// The parts of an absolute path, without `.` and `..`.
fn normalized(path: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    Some(parts)
}

/// Why a variable has no value.
enum Fault {
    Undeclared(String),
    Absent(String),
    PathOfVariable,
    Forbidden(String),
    Unreadable(String),
    NotText(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared(name) => write!(
                f,
                "there is no provider {name}; it takes {PROVIDERS}={name} and \
                 {PROVIDERS}.{name}.class"
            ),
            Self::Absent(key) => write!(f, "{key} has no value"),
            Self::PathOfVariable => f.write_str("environment variables have no path"),
            Self::Forbidden(path) => write!(f, "{path} is not below one of the allowed paths"),
            Self::Unreadable(fault) => f.write_str(fault),
            Self::NotText(path) => write!(f, "{path} is not UTF-8"),
        }
    }
}

/// One `${provider:path:key}` or `${provider:key}`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Variable<'a> {
    provider: &'a str,
    path: &'a str,
    key: &'a str,
}

/// The first variable, with the text before and behind it. The path ends at the second colon; the
/// key may hold more.
fn next_variable(text: &str) -> Option<(&str, Variable<'_>, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        let body = &text[start + 2..];
        let end = body.find('}')?;
        if let Some((provider, rest)) = body[..end].split_once(':') {
            let (path, key) = rest.split_once(':').unwrap_or(("", rest));
            let variable = Variable { provider, path, key };
            return Some((&text[..start], variable, &body[end + 1..]));
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests;
