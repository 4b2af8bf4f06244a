//! Integers that mean different things, as different types.
//!
//! All are transparent: `.0` is the value on the wire and on the disk.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

id! {
    /// The number of a node: one namespace for brokers and controllers. −1 means no node.
    BrokerId(i32)
}
id! {
    /// The number of a partition within its topic, from 0.
    PartitionId(i32)
}
id! {
    /// A record's place in its partition, from 0. Ends of ranges are exclusive unless named `last`.
    Offset(i64)
}
id! {
    /// How often the leadership of a partition has been given out. −1 means unknown.
    LeaderEpoch(i32)
}
id! {
    /// The identity of an idempotent or transactional producer. −1 means none.
    ProducerId(i64)
}
id! {
    /// How often a producer identity has been fenced. −1 means none.
    ProducerEpoch(i16)
}

impl BrokerId {
    /// No node.
    pub const NONE: Self = Self(-1);
}

impl LeaderEpoch {
    /// Unknown or not given.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// Not idempotent.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// Not idempotent.
    pub const NONE: Self = Self(-1);
}

impl Offset {
    /// The start of every partition that nothing was deleted from.
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further.
    ///
    /// # Panics
    /// When the sum leaves the range of an offset, which no log can reach.
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.checked_add(count).expect("an offset fits 63 bits"))
    }

    /// The offset behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }
}
