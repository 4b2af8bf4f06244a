//! What becomes of partitions' directories that hold no partition which is served.
//!
//! ```text
//! <topic>-<n>                   deleted topic ──rename──▶ -delete ──file.delete.delay.ms──▶ gone
//! <topic>-<n>                   found at start, not in the metadata ──rename──▶ -stray
//! <topic>-<n>.<digits>-stray    left alone, with a warning: they are the operator's
//! <topic>-<n>.<digits>-delete   found at start ──▶ gone
//! ```
//!
//! A rename is durable before anything relies on it: before a topic of the same name is opened.

use std::{path::PathBuf, sync::Arc};

use dohle_base::{BrokerId, PartitionId, Rng, Str, Timestamp, TopicId, Uuid};
use dohle_log::{DirRole, Disk, IoError, PartitionDir, partition_metadata};
use dohle_metadata::MetadataImage;
use tracing::{info, warn};

use crate::{log_dirs::LogDir, retention::DeletedDir};

/// The directory of the metadata log, which is none of a partition that is served here.
const METADATA_LOG: &str = "__cluster_metadata";

/// Takes the directory of a partition out of the way; says what is to be removed at `due`.
pub(crate) fn delete(
    dir: &Arc<LogDir>,
    topic: &Str,
    index: PartitionId,
    rng: &mut Rng,
    due: Timestamp,
) -> Result<DeletedDir, IoError> {
    let path = set_aside(dir, &PartitionDir::current(topic, index), DirRole::Deleted, rng)?;
    Ok(DeletedDir { dir: Arc::clone(dir), path, due })
}

/// Renames the directory of a partition durably; says to what.
fn set_aside(
    dir: &LogDir,
    current: &PartitionDir,
    role: DirRole,
    rng: &mut Rng,
) -> Result<PathBuf, IoError> {
    let unique = Uuid::random(rng);
    let path = dir.path.join(PartitionDir { role, ..current.clone() }.name(unique));
    dir.disk().rename(&dir.path.join(current.name(unique)), &path)?;
    dir.disk().sync_dir(&dir.path)?;
    Ok(path)
}

/// Looks through a log directory at start. Says what is to be removed.
///
/// # Errors
/// The directory cannot be read or changed.
pub(crate) fn sort_out(
    dir: &Arc<LogDir>,
    image: &MetadataImage,
    node_id: BrokerId,
    rng: &mut Rng,
) -> Result<Vec<DeletedDir>, IoError> {
    let mut deleted = Vec::new();
    for entry in dir.disk().list(&dir.path)?.into_iter().filter(|entry| entry.is_dir) {
        // Others may keep something here, too: `lost+found` for one.
        let Ok(found) = PartitionDir::parse(&entry.name) else { continue };
        let path = dir.path.join(&entry.name);
        match found.role {
            DirRole::Deleted => {
                deleted.push(DeletedDir { dir: Arc::clone(dir), path, due: Timestamp(0) });
            }
            DirRole::Stray => {
                warn!(dir = %path.display(), "holds a partition that is not served; left alone");
            }
            DirRole::Future => {}
            DirRole::Current if found.topic == METADATA_LOG => {}
            DirRole::Current => {
                let Some(why) = why_stray(dir, &path, &found, image, node_id) else { continue };
                let stray = set_aside(dir, &found, DirRole::Stray, rng)?;
                warn!(
                    dir = %path.display(),
                    "{why}: it is not served, and is now called {}", stray.display()
                );
            }
        }
    }
    if !deleted.is_empty() {
        info!(dir = %dir.path.display(), "{} deleted partitions are left to remove", deleted.len());
    }
    Ok(deleted)
}

/// Why a partition that is found in a directory is none of this node's.
fn why_stray(
    dir: &LogDir,
    path: &std::path::Path,
    found: &PartitionDir,
    image: &MetadataImage,
    node_id: BrokerId,
) -> Option<String> {
    // One that cannot be read is reported when the partition is opened.
    let written = partition_metadata::read(dir.disk(), path).ok()?;
    let named = image.topics.named(&found.topic);
    let id = written.or_else(|| named.map(|topic| topic.id)).unwrap_or(TopicId::ZERO);
    let topic = image.topics.get(id).filter(|topic| topic.name == found.topic);
    match topic.and_then(|topic| topic.partitions.get(&found.partition)) {
        None if written.is_some() => Some(format!("the metadata has no topic with the id {id}")),
        None => Some("the metadata has no such partition".to_owned()),
        Some(partition) if !partition.replicas.contains(&node_id) => {
            Some("the partition has no replica on this node".to_owned())
        }
        Some(_) => None,
    }
}
