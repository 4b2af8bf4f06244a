//! `meta.properties`: which cluster, node and directory a log directory belongs to.
//!
//! | key          | version 0 | version 1 |
//! |--------------|-----------|-----------|
//! | version      | 0, or not there | 1   |
//! | cluster.id   | optional  | required  |
//! | broker.id    | optional  | –         |
//! | node.id      | –         | required  |
//! | directory.id | optional  | optional; always there once 3.7 or later has started |
//!
//! Version 0 is of the time of ZooKeeper. Unknown keys are kept.

mod properties;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use dohle_base::{BrokerId, Str, Uuid};

use crate::{
    checkpoint::SideFileError,
    disk::{Disk, IoError, read_file, replace_file},
};

/// The name of the file.
pub const FILE_NAME: &str = "meta.properties";
const FILE_SIZE_MAX: usize = 1 << 20;

const VERSION: &str = "version";
const CLUSTER_ID: &str = "cluster.id";
const BROKER_ID: &str = "broker.id";
const NODE_ID: &str = "node.id";
const DIRECTORY_ID: &str = "directory.id";

/// What a log directory says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// 0 or 1.
    pub version: i32,
    /// The cluster.
    pub cluster_id: Option<Str>,
    /// The node: `node.id` in version 1, `broker.id` in version 0.
    pub node_id: Option<BrokerId>,
    /// The directory.
    pub directory_id: Option<Uuid>,
    /// Keys without a meaning here.
    pub others: BTreeMap<String, String>,
}

impl MetaProperties {
    /// What a directory of a formatted node says.
    pub fn new(cluster_id: &str, node_id: BrokerId, directory_id: Uuid) -> Self {
        Self {
            version: 1,
            cluster_id: Some(cluster_id.into()),
            node_id: Some(node_id),
            directory_id: Some(directory_id),
            others: BTreeMap::new(),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut others = properties::parse(text);
        let mut number = |key| match others.remove(key) {
            None => Ok(None),
            Some(value) => value.trim().parse::<i32>().map(Some),
        };
        let version = number(VERSION).map_err(|_| "version is not a number")?.unwrap_or(0);
        let broker_id = number(BROKER_ID).map_err(|_| "broker.id is not a number")?;
        let node_id = number(NODE_ID).map_err(|_| "node.id is not a number")?;
        let node_id = match version {
            0 => broker_id.filter(|id| *id >= 0),
            1 => Some(node_id.filter(|id| *id >= 0).ok_or("node.id is missing")?),
            _ => return Err("the version is neither 0 nor 1"),
        };
        let cluster_id = others.remove(CLUSTER_ID);
        if version == 1 && cluster_id.is_none() {
            return Err("cluster.id is missing");
        }
        let directory_id = match others.remove(DIRECTORY_ID) {
            None => None,
            Some(id) => match id.trim().parse::<Uuid>() {
                Ok(id) if !id.is_reserved() => Some(id),
                _ => return Err("directory.id is not an id"),
            },
        };
        Ok(Self {
            version,
            cluster_id: cluster_id.map(Str::from),
            node_id: node_id.map(BrokerId),
            directory_id,
            others,
        })
    }

    fn text(&self) -> String {
        let node_key = if self.version == 0 { BROKER_ID } else { NODE_ID };
        let mut text = String::from("#\n");
        let fields = [
            (node_key, self.node_id.map(|id| id.to_string())),
            (DIRECTORY_ID, self.directory_id.map(|id| id.to_string())),
            (VERSION, Some(self.version.to_string())),
            (CLUSTER_ID, self.cluster_id.as_ref().map(Str::to_string)),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                properties::write(&mut text, key, &value);
            }
        }
        self.others.iter().for_each(|(key, value)| properties::write(&mut text, key, value));
        text
    }
}

/// What the log directory `dir` says of itself; `None` if it was never formatted.
///
/// # Errors
/// `Malformed` if a required key is missing or a value is not what it must be.
pub fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<MetaProperties>, SideFileError> {
    let path = dir.join(FILE_NAME);
    let Some(bytes) = read_file(disk, &path, FILE_SIZE_MAX)? else { return Ok(None) };
    // Java reads the file as Latin-1.
    let text = bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let malformed = |reason| SideFileError::Malformed { path, line: 1, reason };
    MetaProperties::parse(&text).map(Some).map_err(malformed)
}

/// Says what the log directory `dir` belongs to. Durable when it returns.
///
/// # Errors
/// `Io`; the old file is still there.
pub fn write<D: Disk>(disk: &D, dir: &Path, meta: &MetaProperties) -> Result<(), IoError> {
    replace_file(disk, &dir.join(FILE_NAME), meta.text().as_bytes())
}
