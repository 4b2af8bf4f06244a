//! Groups of the newer protocols, as far as a coordinator that does not serve them must know: that
//! the name is taken, by which protocol, and whether anybody is in.
//!
//! Their records stay in the log untouched.

use std::collections::BTreeSet;

use dohle_base::Str;

/// A protocol other than the classic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
}

/// A group of a newer protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ModernGroup {
    /// The protocol.
    pub kind: GroupKind,
    /// Who is in it.
    pub members: BTreeSet<Str>,
}

impl GroupKind {
    /// The name in ListGroups.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
        }
    }
}

impl ModernGroup {
    /// The state of one with members.
    pub(crate) const UNKNOWN_STATE: &str = "Unknown";

    /// A group without members.
    pub fn new(kind: GroupKind) -> Self {
        Self { kind, members: BTreeSet::new() }
    }

    /// The state in ListGroups. With members, only the protocol itself could tell.
    pub fn state_name(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { Self::UNKNOWN_STATE }
    }
}
