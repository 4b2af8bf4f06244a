//! A `server.properties` on the disk, and what its `${…}` refer to.

use std::path::Path;

use dohle_config::{
    BrokerConfig, ConfigErrors, NodeSettings, Properties, PropertiesError, ProviderHost,
};

use crate::{ending::Failure, say};

/// The configuration of a node, in both forms that the server wants.
#[derive(Debug)]
pub(crate) struct NodeFile {
    /// Key by key.
    pub(crate) settings: NodeSettings,
    /// In types.
    pub(crate) config: BrokerConfig,
}

/// Reads and checks a file. `overrides` (`key=value`) win over it. What is odd is said.
///
/// # Errors
/// All faults, each with file, line, key and value.
pub(crate) fn read(path: &Path, overrides: &[String]) -> Result<NodeFile, Failure> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| Failure::new(format!("{name}: {error}")))?;
    let mut properties = Properties::parse_latin1(&bytes)
        .map_err(|error: PropertiesError| Failure::new(format!("{name}: {error}")))?;
    for text in overrides {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(format!("--override {text}: is not of the form KEY=VALUE"))
        })?;
        properties.insert(key.trim(), value.trim());
    }
    let faulty = |errors: ConfigErrors| {
        Failure::all(errors.to_string().lines().map(|line| format!("{name}: {line}")))
    };
    let (settings, warnings) = NodeSettings::from_file(&properties, &Machine).map_err(faulty)?;
    for warning in warnings {
        say::warning(format_args!("{name}: {warning}"));
    }
    let config = BrokerConfig::new(&settings).map_err(faulty)?;
    Ok(NodeFile { settings, config })
}

/// Environment and files of this machine.
struct Machine;

impl ProviderHost for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{path}: {error}"))
    }
}
