//! The level that says which records may be written and what nodes say to one another.
//!
//! A table of names and of what each level switched on. Source: interop facts 0.3.

use std::fmt;

/// A level of `metadata.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(pub i16);

/// Level, name, and whether reaching it changed the format of records.
const LEVELS: [(i16, &str, bool); 28] = [
    (7, "3.3-IV3", true),
    (8, "3.4-IV0", true),
    (9, "3.5-IV0", false),
    (10, "3.5-IV1", false),
    (11, "3.5-IV2", true),
    (12, "3.6-IV0", false),
    (13, "3.6-IV1", true),
    (14, "3.6-IV2", true),
    (15, "3.7-IV0", true),
    (16, "3.7-IV1", false),
    (17, "3.7-IV2", true),
    (18, "3.7-IV3", false),
    (19, "3.7-IV4", false),
    (20, "3.8-IV0", false),
    (21, "3.9-IV0", false),
    (22, "4.0-IV0", false),
    (23, "4.0-IV1", true),
    (24, "4.0-IV2", false),
    (25, "4.0-IV3", false),
    (26, "4.1-IV0", false),
    (27, "4.1-IV1", false),
    (28, "4.2-IV0", false),
    (29, "4.2-IV1", false),
    (30, "4.3-IV0", true),
    (31, "4.4-IV0", false),
    (32, "4.4-IV1", true),
    (33, "4.4-IV2", true),
    (34, "4.5-IV0", false),
];

impl MetadataVersion {
    /// The lowest level of a cluster without ZooKeeper that can be opened.
    pub const MIN: Self = Self(7);
    /// The highest level that is supported, and the default: what Kafka 4.4.0 finalises.
    pub const LATEST: Self = Self(33);

    /// Whether this level can be opened and finalised.
    pub fn is_supported(self) -> bool {
        (Self::MIN..=Self::LATEST).contains(&self)
    }

    /// The name, such as `4.4-IV2`; none for a level that does not exist.
    pub fn name(self) -> Option<&'static str> {
        LEVELS.iter().find(|(level, ..)| *level == self.0).map(|(_, name, _)| *name)
    }

    /// Reads a name as `--release-version` takes it: `4.4-IV2`, or a release such as `4.4` or
    /// `4.4.0`, which means its last level.
    pub fn from_name(text: &str) -> Option<Self> {
        let exact = LEVELS.iter().find(|(_, name, _)| *name == text);
        let level = exact.or_else(|| {
            let mut numbers = text.split('.');
            let (major, minor) = (numbers.next()?, numbers.next()?);
            let patch_fits = numbers.next().is_none_or(|patch| patch.parse::<u16>().is_ok());
            let release = format!("{major}.{minor}-IV");
            let of_release = |name: &str| name.starts_with(&release);
            let last = LEVELS.iter().rev().find(|(_, name, _)| of_release(name));
            last.filter(|_| patch_fits && numbers.next().is_none())
        });
        level.map(|(level, ..)| Self(*level))
    }

    /// All levels that can be finalised, ascending.
    pub fn supported() -> impl Iterator<Item = Self> {
        (Self::MIN.0..=Self::LATEST.0).map(Self)
    }

    /// Whether going from here to `other` crosses a level that changed the format of records.
    pub fn changes_records_to(self, other: Self) -> bool {
        let (low, high) = (self.min(other).0, self.max(other).0);
        LEVELS.iter().any(|(level, _, changed)| *changed && *level > low && *level <= high)
    }

    /// SCRAM credentials may be stored.
    pub fn has_scram(self) -> bool {
        self.0 >= 11
    }

    /// A smaller ISR needs a new leader epoch.
    pub fn bumps_epoch_on_isr_shrink(self) -> bool {
        self.0 < 12
    }

    /// Batches may be bracketed as one transaction.
    pub fn has_transactions(self) -> bool {
        self.0 >= 13
    }

    /// Delegation tokens may be stored.
    pub fn has_delegation_tokens(self) -> bool {
        self.0 >= 14
    }

    /// Controllers register.
    pub fn has_controller_registration(self) -> bool {
        self.0 >= 15
    }

    /// Replicas are assigned to directories.
    pub fn has_directories(self) -> bool {
        self.0 >= 17
    }

    /// Partitions have eligible leader replicas.
    pub fn has_elr(self) -> bool {
        self.0 >= 23
    }

    /// Directories can be cordoned.
    pub fn has_cordoned_directories(self) -> bool {
        self.0 >= 30
    }

    /// Controllers can be unregistered.
    pub fn has_controller_unregistration(self) -> bool {
        self.0 >= 33
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "level {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        for (text, level) in [
            ("4.4-IV2", Some(33)),
            ("4.4", Some(33)),
            ("4.4.0", Some(33)),
            ("4.3.1", Some(30)),
            ("3.3", Some(7)),
            ("3.3-IV3", Some(7)),
            ("3.9", Some(21)),
            ("3.2", None),
            ("4", None),
            ("4.4.x", None),
            ("4.4.0.0", None),
            ("", None),
        ] {
            assert_eq!(MetadataVersion::from_name(text), level.map(MetadataVersion), "{text}");
        }
        assert_eq!(MetadataVersion(33).to_string(), "4.4-IV2");
    }

    #[test]
    fn a_downgrade_across_a_format_is_noticed() {
        let crosses = |a, b| MetadataVersion(a).changes_records_to(MetadataVersion(b));
        assert!(!crosses(29, 24) && !crosses(31, 30) && !crosses(20, 20));
        assert!(crosses(30, 29) && crosses(33, 32) && crosses(29, 30) && crosses(33, 7));
    }
}
