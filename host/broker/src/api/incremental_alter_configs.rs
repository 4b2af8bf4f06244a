//! IncrementalAlterConfigs (44): changes single settings of topics, brokers, groups.
//!
//! Settings of this broker are tried here first, then the controller decides. Levels of loggers are
//! not built. Authorises: AlterConfigs on each resource.

use std::ops::RangeInclusive;

use dohle_base::Str;
use dohle_controller::{ApiError, Reply, Request};
use dohle_protocol::api::{
    incremental_alter_configs_request::IncrementalAlterConfigsRequest,
    incremental_alter_configs_response::{
        AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
    },
};

use super::{Answer, Call, Endpoint, Refusal};

pub(crate) struct IncrementalAlterConfigs;

impl Endpoint for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn handle(
        call: Call<'_>,
        request: IncrementalAlterConfigsRequest,
    ) -> Answer<IncrementalAlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked: Vec<(i8, Str)> = resources
            .map(|resource| (resource.resource_type, resource.resource_name.clone()))
            .collect();
        call.ask_controller(Request::IncrementalAlterConfigs(request), move |reply| match reply {
            Reply::IncrementalAlterConfigs(response) => Ok(response),
            reply => reply.refused(|ApiError { code, message }| {
                let responses = asked.into_iter().map(|(resource_type, resource_name)| {
                    AlterConfigsResourceResponse {
                        error_code: code,
                        error_message: message.clone(),
                        resource_type,
                        resource_name,
                    }
                });
                let responses = responses.collect();
                IncrementalAlterConfigsResponse {
                    responses,
                    ..IncrementalAlterConfigsResponse::default()
                }
            }),
        })
    }
}
