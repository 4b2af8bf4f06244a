//! All of the cluster's metadata at one offset.
//!
//! Clones share what they do not change, so an image can be handed to readers and kept while the
//! next is made.

use std::sync::Arc;

use dohle_base::{BrokerId, ProducerId, Str, Uuid};
use dohle_protocol::records::metadata::{
    access_control_entry_record::AccessControlEntryRecord,
    delegation_token_record::DelegationTokenRecord,
    user_scram_credential_record::UserScramCredentialRecord,
};
use imbl::OrdMap;

use crate::{
    Broker, ConfigResource, Configs, Controller, FeatureLevels, MetadataVersion, QuotaEntity,
    Topics,
};

/// Whose credential, for which mechanism (SCRAM-SHA-256 is 1, SCRAM-SHA-512 is 2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScramKey {
    /// The mechanism.
    pub mechanism: i8,
    /// The user.
    pub user: Str,
}

/// The cluster's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataImage {
    /// Finalised feature levels.
    pub features: FeatureLevels,
    /// Registered brokers, fenced ones too.
    pub brokers: OrdMap<BrokerId, Arc<Broker>>,
    /// Registered controllers.
    pub controllers: OrdMap<BrokerId, Arc<Controller>>,
    /// Topics and partitions.
    pub topics: Topics,
    /// Dynamic settings; resources without any are absent.
    pub configs: OrdMap<ConfigResource, Configs>,
    /// Client quotas; entities without any are absent.
    pub client_quotas: OrdMap<QuotaEntity, OrdMap<Str, f64>>,
    /// The first producer id that was not given out; none before the first block was.
    pub next_producer_id: Option<ProducerId>,
    /// Access control entries.
    pub acls: OrdMap<Uuid, Arc<AccessControlEntryRecord>>,
    /// SCRAM credentials.
    pub scram: OrdMap<ScramKey, Arc<UserScramCredentialRecord>>,
    /// Delegation tokens, by token id.
    pub delegation_tokens: OrdMap<Str, Arc<DelegationTokenRecord>>,
}

impl MetadataImage {
    /// The level at which records are written; the lowest before the log says.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.features.metadata_version().unwrap_or(MetadataVersion::MIN)
    }

    /// A registered broker.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// The dynamic settings of a resource; none if it has none.
    pub fn configs_of(&self, resource: &ConfigResource) -> Option<&Configs> {
        self.configs.get(resource)
    }

    /// One dynamic setting.
    pub fn config(&self, resource: &ConfigResource, name: &str) -> Option<&Str> {
        self.configs.get(resource)?.get(name)
    }
}
