//! The directories of a node before anything in them is opened: are they formatted, and do they belong
//! to this node and to one cluster?

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use dohle_base::{BrokerId, Rng, Str, Uuid};
use dohle_config::BrokerConfig;
use dohle_log::{
    Disk, IoError,
    disk::{read_file, replace_file},
};
use dohle_metadata::{MetaProperties, MetaPropertiesError, Misfit, check_directories};
use dohle_os::OsDisk;
use dohle_raft::METADATA_LOG_DIR;
use tracing::{error, warn};

/// The largest `meta.properties` that is read.
const FILE_SIZE_MAX: usize = 1 << 20;

/// Why the directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    /// A directory was never formatted.
    #[error(
        "{} is not formatted: run `dohle storage format --standalone -t CLUSTER_ID -c FILE` first",
        path.display()
    )]
    NotFormatted {
        /// The directory.
        path: PathBuf,
    },
    /// `meta.properties` of a directory is damaged, or of another node or cluster than the others.
    #[error("{}: {fault}", path.display())]
    Properties {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: MetaPropertiesError,
    },
    /// A directory that is not the metadata directory has a metadata log, so that it is not clear
    /// which one counts. Source: Kafka 4.4 refuses it.
    #[error(
        "{} has a metadata log, but metadata.log.dir is {}: remove the one that does not count",
        path.display(), metadata.display()
    )]
    StrayMetadata {
        /// The metadata log.
        path: PathBuf,
        /// The metadata directory.
        metadata: PathBuf,
    },
    /// No directory names the cluster.
    #[error("{}: field cluster.id is missing, expected a line with it", files(paths))]
    NoCluster {
        /// The directories.
        paths: Vec<PathBuf>,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

fn files(dirs: &[PathBuf]) -> String {
    let names = dirs.iter().map(|dir| dir.join(MetaProperties::FILE).display().to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// What the directories say.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) cluster_id: Str,
    /// The log directories with their ids.
    pub(crate) logs: Vec<(PathBuf, Uuid)>,
    /// The id of the metadata directory.
    pub(crate) metadata: Uuid,
}

/// Reads `meta.properties` of all directories. One without an id is given one, as Kafka does. One
/// that cannot be read is left out, but for that of the metadata.
pub(crate) fn read(
    config: &BrokerConfig,
    disk: &OsDisk,
    rng: &mut Rng,
) -> Result<Directories, DirectoriesError> {
    let metadata_path = PathBuf::from(config.metadata_log.dir.as_str());
    let mut paths: Vec<PathBuf> =
        config.log_dirs.iter().map(|dir| PathBuf::from(dir.as_str())).collect();
    let is_apart = !paths.contains(&metadata_path);
    if is_apart {
        paths.push(metadata_path.clone());
    }
    let mut all = Vec::with_capacity(paths.len());
    let mut readable = Vec::with_capacity(paths.len());
    for path in paths {
        match read_one(&path, config.node_id, disk, rng) {
            Err(DirectoriesError::Io(error)) if path != metadata_path => {
                set_offline(&path, &error);
            }
            Err(DirectoriesError::Io(error)) if error.is_not_found() => {
                return Err(DirectoriesError::NotFormatted { path });
            }
            properties => {
                all.push(properties?);
                readable.push(path);
            }
        }
    }
    let mut paths = readable;
    refuse_stray_metadata(&paths, &metadata_path, disk)?;
    let cluster_id = match check_directories(config.node_id, None, &all) {
        Ok(Some(cluster_id)) => cluster_id.clone(),
        Ok(None) => return Err(DirectoriesError::NoCluster { paths }),
        Err(Misfit { index, fault }) => {
            let path = paths.swap_remove(index).join(MetaProperties::FILE);
            return Err(DirectoriesError::Properties { path, fault });
        }
    };
    let id_of = |properties: &MetaProperties| properties.directory_id.unwrap_or(Uuid::ZERO);
    let mut logs: Vec<_> = paths.into_iter().zip(all.iter().map(id_of)).collect();
    let metadata = logs.iter().find(|(path, _)| *path == metadata_path);
    let metadata = metadata.map_or(Uuid::ZERO, |(_, id)| *id);
    if is_apart {
        logs.pop();
    }
    Ok(Directories { cluster_id, logs, metadata })
}

/// Says of a log directory that it is not served; the others are.
pub(crate) fn set_offline(path: &Path, error: &dyn Display) {
    error!(dir = %path.display(), "offline, what lies there is not served: {error}");
}

/// Only the metadata directory may have a metadata log.
fn refuse_stray_metadata(
    paths: &[PathBuf],
    metadata: &Path,
    disk: &OsDisk,
) -> Result<(), DirectoriesError> {
    for path in paths.iter().filter(|path| *path != metadata) {
        let entries = match disk.list(path) {
            // That it is not formatted is told by who looks at what it is.
            Err(error) if error.is_not_found() => continue,
            entries => entries?,
        };
        if entries.iter().any(|entry| entry.name == METADATA_LOG_DIR) {
            let (path, metadata) = (path.join(METADATA_LOG_DIR), metadata.to_owned());
            return Err(DirectoriesError::StrayMetadata { path, metadata });
        }
    }
    Ok(())
}

fn read_one(
    path: &Path,
    node_id: BrokerId,
    disk: &OsDisk,
    rng: &mut Rng,
) -> Result<MetaProperties, DirectoriesError> {
    let file = path.join(MetaProperties::FILE);
    let Some(bytes) = read_file(disk, &file, FILE_SIZE_MAX)? else {
        // One that is not there at all is a disk that is not.
        disk.list(path)?;
        return Err(DirectoriesError::NotFormatted { path: path.to_owned() });
    };
    let faulty = |fault| DirectoriesError::Properties { path: file.clone(), fault };
    let mut properties = MetaProperties::parse(&bytes).map_err(faulty)?;
    if properties.directory_id.is_none() {
        let id = Uuid::random(rng);
        warn!(file = %file.display(), "directory.id is missing: it is {id} from now on");
        properties.directory_id = Some(id);
        properties.node_id = Some(node_id);
        replace_file(disk, &file, &properties.to_file())?;
    }
    Ok(properties)
}
