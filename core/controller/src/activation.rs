//! A controller becomes active: an empty log gets its first records, an open transaction is aborted,
//! and brokers that were alive get a fresh session. Source: interop C.2.

use dohle_config::Resource;
use dohle_metadata::{Bootstrap, ELR_VERSION, MetadataRecord};
use dohle_protocol::records::metadata::{
    abort_transaction_record::AbortTransactionRecord,
    begin_transaction_record::BeginTransactionRecord, config_record::ConfigRecord,
    end_transaction_record::EndTransactionRecord,
};

use crate::controller::{Outcome, outcome};
use crate::lookup::MIN_INSYNC_REPLICAS;
use crate::{Context, Controller, Reply, Soft};

impl Controller {
    pub(crate) fn activate(&self, context: &Context, bootstrap: &Bootstrap) -> Outcome {
        let mut records = Vec::new();
        if self.state.in_transaction() {
            let reason = Some("controller failover".into());
            records.push(AbortTransactionRecord { reason }.into());
        }
        let before = self.state.stable_image();
        if before.features.metadata_version().is_none() {
            records.extend(self.first_records(bootstrap));
        }
        let alive = before.brokers.values().filter(|broker| !broker.fenced);
        let touch = alive.map(|broker| Soft::Touch {
            id: broker.id,
            epoch: broker.epoch,
            metadata_offset: None,
        });
        Outcome { soft: touch.collect(), ..outcome(context, records, Reply::Activated) }
    }

    /// What an empty log begins with, as one transaction where there are transactions.
    fn first_records(&self, bootstrap: &Bootstrap) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let transactional = bootstrap.metadata_version().has_transactions();
        if transactional {
            let name = Some("Bootstrap records".into());
            records.push(BeginTransactionRecord { name }.into());
        }
        records.extend(bootstrap.records.iter().cloned());
        if bootstrap.level(ELR_VERSION).unwrap_or(0) > 0 {
            // The ELR needs one value for the whole cluster; from here on it is a dynamic setting.
            let record = ConfigRecord {
                resource_type: Resource::Broker.code(),
                resource_name: "".into(),
                name: MIN_INSYNC_REPLICAS.into(),
                value: Some(self.settings.node.int(MIN_INSYNC_REPLICAS).to_string().into()),
            };
            records.push(record.into());
        }
        if transactional {
            records.push(EndTransactionRecord::default().into());
        }
        records
    }
}
