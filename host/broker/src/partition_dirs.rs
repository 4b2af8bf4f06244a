//! What becomes of partitions' directories that hold no partition which is served.
//!
//! ```text
//! <topic>-<n>                   deleted topic ──rename──▶ -delete ──file.delete.delay.ms──▶ gone
//! <topic>-<n>                   found at start, not in the metadata, or nobody's ──rename──▶ -stray
//! <topic>-<n>.<digits>-stray    left alone, with a warning: they are the operator's
//! <topic>-<n>.<digits>-delete   found at start ──▶ gone, unless the metadata says that it lies there
//! <topic>-<n>.<digits>-future   found at start: its move goes on, see `moves`
//!                               not wanted any more ──rename──▶ -delete ──▶ gone
//! ```
//!
//! One that is kept tells a start at which a log directory is missing that the partition is not new: it was on
//! its way here, and lies where it was. It goes with the first start to which the metadata says so.
//!
//! A rename is durable before anything relies on it: before a topic of the same name is opened. One that fails for
//! want of room or handles is tried again; until it is done the next partition of the name is made elsewhere.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use dohle_base::{BrokerId, PartitionId, Str, Timestamp, TopicId, Uuid};
use dohle_log::{
    DirRole, Disk, IoError, PartitionDir,
    checkpoint::SideFileError,
    disk::DirEntry,
    partition_metadata::{self, Owner},
};
use dohle_metadata::{MetadataImage, Topic};
use tracing::{info, warn};

use crate::{Broker, disk::System, log_dirs::LogDir, partition::Partition, retention::DeletedDir};

#[cfg(test)]
mod tests;

/// Says whose a directory is.
const OWNER: &str = partition_metadata::FILE_NAME;
/// How the names of files with batches end.
const LOG: &str = ".log";
/// The directory of the metadata log, which is none of a partition that is served here.
const METADATA_LOG: &str = "__cluster_metadata";

/// Takes the directory of a partition that is gone out of the way, and has it removed in a while. If it keeps its
/// name that is tried again.
pub(crate) fn clear(broker: &Broker, dir: &Arc<LogDir>, topic: &Str, index: PartitionId) {
    let delay = broker.settings().long("log.segment.delete.delay.ms");
    let due = Timestamp(broker.clock.wall().0.saturating_add(delay));
    if let Err(error) = remove(broker, dir, (topic, index), due) {
        warn!(%topic, %index, dir = %dir.path.display(), "its directory keeps its name for now: {error}");
        dir.leave_in_the_way((topic.clone(), index), due);
    }
}

/// Tries that again with all that keep their names.
pub(crate) fn clear_all_left(broker: &Broker, dir: &Arc<LogDir>) {
    if dir.has_failed() {
        return; // The next start finds them.
    }
    let mut left = dir.in_the_way();
    left.retain(|(topic, index), due| remove(broker, dir, (topic, *index), *due).is_err());
    if !left.is_empty() {
        dir.upkeep().try_again();
    }
}

/// The same with what a partition of this name has left, if anything.
///
/// # Errors
/// It is in the way.
pub(crate) fn clear_left(
    broker: &Broker,
    dir: &Arc<LogDir>,
    topic: &Str,
    index: PartitionId,
) -> Result<(), IoError> {
    let (mut left, key) = (dir.in_the_way(), (topic.clone(), index));
    if let Some(due) = left.get(&key) {
        remove(broker, dir, (topic, index), *due)?;
        left.remove(&key);
    }
    Ok(())
}

/// Whether nothing in a directory is in the way of a new partition: what is another topic's is set aside.
pub(crate) fn make_way(
    broker: &Broker,
    dir: &Arc<LogDir>,
    topic: &Topic,
    index: PartitionId,
) -> bool {
    if clear_left(broker, dir, &topic.name, index).is_err() {
        return false;
    }
    let current = PartitionDir::current(&topic.name, index);
    let name = current.name(Uuid::ZERO);
    let owner = partition_metadata::read(dir.disk(), &dir.path.join(&name)).ok().flatten();
    if owner.is_none_or(|owner| owner == topic.id) {
        return true;
    }
    let set = set_stray(dir, &name, current, "it is a former topic's", broker.random_id());
    if let Err(error) = &set {
        warn!(dir = %dir.path.display(), "{name} is in the way of a new partition: {error}");
        dir.judge(error);
    }
    set.is_ok()
}

/// Takes the directory of a partition out of the way, if it is there, and has it removed.
fn remove(
    broker: &Broker,
    dir: &Arc<LogDir>,
    (topic, index): (&Str, PartitionId),
    due: Timestamp,
) -> Result<(), IoError> {
    match delete(dir, topic, index, broker.random_id(), due) {
        Ok(deleted) => broker.retention.remove(deleted),
        Err(error) => {
            dir.judge(&error);
            if !error.is_not_found() {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Takes the directory of a partition out of the way; says what is to be removed at `due`.
pub(crate) fn delete(
    dir: &Arc<LogDir>,
    topic: &Str,
    index: PartitionId,
    unique: Uuid,
    due: Timestamp,
) -> Result<DeletedDir, IoError> {
    let current = PartitionDir::current(topic, index);
    let path = dir.path.join(current.name(unique));
    dir.drop_note(&path);
    let path = set_deleted(dir, &path, current, unique)?;
    Ok(DeletedDir { dir: Arc::clone(dir), path, due })
}

/// The same of a copy of a partition.
pub(crate) fn delete_copy(
    dir: &Arc<LogDir>,
    path: &Path,
    partition: &Partition,
    unique: Uuid,
    due: Timestamp,
) -> Result<DeletedDir, IoError> {
    let current = PartitionDir::current(partition.topic(), partition.index());
    let path = set_deleted(dir, path, current, unique)?;
    Ok(DeletedDir { dir: Arc::clone(dir), path, due })
}

/// Puts a partition's directory aside for the operator.
pub(crate) fn set_stray(
    dir: &LogDir,
    name: &str,
    found: PartitionDir,
    why: &str,
    unique: Uuid,
) -> Result<(), IoError> {
    let was = dir.path.join(name);
    let stray = rename(dir, &was, found, DirRole::Stray, unique)?;
    dir.disk().sync_dir(&dir.path)?;
    warn!(
        dir = %was.display(),
        "{why}: it is not served, and is now called {}", stray.display()
    );
    Ok(())
}

/// Puts a copy in the place of the partition that it is a copy of.
pub(crate) fn promote(dir: &LogDir, future: &FutureDir) -> Result<(), IoError> {
    let FutureDir { path, found, .. } = future;
    let current = PartitionDir::current(&found.topic, found.partition).name(Uuid::ZERO);
    dir.disk().rename(path, &dir.path.join(current))?;
    dir.disk().sync_dir(&dir.path)?;
    info!(dir = %path.display(), "the partition that it is a copy of is gone: it takes its place");
    Ok(())
}

/// Gives the directory of a partition that is gone another name; says which. It has that even if it cannot be
/// made durable.
fn set_deleted(
    dir: &LogDir,
    was: &Path,
    found: PartitionDir,
    unique: Uuid,
) -> Result<PathBuf, IoError> {
    let path = rename(dir, was, found, DirRole::Deleted, unique)?;
    if let Err(error) = dir.disk().sync_dir(&dir.path) {
        warn!(dir = %path.display(), "a power cut may give it its old name back: {error}");
        dir.judge(&error);
    }
    Ok(path)
}

/// Renames the directory of a partition; says to what.
fn rename(
    dir: &LogDir,
    was: &Path,
    found: PartitionDir,
    role: DirRole,
    unique: Uuid,
) -> Result<PathBuf, IoError> {
    let path = dir.path.join(PartitionDir { role, ..found }.name(unique));
    dir.disk().rename(was, &path)?;
    Ok(path)
}

/// A copy of a partition whose move was cut short.
#[derive(Debug)]
pub(crate) struct FutureDir {
    pub(crate) dir: Arc<LogDir>,
    pub(crate) path: PathBuf,
    pub(crate) found: PartitionDir,
}

/// What is found in a log directory at start beside the partitions that are served.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    pub(crate) deleted: Vec<DeletedDir>,
    pub(crate) futures: Vec<FutureDir>,
}

/// Looks through a log directory at start.
///
/// # Errors
/// The directory cannot be read or changed.
pub(crate) fn sort_out(
    broker: &Broker,
    dir: &Arc<LogDir>,
    image: &MetadataImage,
    left: &mut Leftovers,
) -> Result<(), IoError> {
    for entry in dir.disk().list(&dir.path)?.into_iter().filter(|entry| entry.is_dir) {
        // Others may keep something here, too: `lost+found` for one.
        let Ok(found) = PartitionDir::parse(&entry.name) else { continue };
        let path = dir.path.join(&entry.name);
        match found.role {
            DirRole::Deleted => {
                forget_former(dir, &path, &found, image);
                if !is_all_there_is(dir, &path, &found, image, broker.node_id) {
                    left.deleted.push(DeletedDir { dir: Arc::clone(dir), path, due: Timestamp(0) });
                }
            }
            DirRole::Stray => {
                warn!(dir = %path.display(), "holds a partition that is not served; left alone");
            }
            DirRole::Current if found.topic == METADATA_LOG => {}
            DirRole::Current | DirRole::Future => {
                if let Some(why) = why_stray(dir, &path, &found, image, broker.node_id) {
                    if may_be_told(dir, &found, image) {
                        forget_stray(dir, &found, image)?;
                    }
                    set_stray(dir, &entry.name, found, &why, broker.random_id())?;
                } else if found.role == DirRole::Future {
                    left.futures.push(FutureDir { dir: Arc::clone(dir), path, found });
                }
            }
        }
    }
    Ok(())
}

/// If a directory is that of another topic than the one which has its name now, what the checkpoints say of the
/// name is of that, for a crash may have come before they were written anew. Of a name that was cut short, each
/// that begins so.
fn forget_former(dir: &LogDir, path: &Path, found: &PartitionDir, image: &MetadataImage) {
    let Some(written) = partition_metadata::read(dir.disk(), path).ok().flatten() else { return };
    let may_be_meant = |topic: &&Arc<Topic>| found.may_be_of(&topic.name);
    let named: Vec<_> = match found.may_be_cut() {
        // What was closed cleanly has its checkpoints, and they speak of those that are there.
        true if dir.was_left_clean() => return,
        true => image.topics.iter().filter(may_be_meant).collect(),
        false => image.topics.named(&found.topic).into_iter().collect(),
    };
    for topic in named.into_iter().filter(|topic| topic.id != written) {
        if !is_noted(dir, topic, found.partition) {
            dir.forget(&topic.name, found.partition);
        }
    }
}

/// Whether a topic's partition says durably whose it is. Before any of its name was made, the checkpoints of all
/// directories that told of a former one were written anew, or that was struck out of them; where neither could be
/// done an error was told. One that cannot be read is reported when the partition is opened.
fn is_noted(dir: &LogDir, topic: &Topic, index: PartitionId) -> bool {
    let current = PartitionDir::current(&topic.name, index).name(Uuid::ZERO);
    let owner = partition_metadata::read_owner(dir.disk(), &dir.path.join(current));
    let is_theirs = |owner: Owner| owner.is_durable && owner.topic == topic.id;
    owner.map_or(true, |owner| owner.is_some_and(is_theirs))
}

/// Whether what the checkpoints say of its name may be of a partition that is about to be set aside.
fn may_be_told(dir: &LogDir, found: &PartitionDir, image: &MetadataImage) -> bool {
    match (found.role, image.topics.named(&found.topic)) {
        // Who stopped cleanly had given a former topic's another name: there the file is damaged, and the
        // partition is not to be served as an empty one.
        _ if dir.was_left_clean() => false,
        // Of a copy the recovery point is noted before it is in place.
        (DirRole::Future, Some(named)) => !is_noted(dir, named, found.partition),
        _ => true,
    }
}

/// What the checkpoints say of a partition that is about to be set aside is not of one that has its name. Durably,
/// before it is: no later start would know.
fn forget_stray(dir: &LogDir, found: &PartitionDir, image: &MetadataImage) -> Result<(), IoError> {
    let key = (found.topic.clone(), found.partition);
    dir.forget(&key.0, key.1);
    match image.topics.named(&found.topic) {
        Some(_) => dir.strike_out(&[key].into()),
        None => Ok(()),
    }
}

/// Whether a directory has nothing of a partition that the metadata says to be there but what was to be removed.
/// One that cannot be read may be that.
fn is_all_there_is(
    dir: &LogDir,
    path: &Path,
    found: &PartitionDir,
    image: &MetadataImage,
    node_id: BrokerId,
) -> bool {
    let written = match partition_metadata::read(dir.disk(), path) {
        Ok(Some(written)) => written,
        Err(SideFileError::Io(_)) => return true,
        Ok(None) | Err(SideFileError::Malformed { .. }) => return false,
    };
    let Some(topic) = image.topics.get(written).filter(|topic| found.may_be_of(&topic.name)) else {
        return false;
    };
    let partition = topic.partitions.get(&found.partition);
    let assigned = partition.and_then(|partition| partition.directory(node_id));
    let current = PartitionDir::current(&topic.name, found.partition).name(Uuid::ZERO);
    assigned == Some(dir.id) && !dir.disk().has_dir(&dir.path.join(current))
}

/// Whether a partition's directory that does not say whose it is may be that of a former topic: a power cut has taken
/// that, and left batches. Nothing in it was ever flushed then, so all that the topic of its name had acknowledged
/// is in the write-ahead log, and its log is made anew from that.
fn is_nobodys(dir: &LogDir, path: &Path, found: &PartitionDir) -> bool {
    let has_bytes = |entry: &DirEntry| {
        entry.name.ends_with(LOG) && dir.disk().size_of(&path.join(&entry.name)) != Ok(0)
    };
    may_be_nobodys(dir, found)
        && dir.disk().list(path).is_ok_and(|entries| entries.iter().any(has_bytes))
}

/// Whether a power cut may have taken what a directory says of whose it is. It is synced with the first flush of the
/// batches: where something was flushed it is damaged, or somebody has removed it.
fn may_be_nobodys(dir: &LogDir, found: &PartitionDir) -> bool {
    dir.has_lost_cache() && !dir.may_have_flushed(&found.topic, found.partition)
}

/// Why a partition that is found in a directory is none of this node's.
fn why_stray(
    dir: &LogDir,
    path: &Path,
    found: &PartitionDir,
    image: &MetadataImage,
    node_id: BrokerId,
) -> Option<String> {
    // One that cannot be read is reported when the partition is opened.
    let written = match partition_metadata::read(dir.disk(), path) {
        Err(SideFileError::Io(_)) => return None,
        // That is refused then, if there was anything durable.
        Err(SideFileError::Malformed { .. }) if !may_be_nobodys(dir, found) => return None,
        written => written.ok().flatten(),
    };
    if written.is_none() && found.role == DirRole::Current && is_nobodys(dir, path, found) {
        return Some(format!("a power cut has left it without a topic id in {OWNER}"));
    }
    let named = image.topics.named(&found.topic);
    let id = written.or_else(|| named.map(|topic| topic.id)).unwrap_or(TopicId::ZERO);
    let topic = image.topics.get(id).filter(|topic| topic.name == found.topic);
    match (topic.and_then(|topic| topic.partitions.get(&found.partition)), written, named) {
        // The topic was made again while this node did not look, or the file is damaged.
        (None, Some(id), Some(named)) if id != named.id => Some(format!(
            "{} line 2: the topic id is {id}, expected {}, which {} has in the metadata",
            path.join(OWNER).display(),
            named.id,
            named.name
        )),
        (None, Some(id), _) => Some(format!("the metadata has no such partition of a topic {id}")),
        (None, None, _) => Some("the metadata has no such partition".to_owned()),
        (Some(partition), ..) if !partition.replicas.contains(&node_id) => {
            Some("the partition has no replica on this node".to_owned())
        }
        (Some(_), ..) => None,
    }
}
