//! The kinds of files in a log directory, and what damage is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use dohle_base::Rng;

use crate::volume::files;

/// What a run must hit, as `kind_of` calls it. Not here: `.lock`, which has no bytes.
pub(super) const KINDS: [&str; 23] = [
    ".index",
    ".kafka_cleanshutdown",
    ".log",
    ".snapshot",
    ".timeindex",
    ".txnindex",
    "__cluster_metadata .checkpoint",
    "__cluster_metadata .index",
    "__cluster_metadata .log",
    "__cluster_metadata .snapshot",
    "__cluster_metadata .timeindex",
    "__cluster_metadata leader-epoch-checkpoint",
    "__cluster_metadata partition.metadata",
    "__cluster_metadata quorum-state",
    "__consumer_offsets .log",
    "cleaner-offset-checkpoint",
    "dohle.wal",
    "leader-epoch-checkpoint",
    "log-start-offset-checkpoint",
    "meta.properties",
    "partition.metadata",
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
];

/// What kind a file is of: its name, or the end of it, with what is special about its topic.
fn kind_of(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_numbered = name.starts_with(|first: char| first.is_ascii_digit());
    let end = name.find('.').filter(|_| is_numbered).map_or(name, |dot| &name[dot..]);
    let dir = path.parent().and_then(Path::file_name).and_then(|dir| dir.to_str());
    let topic = dir.and_then(|dir| dir.rsplit_once('-')).map(|(topic, _)| topic);
    match topic {
        Some(topic @ "__cluster_metadata") => format!("{topic} {end}"),
        Some(topic @ "__consumer_offsets") if end == ".log" => format!("{topic} {end}"),
        _ => end.to_owned(),
    }
}

/// The files that have bytes, by kind.
pub(super) fn by_kind(data: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for path in files(data)? {
        if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            found.entry(kind_of(&path)).or_default().push(path);
        }
    }
    Ok(found)
}

/// What was done to a file.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    pub(super) path: PathBuf,
    how: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.how)
    }
}

/// Damages one of these files.
pub(super) fn damage(files: &[PathBuf], rng: &mut Rng) -> Result<Damage> {
    let path = files[rng.below(files.len() as u64) as usize].clone();
    let mut bytes = fs::read(&path)?;
    let before = bytes.clone();
    // What is there for the room it takes is zeros at the end: nobody reads them.
    let size = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let mut how = String::new();
    while bytes == before {
        let at = rng.below(size as u64) as usize;
        let end = at + 1 + rng.below((size - at).min(4096) as u64) as usize;
        how = match rng.below(5) {
            0 | 1 => {
                bytes[at] ^= 1 << rng.below(8);
                format!("a bit at {at}")
            }
            2 => {
                rng.fill(&mut bytes[at..end]);
                format!("random bytes from {at} to {end}")
            }
            3 => {
                bytes[at..end].fill(0);
                format!("zeros from {at} to {end}")
            }
            _ => {
                bytes.truncate(at);
                format!("cut at {at}")
            }
        };
    }
    fs::write(&path, bytes)?;
    Ok(Damage { path, how })
}

/// Whether all kinds are there that a run must hit; `.kafka_cleanshutdown` is there after a clean stop only.
pub(super) fn check_all_are_there(data: &Path) -> Result<()> {
    let found = by_kind(data)?;
    let missing: Vec<_> = KINDS.iter().filter(|kind| !found.contains_key(**kind)).collect();
    ensure!(missing.is_empty(), "vacuous: no file with bytes of the kinds {missing:?}");
    let unknown: Vec<_> = found.keys().filter(|kind| !KINDS.contains(&kind.as_str())).collect();
    ensure!(unknown.is_empty(), "kinds that nobody knows: {unknown:?}");
    let segments = found[".log"].len();
    ensure!(segments > 8, "vacuous: {segments} segments");
    Ok(())
}
