//! DescribeConfigs (32): every key of a resource, with value and origin.
//!
//! Versions: 1 tells sources and synonyms; 3 types and sentences. A broker is asked itself, topics and
//! groups can be asked anywhere. Levels of loggers are not built.
//! Authorises: DescribeConfigs on the topics and groups, or on the cluster.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Str};
use dohle_config::{Described, Resource, describe_client_metrics};
use dohle_controller::ApiError;
use dohle_metadata::ConfigResource;
use dohle_protocol::api::{
    describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource},
    describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
        DescribeConfigsSynonym,
    },
};

use super::{Answer, Call, Endpoint};
use crate::{metadata::Published, topic_config::settings_of, topic_names};

pub(crate) struct DescribeConfigs;

impl Endpoint for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=4;

    fn handle(call: Call<'_>, request: DescribeConfigsRequest) -> Answer<DescribeConfigsResponse> {
        let published = call.broker.metadata();
        let results = request.resources.iter().map(|asked| {
            let described = describe(call, &published, asked);
            result(asked, described, request.include_synonyms, request.include_documentation)
        });
        let results = results.collect();
        Answer::now(DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() })
    }
}

fn describe(
    call: Call<'_>,
    published: &Published,
    asked: &DescribeConfigsResource,
) -> Result<Vec<Described>, ApiError> {
    let name = &asked.resource_name;
    let resource = Resource::from_code(asked.resource_type).ok_or_else(|| {
        ApiError::new(ErrorCode::INVALID_REQUEST, "there is no such type of resource")
    })?;
    let node = call.broker.settings();
    let names = asked.configuration_keys.as_deref().unwrap_or_default();
    let settings = || {
        let resource = ConfigResource { resource_type: asked.resource_type, name: name.clone() };
        settings_of(&published.image, &resource)
    };
    let invalid = |error: dohle_config::ConfigError| {
        ApiError::new(ErrorCode::INVALID_CONFIG, error.to_string())
    };
    match resource {
        Resource::Topic if !topic_names::is_valid(name) => {
            Err(ApiError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, "no topic may have this name"))
        }
        Resource::Topic if published.image.topics.named(name).is_none() => {
            Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into())
        }
        Resource::Topic => node.describe_topic(&settings(), names).map_err(invalid),
        Resource::Broker if name.is_empty() => Ok(node.describe_all_brokers()),
        Resource::Broker if *name == *call.broker.node_id.to_string() => {
            Ok(node.describe_broker(names))
        }
        Resource::Broker | Resource::BrokerLogger => {
            let own = call.broker.node_id;
            let message =
                format!("this is broker {own}; a broker's configuration is asked of itself");
            Err(ApiError::new(ErrorCode::INVALID_REQUEST, message))
        }
        Resource::Group if name.is_empty() => {
            Err(ApiError::new(ErrorCode::INVALID_REQUEST, "a group has a name"))
        }
        Resource::Group => node.describe_group(&settings()).map_err(invalid),
        Resource::ClientMetrics if name.is_empty() => {
            Err(ApiError::new(ErrorCode::INVALID_REQUEST, "a subscription has a name"))
        }
        Resource::ClientMetrics => describe_client_metrics(&settings()).map_err(invalid),
    }
}

fn result(
    asked: &DescribeConfigsResource,
    described: Result<Vec<Described>, ApiError>,
    with_synonyms: bool,
    with_documentation: bool,
) -> DescribeConfigsResult {
    let is_wanted = |described: &Described| match &asked.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.contains(&described.name),
        _ => true,
    };
    let (configs, error) = match described {
        Ok(configs) => (configs, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let configs = configs.into_iter().filter(is_wanted);
    let (error_code, error_message) = match error {
        Some(ApiError { code, message }) => (code, Some(message.unwrap_or_default())),
        None => (ErrorCode::NONE, Some(Str::default())),
    };
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.clone(),
        configs: configs.map(|config| told(config, with_synonyms, with_documentation)).collect(),
    }
}

fn told(
    described: Described,
    with_synonyms: bool,
    with_documentation: bool,
) -> DescribeConfigsResourceResult {
    let config_type = described.kind_code();
    let synonyms = described.synonyms.into_iter().filter(|_| with_synonyms);
    DescribeConfigsResourceResult {
        name: described.name,
        value: described.value,
        read_only: described.read_only,
        config_source: described.source.code(),
        is_sensitive: described.sensitive,
        synonyms: synonyms
            .map(|synonym| DescribeConfigsSynonym {
                name: synonym.name,
                value: synonym.value,
                source: synonym.source.code(),
            })
            .collect(),
        config_type,
        documentation: described.doc.filter(|_| with_documentation).map(Str::from),
    }
}
