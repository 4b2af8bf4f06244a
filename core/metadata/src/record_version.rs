//! Which version of a record is written: a function of metadata.version, never "the newest".

use dohle_protocol::records::metadata::broker_registration_change_record::BrokerRegistrationChangeRecord;

use crate::{MetadataRecord, MetadataVersion};

/// The version in which `record` is written at metadata.version `at`. Source: interop facts 0.3.
pub fn record_version(record: &MetadataRecord, at: MetadataVersion) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) if at.has_cordoned_directories() => 4,
        MetadataRecord::RegisterBroker(_) if at.has_directories() => 3,
        MetadataRecord::RegisterBroker(_) => {
            if at.0 >= 8 {
                2
            } else {
                1
            }
        }
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
            if at.has_elr() {
                2
            } else if at.has_directories() {
                1
            } else {
                0
            }
        }
        MetadataRecord::BrokerRegistrationChange(change) => registration_change_version(change),
        _ => 0,
    }
}

/// Not a function of metadata.version but of what changes.
fn registration_change_version(change: &BrokerRegistrationChangeRecord) -> i16 {
    if change.cordoned_log_dirs.is_some() {
        3
    } else if !change.log_dirs.is_empty() {
        2
    } else if change.in_controlled_shutdown != 0 {
        1
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
