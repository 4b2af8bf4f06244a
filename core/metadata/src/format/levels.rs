//! Which levels a cluster is formatted with: `--release-version`, `--feature`, and the defaults that
//! follow from them.

use std::collections::BTreeMap;

use dohle_base::Str;

use crate::{FEATURES, KRAFT_VERSION, METADATA_VERSION, MetadataVersion, feature};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelsRequest {
    /// `--release-version`.
    pub release: Option<MetadataVersion>,
    /// `--feature name=level`, each.
    pub features: BTreeMap<Str, i16>,
    /// Whether the voters are kept in the log.
    pub dynamic_quorum: bool,
}

/// The level of every feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    release: MetadataVersion,
    levels: BTreeMap<&'static str, i16>,
}

/// Why a directory cannot be formatted as asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// metadata.version was asked for in two ways.
    #[error("give --release-version in the place of --feature {METADATA_VERSION}=…")]
    AmbiguousRelease,
    /// A level that does not exist or is not built.
    #[error("{name} {level} is not supported; supported are {min} to {max}")]
    UnsupportedLevel {
        /// The feature.
        name: &'static str,
        /// The level.
        level: i16,
        /// The lowest level.
        min: i16,
        /// The highest level.
        max: i16,
    },
    /// A feature that does not exist.
    #[error("unknown feature {name}")]
    UnknownFeature {
        /// The name.
        name: Str,
    },
    /// A level needs a higher release.
    #[error("{name} {level} needs metadata.version {needed} or later")]
    Dependency {
        /// The feature.
        name: &'static str,
        /// The level.
        level: i16,
        /// The release that it needs.
        needed: MetadataVersion,
    },
    /// Voters in the log need kraft.version 1.
    #[error("kraft.version 0 cannot keep voters in the log: leave out --feature {KRAFT_VERSION}")]
    DynamicNeedsKRaft,
    /// kraft.version 1 keeps the voters in the log.
    #[error(
        "{KRAFT_VERSION} {level} needs --standalone, --initial-controllers or --no-initial-controllers, and no controller.quorum.voters"
    )]
    StaticWithKRaft {
        /// The level that was asked for.
        level: i16,
    },
    /// Credentials came later.
    #[error("SCRAM needs metadata.version 3.5-IV2 or later, not {release}")]
    ScramNotSupported {
        /// The release.
        release: MetadataVersion,
    },
    /// A name or value exceeds what a record can hold.
    #[error("a name or value is too long for a record")]
    TooLong,
}

impl Levels {
    /// The levels that follow from what was asked for.
    ///
    /// # Errors
    /// What was asked for does not exist, is not built, or contradicts itself.
    pub fn choose(request: &LevelsRequest) -> Result<Self, FormatError> {
        let release = release(request)?;
        let mut levels = BTreeMap::new();
        for known in &FEATURES {
            let asked = request.features.get(known.name).copied();
            let level = match known.name {
                METADATA_VERSION => release.0,
                KRAFT_VERSION => kraft_version(asked, request.dynamic_quorum)?,
                _ => asked.unwrap_or_else(|| known.default_level(release)),
            };
            levels.insert(known.name, level);
        }
        if let Some(name) = request.features.keys().find(|name| feature(name).is_none()) {
            return Err(FormatError::UnknownFeature { name: name.clone() });
        }
        for known in &FEATURES {
            check(known.name, levels[known.name], release)?;
        }
        Ok(Self { release, levels })
    }

    /// The level of metadata.version.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.release
    }

    /// The level of a feature; 0 if there is no such feature.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// All features with their levels, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        self.levels.iter().map(|(name, level)| (*name, *level))
    }
}

fn release(request: &LevelsRequest) -> Result<MetadataVersion, FormatError> {
    let by_feature = request.features.get(METADATA_VERSION).copied().map(MetadataVersion);
    match (request.release, by_feature) {
        (Some(_), Some(_)) => Err(FormatError::AmbiguousRelease),
        (asked, by_feature) => Ok(asked.or(by_feature).unwrap_or(MetadataVersion::LATEST)),
    }
}

fn kraft_version(asked: Option<i16>, dynamic: bool) -> Result<i16, FormatError> {
    match (asked, dynamic) {
        (None, dynamic) => Ok(i16::from(dynamic)),
        (Some(0), true) => Err(FormatError::DynamicNeedsKRaft),
        (Some(level), false) if level > 0 => Err(FormatError::StaticWithKRaft { level }),
        (Some(level), _) => Ok(level),
    }
}

fn check(name: &'static str, level: i16, release: MetadataVersion) -> Result<(), FormatError> {
    let Some(known) = feature(name) else { return Ok(()) };
    if level < known.min || level > known.max {
        let (min, max) = (known.min, known.max);
        return Err(FormatError::UnsupportedLevel { name, level, min, max });
    }
    match known.needed_metadata_version(level) {
        Some(needed) if release < needed => Err(FormatError::Dependency { name, level, needed }),
        _ => Ok(()),
    }
}
