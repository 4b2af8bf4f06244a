//! Formatting: directories that say nothing of themselves become a node's.
//!
//! Invariant: a directory counts as formatted only when all that belongs into it is durable, for
//! `meta.properties` is written last and in one step. Formatting that was cut off is done again.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use dohle_base::{Rng, Str, Timestamp};
use dohle_config::BrokerConfig;
use dohle_log::{
    Disk, IoError,
    disk::{Operation, replace_file},
};
use dohle_metadata::{
    MetaProperties, MetaPropertiesError, MetadataVersion, Misfit, check_directories,
    format::{self as core, Levels, LevelsRequest, Quorum},
};
use dohle_raft::{Endpoint, SnapshotId, VoterSet};

use super::survey::{Content, Surveyed, survey};

/// Who is to vote when the cluster starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum InitialControllers {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// This node alone: `--standalone`.
    Standalone,
    /// These: `--initial-controllers`.
    Voters(VoterSet),
    /// The node joins a quorum later: `--no-initial-controllers`.
    Later,
}

/// What to format directories with.
#[derive(Clone, Debug, Default)]
pub struct FormatRequest {
    /// The cluster.
    pub cluster_id: Str,
    /// Who is to vote.
    pub controllers: InitialControllers,
    /// The metadata.version; the latest if none.
    pub release: Option<MetadataVersion>,
    /// Levels of features by name; others follow from the release.
    pub features: BTreeMap<Str, i16>,
    /// Whether directories that are formatted already are passed over.
    pub ignore_formatted: bool,
}

/// What a directory is to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryKind {
    /// It holds partitions only.
    Data,
    /// It holds the metadata log, too.
    Metadata,
    /// It holds the metadata log of an initial voter.
    Voter,
}

/// A directory that was formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormattedDirectory {
    /// The directory.
    pub path: PathBuf,
    /// What it is to the node.
    pub kind: DirectoryKind,
}

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Formatted {
    /// The levels that the cluster begins with.
    pub levels: Levels,
    /// The directories that were formatted, by path; none if all were formatted before.
    pub directories: Vec<FormattedDirectory>,
    /// Directories that cannot be read, and why. They are left alone.
    pub unreadable: Vec<(PathBuf, Content)>,
}

/// Why directories cannot be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The cluster id is empty.
    #[error("the cluster id must not be empty")]
    NoClusterId,
    /// The cluster is to begin with this node, which is no controller.
    #[error("--standalone makes sense only on a controller: process.roles does not contain it")]
    NotAController,
    /// The node has no listener for controllers.
    #[error("no listener of controller.listener.names is in listeners")]
    NoControllerListener,
    /// The voters are said in two ways.
    #[error(
        "controller.quorum.voters is set, which excludes --standalone and --initial-controllers; \
         to keep the voters in the log, set controller.quorum.bootstrap.servers in its place"
    )]
    StaticVoters,
    /// Nothing says who is to vote.
    #[error(
        "controller.quorum.voters is not set on this controller, so one of these is needed: \
         --standalone, --initial-controllers or --no-initial-controllers"
    )]
    NoVoters,
    /// The levels do not exist, are not built, or contradict each other.
    #[error(transparent)]
    Levels(#[from] core::FormatError),
    /// A directory was formatted before.
    #[error(
        "log directory {} is already formatted; --ignore-formatted passes it over and formats the \
         others", path.display()
    )]
    AlreadyFormatted {
        /// The directory.
        path: PathBuf,
    },
    /// A directory belongs to another node or cluster.
    #[error("log directory {}: {fault}", path.display())]
    Misfit {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        fault: MetaPropertiesError,
    },
    /// No directory can be read.
    #[error("there is no log directory that can be read: {} {content}", path.display())]
    AllUnreadable {
        /// One of them.
        path: PathBuf,
        /// Why.
        content: Content,
    },
    /// A file stands where the directory should be.
    #[error("log directory {} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The disk failed. Directories that were formatted before stay so.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl fmt::Display for DirectoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data directory",
            Self::Metadata => "metadata directory",
            Self::Voter => "dynamic metadata voter directory",
        })
    }
}

/// Formats the directories of a node that are not formatted. Durable when it returns.
///
/// # Errors
/// Nothing was written unless it is `Io`.
pub fn format<D: Disk>(
    disk: &D,
    config: &BrokerConfig,
    request: &FormatRequest,
    now: Timestamp,
    rng: &mut Rng,
) -> Result<Formatted, FormatError> {
    let content = content_request(config, request, now)?;
    let surveyed = survey(disk, config);
    check(config, request, &surveyed)?;
    let mut directories = Vec::new();
    let mut unreadable = Vec::new();
    for directory in surveyed {
        match directory.content {
            Content::Formatted(_) => {}
            Content::Damaged(_) | Content::Unreadable(_) => {
                unreadable.push((directory.path, directory.content));
            }
            Content::Missing | Content::Unformatted => {
                for file in core::directory(&content, directory.is_metadata, rng)? {
                    write(disk, &directory.path, &file)?;
                }
                let kind = kind(config, &content.quorum, directory.is_metadata);
                directories.push(FormattedDirectory { path: directory.path, kind });
            }
        }
    }
    Ok(Formatted { levels: content.levels, directories, unreadable })
}

/// What every directory is to say.
fn content_request(
    config: &BrokerConfig,
    request: &FormatRequest,
    now: Timestamp,
) -> Result<core::Request, FormatError> {
    if request.cluster_id.is_empty() {
        return Err(FormatError::NoClusterId);
    }
    let quorum = quorum(config, &request.controllers)?;
    let levels = Levels::choose(&LevelsRequest {
        release: request.release,
        features: request.features.clone(),
        dynamic_quorum: config.quorum.voters.is_empty(),
    })?;
    let cluster_id = request.cluster_id.clone();
    Ok(core::Request { cluster_id, node_id: config.node_id, quorum, levels, scram: vec![], now })
}

/// A node that is a broker only needs no voters, though the same flags may be given on all nodes of
/// a cluster; only that it were the whole quorum is a contradiction.
fn quorum(config: &BrokerConfig, asked: &InitialControllers) -> Result<Quorum, FormatError> {
    let is_static = !config.quorum.voters.is_empty();
    match asked {
        InitialControllers::Standalone | InitialControllers::Voters(_) if is_static => {
            Err(FormatError::StaticVoters)
        }
        InitialControllers::Standalone if !config.roles.controller => {
            Err(FormatError::NotAController)
        }
        _ if !config.roles.controller => Ok(Quorum::None),
        _ if is_static => Ok(Quorum::Static),
        InitialControllers::Unsaid => Err(FormatError::NoVoters),
        InitialControllers::Later => Ok(Quorum::Later),
        InitialControllers::Voters(voters) => Ok(Quorum::Initial(voters.clone())),
        InitialControllers::Standalone => {
            let listeners = &config.listeners.advertised_controller;
            let listener = listeners.first().ok_or(FormatError::NoControllerListener)?;
            let host = listener.host.clone().unwrap_or_else(|| "localhost".into());
            let endpoint = Endpoint { listener: listener.name.clone(), host, port: listener.port };
            Ok(Quorum::Standalone(vec![endpoint]))
        }
    }
}

fn check(
    config: &BrokerConfig,
    request: &FormatRequest,
    surveyed: &[Surveyed],
) -> Result<(), FormatError> {
    let formatted: Vec<(&Path, &MetaProperties)> = surveyed
        .iter()
        .filter_map(|one| Some((one.path.as_path(), one.content.properties()?)))
        .collect();
    let said = formatted.iter().map(|(_, properties)| *properties);
    if let Err(Misfit { index, fault }) =
        check_directories(config.node_id, Some(&request.cluster_id), said)
    {
        return Err(FormatError::Misfit { path: formatted[index].0.to_owned(), fault });
    }
    if let Some((path, _)) = formatted.first().filter(|_| !request.ignore_formatted) {
        return Err(FormatError::AlreadyFormatted { path: (*path).to_owned() });
    }
    let is_unreadable =
        |one: &&Surveyed| matches!(one.content, Content::Damaged(_) | Content::Unreadable(_));
    match surveyed.iter().find(is_unreadable) {
        Some(one) if surveyed.iter().all(|one| is_unreadable(&one)) => {
            let (path, content) = (one.path.clone(), one.content.clone());
            Err(FormatError::AllUnreadable { path, content })
        }
        _ => Ok(()),
    }
}

fn kind(config: &BrokerConfig, quorum: &Quorum, is_metadata: bool) -> DirectoryKind {
    match quorum {
        _ if !is_metadata => DirectoryKind::Data,
        Quorum::Standalone(_) => DirectoryKind::Voter,
        Quorum::Initial(voters) if voters.voter(config.node_id).is_some() => DirectoryKind::Voter,
        _ => DirectoryKind::Metadata,
    }
}

fn write<D: Disk>(disk: &D, dir: &Path, file: &core::File) -> Result<(), FormatError> {
    let path = dir.join(&file.path);
    make_directories(disk, path.parent().unwrap_or(dir)).map_err(|error| match error.kind {
        ErrorKind::NotADirectory => FormatError::NotADirectory { path: error.path },
        _ => FormatError::Io(error),
    })?;
    replace_file(disk, &path, &file.content)?;
    // A snapshot is never written again. Source: Kafka 4.4 makes them read-only.
    if SnapshotId::from_file_name(file_name(&path)).is_ok() {
        disk.seal(&path)?;
    }
    Ok(())
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// Makes a directory and those above it, as far as they are missing. Durable when it returns.
fn make_directories<D: Disk>(disk: &D, dir: &Path) -> Result<(), IoError> {
    match disk.list(dir) {
        Ok(_) => return Ok(()),
        Err(error) if !error.is_not_found() => return Err(error),
        Err(_) => {}
    }
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    make_directories(disk, parent)?;
    match disk.create_dir(dir) {
        // It is there, and cannot be listed as a directory.
        Err(error) if error.kind == ErrorKind::AlreadyExists => {
            Err(IoError::of_kind(Operation::CreateDir, dir, ErrorKind::NotADirectory))
        }
        Err(error) => Err(error),
        Ok(()) => disk.sync_dir(parent),
    }
}
