//! Whom a client quota is for.

use std::collections::BTreeMap;

use dohle_base::Str;
use dohle_protocol::records::metadata::client_quota_record::{ClientQuotaRecord, EntityData};

/// A combination of user, client id or address; a part without a name stands for all that have no
/// quota of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaEntity(pub BTreeMap<Str, Option<Str>>);

impl QuotaEntity {
    pub(crate) fn from_record(record: &ClientQuotaRecord) -> Self {
        let parts = record.entity.iter();
        Self(parts.map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect())
    }

    /// As records have it.
    pub fn to_parts(&self) -> Vec<EntityData> {
        let parts = self.0.iter().map(|(entity_type, entity_name)| EntityData {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
        });
        parts.collect()
    }
}
