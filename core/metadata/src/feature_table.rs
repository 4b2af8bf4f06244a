//! The features that a cluster agrees on, with the ranges that this software can serve.
//!
//! Only what is built is supported: a level that nothing implements would be a promise. A log in
//! which Kafka finalised more is opened all the same, and nothing of it is lost.
//! Source: interop facts 0.3.

use crate::MetadataVersion;

/// The feature that versions the records themselves.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature that versions the quorum; it is finalised in control records.
pub const KRAFT_VERSION: &str = "kraft.version";
/// The feature of transactions.
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// The feature of consumer groups (KIP-848).
pub const GROUP_VERSION: &str = "group.version";
/// The feature of eligible leader replicas (KIP-966).
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
/// The feature of share groups (KIP-932).
pub const SHARE_VERSION: &str = "share.version";
/// The feature of streams groups (KIP-1071).
pub const STREAMS_VERSION: &str = "streams.version";

/// A feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level that is supported.
    pub min: i16,
    /// The highest level that is supported, inclusive.
    pub max: i16,
    /// The highest level that Kafka 4.4.0 supports; a node that does not say so cannot be in a
    /// cluster that finalised it.
    pub kafka_max: i16,
    /// Each level above 0 with the metadata.version from which on Kafka formats with it.
    pub defaults: &'static [(i16, MetadataVersion)],
    /// Each level with the metadata.version that it needs.
    pub needs: &'static [(i16, MetadataVersion)],
}

/// All features, by name.
pub const FEATURES: [Feature; 7] = [
    Feature {
        name: ELR_VERSION,
        min: 0,
        max: 1,
        kafka_max: 1,
        defaults: &[(1, MetadataVersion(26))],
        needs: &[(1, MetadataVersion(23))],
    },
    Feature {
        name: GROUP_VERSION,
        min: 0,
        max: 0,
        kafka_max: 1,
        defaults: &[(1, MetadataVersion(22))],
        needs: &[],
    },
    Feature {
        name: KRAFT_VERSION,
        min: 0,
        max: dohle_raft::KRAFT_VERSION_MAX,
        kafka_max: 1,
        defaults: &[(1, MetadataVersion(21))],
        needs: &[],
    },
    Feature {
        name: METADATA_VERSION,
        min: MetadataVersion::MIN.0,
        max: MetadataVersion::LATEST.0,
        kafka_max: 33,
        defaults: &[],
        needs: &[],
    },
    Feature {
        name: SHARE_VERSION,
        min: 0,
        max: 0,
        kafka_max: 2,
        defaults: &[(1, MetadataVersion(28)), (2, MetadataVersion(31))],
        needs: &[],
    },
    Feature {
        name: STREAMS_VERSION,
        min: 0,
        max: 0,
        kafka_max: 1,
        defaults: &[(1, MetadataVersion(29))],
        needs: &[],
    },
    Feature {
        name: TRANSACTION_VERSION,
        min: 0,
        max: 0,
        kafka_max: 2,
        defaults: &[(2, MetadataVersion(24))],
        needs: &[],
    },
];

/// The feature of this name.
pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// What ApiVersions answers and nodes register: the features with their supported ranges.
pub fn supported_features() -> impl Iterator<Item = &'static Feature> {
    FEATURES.iter()
}

impl Feature {
    /// The level with which a cluster at `release` is formatted: Kafka's, as far as it is supported.
    pub fn default_level(&self, release: MetadataVersion) -> i16 {
        let reached =
            self.defaults.iter().filter(|(level, at)| release >= *at && *level <= self.max);
        reached.map(|(level, _)| *level).max().unwrap_or(0)
    }

    /// The metadata.version that `level` needs.
    pub fn needed_metadata_version(&self, level: i16) -> Option<MetadataVersion> {
        let needs = self.needs.iter().filter(|(needing, _)| *needing <= level);
        needs.map(|(_, version)| *version).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_kafkas_where_they_are_built() {
        let level = |name, release| feature(name).unwrap().default_level(MetadataVersion(release));
        assert_eq!(
            (level(ELR_VERSION, 25), level(ELR_VERSION, 26), level(ELR_VERSION, 33)),
            (0, 1, 1)
        );
        assert_eq!((level(KRAFT_VERSION, 20), level(KRAFT_VERSION, 21)), (0, 1));
        for name in [GROUP_VERSION, TRANSACTION_VERSION, SHARE_VERSION, STREAMS_VERSION] {
            let feature = feature(name).unwrap();
            let at_latest = feature.default_level(MetadataVersion::LATEST);
            assert!(at_latest <= feature.max, "{name} is not promised beyond what is built");
        }
    }

    #[test]
    fn the_table_is_in_order_and_within_kafkas() {
        assert!(FEATURES.is_sorted_by_key(|feature| feature.name));
        for feature in FEATURES {
            assert!(feature.min <= feature.max && feature.max <= feature.kafka_max, "{feature:?}");
        }
    }
}
