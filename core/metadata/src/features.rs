//! The levels that the cluster has finalised.

use dohle_base::Str;
use imbl::OrdMap;

use crate::{ELR_VERSION, METADATA_VERSION, MetadataVersion, feature};

/// The finalised levels, but for kraft.version, which control records hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureLevels {
    metadata_version: Option<MetadataVersion>,
    levels: OrdMap<Str, i16>,
}

/// A finalised level that this software does not serve. The log is opened; what the feature is
/// about is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("feature {name} is finalised at {level}, supported is at most {max}")]
pub struct UnsupportedLevel {
    /// The feature.
    pub name: Str,
    /// The finalised level.
    pub level: i16,
    /// The highest level that is supported; 0 for an unknown feature.
    pub max: i16,
}

impl FeatureLevels {
    /// The level of `metadata.version`; none before the log's first records.
    pub fn metadata_version(&self) -> Option<MetadataVersion> {
        self.metadata_version
    }

    /// The level of a feature; 0 if it is not finalised.
    pub fn level(&self, name: &str) -> i16 {
        match self.metadata_version {
            Some(version) if name == METADATA_VERSION => version.0,
            _ => self.levels.get(name).copied().unwrap_or(0),
        }
    }

    /// Whether eligible leader replicas are maintained.
    pub fn elr_enabled(&self) -> bool {
        self.level(ELR_VERSION) >= 1
    }

    /// All finalised levels above 0, `metadata.version` first, then by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        let version = self.metadata_version.map(|version| (METADATA_VERSION, version.0));
        version.into_iter().chain(self.levels.iter().map(|(name, level)| (name.as_str(), *level)))
    }

    /// The finalised levels that this software does not serve.
    pub fn unsupported(&self) -> Vec<UnsupportedLevel> {
        let all = self.iter().map(|(name, level)| {
            let max = feature(name).map_or(0, |feature| feature.max);
            UnsupportedLevel { name: name.into(), level, max }
        });
        all.filter(|found| found.level > found.max).collect()
    }

    pub(crate) fn set_metadata_version(&mut self, version: MetadataVersion) {
        self.metadata_version = Some(version);
    }

    /// Level 0 takes the feature away.
    pub(crate) fn set(&mut self, name: Str, level: i16) {
        if level == 0 {
            self.levels.remove(&name);
        } else {
            self.levels.insert(name, level);
        }
    }
}
