//! `meta.properties`: which node and which cluster a log directory belongs to.
//!
//! | key          | version 0       | version 1                                              |
//! |--------------|-----------------|--------------------------------------------------------|
//! | version      | 0, or not there | 1                                                      |
//! | cluster.id   | optional        | required                                               |
//! | broker.id    | optional        | –                                                      |
//! | node.id      | –               | required                                               |
//! | directory.id | optional        | optional; always there once 3.7 or later has started   |
//!
//! Version 0 comes from times of ZooKeeper; it is read, and written again as version 1 if it says
//! all that this requires. Source: interop A.2.
//!
//! Not here: files. Whoever has the disk reads and replaces them.

use bytes::Bytes;
use dohle_base::{BrokerId, Str, Uuid};
use dohle_config::{Properties, PropertiesError};

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster; may be absent in version 0 only.
    pub cluster_id: Option<Str>,
    /// The node; may be absent in version 0 only.
    pub node_id: Option<BrokerId>,
    /// The directory; a directory without one is given one at start-up.
    pub directory_id: Option<Uuid>,
}

/// Why a file, or a set of directories, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The file is not a properties file.
    #[error("{0}")]
    Syntax(#[from] PropertiesError),
    /// A version that newer software writes.
    #[error("version {version} is unknown, expected 0 or 1")]
    UnknownVersion {
        /// The version.
        version: Str,
    },
    /// A key is absent.
    #[error("{key} is missing, expected a line with it")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key has a value that it cannot have.
    #[error("{key} = {value}: expected {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: Str,
        /// What it may be.
        expected: &'static str,
    },
    /// The directory belongs to another cluster than the others.
    #[error("cluster.id is {got}, expected {expected}")]
    OtherCluster {
        /// The cluster of the others.
        expected: Str,
        /// The cluster of this one.
        got: Str,
    },
    /// The directory belongs to another node than the one that is configured.
    #[error("node.id is {got}, expected {expected} as configured")]
    OtherNode {
        /// The configured node.
        expected: BrokerId,
        /// The node of the directory.
        got: BrokerId,
    },
    /// Two directories have the same id.
    #[error("directory.id {id} is in more than one directory, expected it in one")]
    DuplicateDirectory {
        /// The id.
        id: Uuid,
    },
}

impl MetaProperties {
    /// The name of the file.
    pub const FILE: &'static str = "meta.properties";

    /// Reads the file.
    ///
    /// # Errors
    /// `Syntax`, `UnknownVersion`, `Missing`, `BadValue`.
    pub fn parse(file: &[u8]) -> Result<Self, MetaPropertiesError> {
        let properties = Properties::parse_latin1(file)?;
        let (node_key, complete) = match properties.get("version") {
            None | Some("0") => ("broker.id", false),
            Some("1") => ("node.id", true),
            Some(version) => {
                return Err(MetaPropertiesError::UnknownVersion { version: version.into() });
            }
        };
        let bad = |key, value: &str, expected| MetaPropertiesError::BadValue {
            key,
            value: value.into(),
            expected,
        };
        let node_id = properties.get(node_key).map(|text| match text.parse() {
            Ok(id) if id >= 0 => Ok(BrokerId(id)),
            _ => Err(bad(node_key, text, "a number, not negative")),
        });
        let directory_id = properties.get("directory.id").map(|text| match text.parse::<Uuid>() {
            Ok(id) if !id.is_reserved() => Ok(id),
            _ => Err(bad("directory.id", text, "a uuid that is not reserved")),
        });
        let parsed = Self {
            cluster_id: properties.get("cluster.id").map(Str::from),
            node_id: node_id.transpose()?,
            directory_id: directory_id.transpose()?,
        };
        match parsed {
            Self { cluster_id: None, .. } if complete => {
                Err(MetaPropertiesError::Missing { key: "cluster.id" })
            }
            Self { node_id: None, .. } if complete => {
                Err(MetaPropertiesError::Missing { key: "node.id" })
            }
            parsed => Ok(parsed),
        }
    }

    /// Which version of the file can say this: 1 if nothing is absent that it requires.
    pub fn version(&self) -> i32 {
        i32::from(self.cluster_id.is_some() && self.node_id.is_some())
    }

    /// The file.
    pub fn to_file(&self) -> Bytes {
        let mut properties = Properties::default();
        properties.insert("version", self.version().to_string());
        if let Some(id) = &self.cluster_id {
            properties.insert("cluster.id", id.clone());
        }
        if let Some(id) = self.node_id {
            let key = if self.version() == 0 { "broker.id" } else { "node.id" };
            properties.insert(key, id.to_string());
        }
        if let Some(id) = self.directory_id {
            properties.insert("directory.id", id.to_string());
        }
        Bytes::from(properties.to_text(&[""]))
    }
}

/// A directory that does not belong to the node, or not to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which of the directories that were given.
    pub index: usize,
    /// `OtherCluster`, `OtherNode` or `DuplicateDirectory`.
    pub fault: MetaPropertiesError,
}

/// Checks that directories belong to a node, to one cluster (to `cluster_id`, if it is known) and
/// are distinct. Returns the cluster; none if nobody names one.
///
/// # Errors
/// The first directory that does not fit.
pub fn check_directories<'a>(
    node_id: BrokerId,
    cluster_id: Option<&'a Str>,
    directories: impl IntoIterator<Item = &'a MetaProperties>,
) -> Result<Option<&'a Str>, Misfit> {
    let mut known_cluster = cluster_id;
    let mut directory_ids = Vec::new();
    for (index, directory) in directories.into_iter().enumerate() {
        let misfit = |fault| Err(Misfit { index, fault });
        if let Some(got) = directory.node_id.filter(|got| *got != node_id) {
            return misfit(MetaPropertiesError::OtherNode { expected: node_id, got });
        }
        match (known_cluster, &directory.cluster_id) {
            (Some(expected), Some(got)) if expected != got => {
                let (expected, got) = (expected.clone(), got.clone());
                return misfit(MetaPropertiesError::OtherCluster { expected, got });
            }
            (None, Some(got)) => known_cluster = Some(got),
            _ => {}
        }
        if let Some(id) = directory.directory_id {
            if directory_ids.contains(&id) {
                return misfit(MetaPropertiesError::DuplicateDirectory { id });
            }
            directory_ids.push(id);
        }
    }
    Ok(known_cluster)
}

#[cfg(test)]
mod tests;
