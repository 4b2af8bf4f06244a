//! Brokers and controllers as they registered.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, Str, Uuid};
use dohle_protocol::records::metadata::{
    register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord},
    register_controller_record::{ControllerEndpoint, ControllerFeature, RegisterControllerRecord},
};

use crate::MetadataVersion;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name.
    pub name: Str,
    /// The advertised host.
    pub host: Str,
    /// The advertised port.
    pub port: u16,
    /// PLAINTEXT 0, SSL 1, SASL_PLAINTEXT 2, SASL_SSL 3.
    pub security_protocol: i16,
}

/// The levels of a feature that a node supports, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

impl VersionRange {
    /// Whether `level` is supported.
    pub fn contains(self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The node.
    pub id: BrokerId,
    /// The offset at which this incarnation registered.
    pub epoch: i64,
    /// Random, one for each start of the process.
    pub incarnation_id: Uuid,
    /// Where clients reach it.
    pub listeners: Vec<Listener>,
    /// What it supports.
    pub features: BTreeMap<Str, VersionRange>,
    /// The rack; none if it did not say.
    pub rack: Option<Str>,
    /// It gets no clients and no leadership.
    pub fenced: bool,
    /// It is giving up its leaderships to stop.
    pub in_controlled_shutdown: bool,
    /// Registered while a cluster moved away from ZooKeeper; kept as it was written.
    pub is_migrating_zk: bool,
    /// The ids of its log directories; empty below metadata.version 17.
    pub directories: Vec<Uuid>,
    /// Directories that take no new replicas; none if it never said.
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl Broker {
    /// Neither fenced nor shutting down: it may lead and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// The directory that a new replica is assigned to: the only one there is, undecided if there
    /// are several, unknown if it registered none. Source: interop C.4.
    pub fn default_directory(&self) -> Uuid {
        match self.directories[..] {
            [] => Uuid::MIGRATING_DIR,
            [only] => only,
            _ => Uuid::UNASSIGNED_DIR,
        }
    }

    /// Whether a replica in `directory` can be served: reserved ids stand for any directory but a
    /// lost one, and a broker that registered no directories is taken to have them all.
    pub fn has_online_directory(&self, directory: Uuid) -> bool {
        match directory {
            Uuid::UNASSIGNED_DIR | Uuid::MIGRATING_DIR => true,
            Uuid::LOST_DIR => false,
            directory => self.directories.is_empty() || self.directories.contains(&directory),
        }
    }

    /// Whether any directory takes new replicas.
    pub fn has_uncordoned_directory(&self) -> bool {
        match &self.cordoned_directories {
            Some(cordoned) if !self.directories.is_empty() => {
                self.directories.iter().any(|directory| !cordoned.contains(directory))
            }
            _ => true,
        }
    }

    pub(crate) fn from_record(record: &RegisterBrokerRecord) -> Self {
        let listeners = record.end_points.iter().map(|endpoint| Listener {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| {
            let range = VersionRange {
                min: feature.min_supported_version,
                max: feature.max_supported_version,
            };
            (feature.name.clone(), range)
        });
        Self {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            listeners: listeners.collect(),
            features: features.collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            is_migrating_zk: record.is_migrating_zk_broker,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        }
    }

    /// The record that makes this registration; what `version` cannot say is left out.
    pub fn to_record(&self, version: MetadataVersion) -> RegisterBrokerRecord {
        let end_points = self.listeners.iter().map(|listener| BrokerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = self.features.iter().map(|(name, range)| BrokerFeature {
            name: name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        });
        let directories = if version.has_directories() { &self.directories[..] } else { &[] };
        let cordoned = self.cordoned_directories.clone();
        RegisterBrokerRecord {
            broker_id: self.id,
            is_migrating_zk_broker: self.is_migrating_zk && version.0 >= 8,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: end_points.collect(),
            features: features.collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown && version.0 >= 8,
            log_dirs: directories.to_vec(),
            cordoned_log_dirs: cordoned.filter(|_| version.has_cordoned_directories()),
        }
    }
}

/// A registered controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The node.
    pub id: BrokerId,
    /// Random, one for each start of the process.
    pub incarnation_id: Uuid,
    /// Written by clusters that moved away from ZooKeeper; kept as it was written.
    pub zk_migration_ready: bool,
    /// Where brokers and controllers reach it.
    pub listeners: Vec<Listener>,
    /// What it supports.
    pub features: BTreeMap<Str, VersionRange>,
}

impl Controller {
    pub(crate) fn from_record(record: &RegisterControllerRecord) -> Self {
        let listeners = record.end_points.iter().map(|endpoint| Listener {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| {
            let range = VersionRange {
                min: feature.min_supported_version,
                max: feature.max_supported_version,
            };
            (feature.name.clone(), range)
        });
        Self {
            id: record.controller_id,
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            listeners: listeners.collect(),
            features: features.collect(),
        }
    }

    /// The record that makes this registration.
    pub fn to_record(&self) -> RegisterControllerRecord {
        let end_points = self.listeners.iter().map(|listener| ControllerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = self.features.iter().map(|(name, range)| ControllerFeature {
            name: name.clone(),
            min_supported_version: range.min,
            max_supported_version: range.max,
        });
        RegisterControllerRecord {
            controller_id: self.id,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: end_points.collect(),
            features: features.collect(),
        }
    }
}
