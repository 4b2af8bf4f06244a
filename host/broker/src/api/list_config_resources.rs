//! ListConfigResources (74): what has, or may have, a configuration.
//!
//! Versions: 0 lists subscriptions to client metrics only; 1 any types (KIP-1142).
//! Authorises: DescribeConfigs on the cluster.

use std::{collections::BTreeSet, ops::RangeInclusive};

use dohle_base::{ErrorCode, Str};
use dohle_config::Resource;
use dohle_protocol::api::{
    list_config_resources_request::ListConfigResourcesRequest,
    list_config_resources_response::{ConfigResource, ListConfigResourcesResponse},
};

use super::{Answer, Call, Endpoint};
use crate::metadata::Published;

pub(crate) struct ListConfigResources;

impl Endpoint for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn handle(
        call: Call<'_>,
        request: ListConfigResourcesRequest,
    ) -> Answer<ListConfigResourcesResponse> {
        let all = [
            Resource::Topic,
            Resource::Broker,
            Resource::BrokerLogger,
            Resource::ClientMetrics,
            Resource::Group,
        ];
        let wanted: Option<Vec<Resource>> = match &request.resource_types[..] {
            _ if call.version == 0 => Some(vec![Resource::ClientMetrics]),
            [] => Some(all.to_vec()),
            codes => codes.iter().map(|code| Resource::from_code(*code)).collect(),
        };
        let Some(wanted) = wanted else {
            return Answer::now(ListConfigResourcesResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION,
                ..ListConfigResourcesResponse::default()
            });
        };
        let published = call.broker.metadata();
        let resources = wanted.into_iter().flat_map(|resource| {
            names(&published, resource).into_iter().map(move |resource_name| ConfigResource {
                resource_name,
                resource_type: resource.code(),
            })
        });
        let config_resources = resources.collect();
        Answer::now(ListConfigResourcesResponse {
            config_resources,
            ..ListConfigResourcesResponse::default()
        })
    }
}

fn names(published: &Published, resource: Resource) -> BTreeSet<Str> {
    let image = &published.image;
    match resource {
        Resource::Topic => image.topics.iter().map(|topic| topic.name.clone()).collect(),
        Resource::Broker | Resource::BrokerLogger => {
            image.brokers.keys().map(|id| id.to_string().into()).collect()
        }
        Resource::ClientMetrics | Resource::Group => {
            let configured = image.configs.keys().filter(|r| r.resource() == Some(resource));
            configured.map(|resource| resource.name.clone()).collect()
        }
    }
}
