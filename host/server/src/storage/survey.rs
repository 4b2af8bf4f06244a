//! What each log directory says of itself.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use dohle_config::BrokerConfig;
use dohle_log::{Disk, IoError, disk::read_file};
use dohle_metadata::{MetaProperties, MetaPropertiesError};

/// A file of more bytes is not one that anybody wrote as `meta.properties`.
const FILE_SIZE_MAX: usize = 1 << 20;

/// A log directory as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// The directory.
    pub path: PathBuf,
    /// Whether it holds the metadata log.
    pub is_metadata: bool,
    /// What it says of itself.
    pub content: Content,
}

/// What a log directory says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// There is no such directory.
    Missing,
    /// There is one, and it was never formatted.
    Unformatted,
    /// It belongs to a node.
    Formatted(MetaProperties),
    /// It says something that cannot be read.
    Damaged(MetaPropertiesError),
    /// The disk failed.
    Unreadable(IoError),
}

impl Content {
    /// What the directory says, if it says something.
    pub fn properties(&self) -> Option<&MetaProperties> {
        match self {
            Self::Formatted(properties) => Some(properties),
            _ => None,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::Unformatted => f.write_str("is not formatted"),
            Self::Formatted(_) => f.write_str("is formatted"),
            Self::Damaged(fault) => write!(f, "{}: {fault}", MetaProperties::FILE),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

/// Reads what each log directory of a node says, the metadata directory among them, by path.
pub fn survey<D: Disk>(disk: &D, config: &BrokerConfig) -> Vec<Surveyed> {
    let metadata = Path::new(config.metadata_log.dir.as_str());
    let mut paths: BTreeSet<&Path> =
        config.log_dirs.iter().map(|dir| Path::new(dir.as_str())).collect();
    paths.insert(metadata);
    let surveyed = |path: &Path| Surveyed {
        path: path.to_owned(),
        is_metadata: path == metadata,
        content: content(disk, path),
    };
    paths.into_iter().map(surveyed).collect()
}

fn content<D: Disk>(disk: &D, dir: &Path) -> Content {
    match read_file(disk, &dir.join(MetaProperties::FILE), FILE_SIZE_MAX) {
        Ok(Some(file)) => {
            MetaProperties::parse(&file).map_or_else(Content::Damaged, Content::Formatted)
        }
        Ok(None) => match disk.list(dir) {
            Ok(_) => Content::Unformatted,
            Err(error) if error.is_not_found() => Content::Missing,
            Err(error) => Content::Unreadable(error),
        },
        Err(error) => Content::Unreadable(error),
    }
}
