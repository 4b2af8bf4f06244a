//! Configurations of topics, brokers, groups and other things.

use dohle_base::{BrokerId, Str};
use dohle_protocol::api::{
    describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource},
    describe_configs_response::{DescribeConfigsResponse, DescribeConfigsResult},
    incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    },
    incremental_alter_configs_response::IncrementalAlterConfigsResponse,
};

use crate::{Route, ServerError};

/// What kind of thing has configurations. Source: `ConfigResource` of Kafka 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResourceKind {
    /// A topic, by its name.
    Topic,
    /// A broker, by its number; without one, the default of all brokers.
    Broker,
    /// The loggers of a broker, by its number.
    BrokerLogger,
    /// A subscription to clients' metrics, by its name.
    ClientMetrics,
    /// A group, by its id.
    Group,
    /// A kind that this library does not know, by its number.
    Other(i8),
}

/// Something that has configurations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ConfigResourceKind,
    /// Its name.
    pub name: Str,
}

/// Where a value is from. Source: DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// Not told.
    Unknown,
    /// Set for this topic.
    DynamicTopic,
    /// Set for this broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicDefaultBroker,
    /// The broker's file.
    StaticBroker,
    /// Not set.
    Default,
    /// Set for the loggers of this broker.
    DynamicBrokerLogger,
    /// Set for this subscription to metrics.
    DynamicClientMetrics,
    /// Set for this group.
    DynamicGroup,
    /// A source that this library does not know, by its number.
    Other(i8),
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its key.
    pub name: Str,
    /// The value; none if it is secret or not set.
    pub value: Option<Str>,
    /// Where it is from.
    pub source: ConfigSource,
    /// Whether the value is secret.
    pub sensitive: bool,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// Its type by number, as DescribeConfigs has it; 0 if not told.
    pub value_type: i8,
    /// What it is for, if asked for.
    pub documentation: Option<Str>,
    /// Where else a value could come from, the one in force first, if asked for.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A value that is, or would be without the ones before it, in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// Its key.
    pub name: Str,
    /// The value.
    pub value: Option<Str>,
    /// Where it is from.
    pub source: ConfigSource,
}

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Set it.
    Set,
    /// Go back to what holds without it.
    Delete,
    /// Add elements to a list.
    Append,
    /// Take elements out of a list.
    Subtract,
}

/// A change of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfig {
    /// The key.
    pub name: Str,
    /// What to do.
    pub operation: ConfigOperation,
    /// With which value; none to delete.
    pub value: Option<Str>,
}

/// An outcome for each resource, in the order of the answer.
pub type ByResource<T> = Vec<(ConfigResource, Result<T, ServerError>)>;

/// What else to tell besides the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Where else values could come from.
    pub synonyms: bool,
    /// What keys are for.
    pub documentation: bool,
}

/// Asks for configurations: all of them, or those of the given keys.
pub fn describe(
    resources: &[ConfigResource],
    keys: Option<&[Str]>,
    detail: Detail,
) -> DescribeConfigsRequest {
    let resources = resources.iter().map(|resource| DescribeConfigsResource {
        resource_type: resource.kind.id(),
        resource_name: resource.name.clone(),
        configuration_keys: keys.map(<[Str]>::to_vec),
    });
    DescribeConfigsRequest {
        resources: resources.collect(),
        include_synonyms: detail.synonyms,
        include_documentation: detail.documentation,
    }
}

/// What they are.
pub fn described(answer: DescribeConfigsResponse) -> ByResource<Vec<ConfigEntry>> {
    let outcomes = answer.results.into_iter().map(|result| {
        let resource = ConfigResource::of(result.resource_type, &result.resource_name);
        let checked = ServerError::check(result.error_code, result.error_message.as_ref());
        (resource, checked.map(|()| entries_of(result)))
    });
    outcomes.collect()
}

fn entries_of(result: DescribeConfigsResult) -> Vec<ConfigEntry> {
    let entries = result.configs.into_iter().map(|config| ConfigEntry {
        name: config.name,
        value: config.value,
        source: ConfigSource::of(config.config_source),
        sensitive: config.is_sensitive,
        read_only: config.read_only,
        value_type: config.config_type,
        documentation: config.documentation,
        synonyms: config
            .synonyms
            .into_iter()
            .map(|synonym| ConfigSynonym {
                name: synonym.name,
                value: synonym.value,
                source: ConfigSource::of(synonym.source),
            })
            .collect(),
    });
    entries.collect()
}

/// Changes values; the others stay. With `validate_only` it only says whether it could.
pub fn alter(
    changes: &[(ConfigResource, Vec<AlterConfig>)],
    validate_only: bool,
) -> IncrementalAlterConfigsRequest {
    let resources = changes.iter().map(|(resource, changes)| AlterConfigsResource {
        resource_type: resource.kind.id(),
        resource_name: resource.name.clone(),
        configs: changes
            .iter()
            .map(|change| AlterableConfig {
                name: change.name.clone(),
                config_operation: change.operation.id(),
                value: change.value.clone(),
            })
            .collect(),
    });
    IncrementalAlterConfigsRequest { resources: resources.collect(), validate_only }
}

/// What came of it.
pub fn altered(answer: IncrementalAlterConfigsResponse) -> ByResource<()> {
    let outcomes = answer.responses.into_iter().map(|result| {
        let resource = ConfigResource::of(result.resource_type, &result.resource_name);
        (resource, ServerError::check(result.error_code, result.error_message.as_ref()))
    });
    outcomes.collect()
}

/// Where a question about `resource` belongs: to the broker that it is about, or to any.
pub fn route(resource: &ConfigResource) -> Route {
    match resource.kind {
        ConfigResourceKind::Broker | ConfigResourceKind::BrokerLogger => {
            resource.name.parse().map_or(Route::Any, |id| Route::Broker(BrokerId(id)))
        }
        _ => Route::Any,
    }
}

impl ConfigResource {
    /// A topic's.
    pub fn topic(name: impl Into<Str>) -> Self {
        Self { kind: ConfigResourceKind::Topic, name: name.into() }
    }

    /// A broker's.
    pub fn broker(id: BrokerId) -> Self {
        let name = Str::from(id.0.to_string());
        Self { kind: ConfigResourceKind::Broker, name }
    }

    /// A group's.
    pub fn group(id: impl Into<Str>) -> Self {
        Self { kind: ConfigResourceKind::Group, name: id.into() }
    }

    fn of(kind: i8, name: &Str) -> Self {
        Self { kind: ConfigResourceKind::of(kind), name: name.clone() }
    }
}

impl ConfigResourceKind {
    const KNOWN: [(i8, Self); 5] = [
        (2, Self::Topic),
        (4, Self::Broker),
        (8, Self::BrokerLogger),
        (16, Self::ClientMetrics),
        (32, Self::Group),
    ];

    /// The kind of that number.
    pub fn of(id: i8) -> Self {
        let known = Self::KNOWN.iter().find(|(known, _)| *known == id);
        known.map_or(Self::Other(id), |(_, kind)| *kind)
    }

    /// Its number on the wire.
    pub fn id(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
            Self::Other(id) => id,
        }
    }
}

impl ConfigSource {
    fn of(id: i8) -> Self {
        match id {
            -1 | 0 => Self::Unknown,
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::DynamicClientMetrics,
            8 => Self::DynamicGroup,
            other => Self::Other(other),
        }
    }
}

impl ConfigOperation {
    fn id(self) -> i8 {
        match self {
            Self::Set => 0,
            Self::Delete => 1,
            Self::Append => 2,
            Self::Subtract => 3,
        }
    }
}

impl AlterConfig {
    /// Sets a value.
    pub fn set(name: impl Into<Str>, value: impl Into<Str>) -> Self {
        let (name, value) = (name.into(), Some(value.into()));
        Self { name, operation: ConfigOperation::Set, value }
    }

    /// Goes back to what holds without a value.
    pub fn delete(name: impl Into<Str>) -> Self {
        Self { name: name.into(), operation: ConfigOperation::Delete, value: None }
    }
}
