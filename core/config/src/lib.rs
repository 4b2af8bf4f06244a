//! Configuration: Kafka's keys as one table, and everything that follows from it.
//!
//! ```text
//! keys          the table: name, type, default, range, scope, sentence          (data)
//! properties    the file format; provider: ${env:…}, ${file:…}, ${dir:…}
//! settings      NodeSettings: default < file < all brokers < this broker
//! broker        BrokerConfig: typed, and checked across keys
//! topic         TopicConfig: typed, over the broker's values
//! alter         SET, DELETE, APPEND, SUBTRACT, and what may be set
//! describe      DescribeConfigs
//! reference     the page docs/reference/configuration.md
//! ```
//!
//! Nothing here reads a file or the environment; the host passes bytes in, and lends a
//! [`ProviderHost`] for values that stand elsewhere. Nothing here knows a message: answers are
//! plain structs that the handlers translate.

mod address;
pub mod alter;
mod broker;
mod check;
mod describe;
mod duration;
mod error;
mod key;
pub mod keys;
mod listener;
mod properties;
mod provider;
mod reference;
mod resource;
mod settings;
mod suggest;
mod topic;
mod unsupported;
mod valid;
mod value;

pub use address::{Address, Voter};
pub use broker::{
    BrokerConfig, FetchLimits, Groups, Listeners, LogUpkeep, MetadataLog, NewTopics, Offsets,
    Quorum, Roles, Sockets,
};
pub use describe::{ConfigSource, Described, SynonymValue, describe_client_metrics};
pub use error::{ConfigError, ConfigErrors, HIDDEN, Located};
pub use key::{ConfigKey, DefaultValue, Effect, Importance, Kind, Scope, Synonym, Visibility};
pub use listener::{Listener, SecurityProtocol};
pub use properties::{Properties, PropertiesError, Property, Repeated};
pub use provider::{NoProviders, ProviderHost};
pub use reference::reference_page;
pub use resource::Resource;
pub use settings::{NodeSettings, Origin, Resolved, Settings, Warning};
pub use topic::{
    CleanupPolicy, Compaction, Durability, ProduceValidation, ThrottledReplicas, Tiering,
    TimestampType, TopicCompression, TopicConfig,
};
pub use valid::Valid;
pub use value::Value;
