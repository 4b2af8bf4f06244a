//! The segments that a topic has had: a node that is cut down while it begins a new one.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Result;

/// All that were ever met, by partition and first offset.
#[derive(Default)]
pub(crate) struct Rolls {
    met: BTreeSet<(String, String)>,
}

impl Rolls {
    /// Looks which ones are there; says how many were met by now.
    pub(crate) fn count(&mut self, data: &[PathBuf], topic: &str) -> Result<usize> {
        let prefix = format!("{topic}-");
        for partition in data.iter().map(fs::read_dir).collect::<Result<Vec<_>, _>>()? {
            for partition in partition {
                let partition = partition?;
                let name = partition.file_name().to_string_lossy().into_owned();
                // A copy in another directory, and one that a move has left, are the same partition.
                let name = name.split('.').next().unwrap_or_default().to_owned();
                if !name.starts_with(&prefix) {
                    continue;
                }
                // It may have moved away since.
                let Ok(files) = fs::read_dir(partition.path()) else { continue };
                let files = files.flatten().map(|file| file.file_name());
                let files = files.map(|file| file.to_string_lossy().into_owned());
                let logs = files.filter(|file| file.ends_with(".log"));
                self.met.extend(logs.map(|log| (name.clone(), log)));
            }
        }
        Ok(self.met.len())
    }
}
