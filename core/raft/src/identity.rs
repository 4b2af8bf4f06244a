//! Who a replica of the metadata log is, and where it can be reached.

use dohle_base::{BrokerId, Str, Uuid};

/// A node together with the directory that holds its replica: a node whose disk was replaced is
/// another replica, one that has not voted yet. Source: KIP-853.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node.
    pub id: BrokerId,
    /// The directory; unknown where kraft.version is 0.
    pub directory_id: Option<Uuid>,
}

impl ReplicaKey {
    /// The replica of a node in a directory; the zero id stands for an unknown one.
    pub fn new(id: BrokerId, directory_id: Uuid) -> Self {
        Self { id, directory_id: (directory_id != Uuid::ZERO).then_some(directory_id) }
    }

    /// The directory as messages and files have it: zero if unknown.
    pub fn directory_or_zero(&self) -> Uuid {
        self.directory_id.unwrap_or(Uuid::ZERO)
    }
}

/// Where a replica listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name, such as `CONTROLLER`.
    pub listener: Str,
    /// The host, a name or an address.
    pub host: Str,
    /// The port.
    pub port: u16,
}
