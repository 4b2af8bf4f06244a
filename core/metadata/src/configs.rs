//! What was configured dynamically, as text.

use dohle_base::{BrokerId, Str};
use dohle_config::Resource;
use imbl::OrdMap;

/// The settings of one resource.
pub type Configs = OrdMap<Str, Str>;

/// What has settings: its kind, as requests number it, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// The kind. Numbers that this software does not know are kept.
    pub resource_type: i8,
    /// The name; empty for the defaults of all brokers.
    pub name: Str,
}

impl ConfigResource {
    /// A resource of a known kind.
    pub fn new(resource: Resource, name: impl Into<Str>) -> Self {
        Self { resource_type: resource.code(), name: name.into() }
    }

    /// A topic.
    pub fn topic(name: impl Into<Str>) -> Self {
        Self::new(Resource::Topic, name)
    }

    /// One broker.
    pub fn broker(id: BrokerId) -> Self {
        Self::new(Resource::Broker, id.to_string())
    }

    /// The defaults of all brokers.
    pub fn all_brokers() -> Self {
        Self::new(Resource::Broker, "")
    }

    /// The kind, if it is known.
    pub fn resource(&self) -> Option<Resource> {
        Resource::from_code(self.resource_type)
    }
}
