//! The cluster's metadata as values: what the records of `__cluster_metadata` make of it.
//!
//! * [`MetadataImage`] is the whole of it, persistent: a clone is cheap, and readers keep theirs
//!   while the next one is made.
//! * [`MetadataState`] applies records, and knows which are part of an open transaction.
//! * [`MetadataDelta`] tells what differs between two images, in the time of what differs.
//! * [`snapshot_records`] turns an image into the records that make it again.
//! * [`format`](mod@format) says what a directory holds before its first start.
//!
//! All kinds of records are kept faithfully, also those that nothing here uses yet: a log that Kafka
//! wrote is loaded, and its snapshots are written, without loss.
//!
//! Not here: who decides on records (core/controller), raft, files.

mod bootstrap;
mod brokers;
mod configs;
mod delta;
mod feature_table;
mod features;
pub mod format;
mod image;
mod meta_properties;
mod metadata_version;
mod partition;
mod quotas;
mod record_version;
mod replay;
mod snapshot;
mod state;
mod topic_name;
mod topics;

pub use bootstrap::{BadRecord, Bootstrap};
pub use brokers::{Broker, Controller, Listener, VersionRange};
pub use configs::{ConfigResource, Configs};
pub use delta::{MetadataDelta, PartitionDelta, TopicDelta};
pub use dohle_protocol::records::metadata::MetadataRecord;
pub use feature_table::{
    ELR_VERSION, FEATURES, Feature, GROUP_VERSION, KRAFT_VERSION, METADATA_VERSION, SHARE_VERSION,
    STREAMS_VERSION, TRANSACTION_VERSION, feature, supported_features,
};
pub use features::{FeatureLevels, UnsupportedLevel};
pub use image::{MetadataImage, ScramKey};
pub use meta_properties::{MetaProperties, MetaPropertiesError, Misfit, check_directories};
pub use metadata_version::MetadataVersion;
pub use partition::{LeaderRecovery, Partition};
pub use quotas::QuotaEntity;
pub use record_version::record_version;
pub use replay::ReplayError;
pub use snapshot::snapshot_records;
pub use state::MetadataState;
pub use topic_name::{TOPIC_NAME_MAX, TopicNameFault, check_topic_name};
pub use topics::{Topic, Topics};
