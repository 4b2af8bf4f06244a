//! AlterConfigs (33): replaces all settings of a resource; kept for old clients.
//!
//! Settings of this broker are tried here first, then the controller decides. Levels of loggers are
//! not built. Authorises: AlterConfigs on each resource.

use std::ops::RangeInclusive;

use dohle_base::Str;
use dohle_controller::{ApiError, Reply, Request};
use dohle_protocol::api::{
    alter_configs_request::AlterConfigsRequest,
    alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse},
};

use super::{Answer, Call, Endpoint, Refusal};

pub(crate) struct AlterConfigs;

impl Endpoint for AlterConfigs {
    type Request = AlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn handle(call: Call<'_>, request: AlterConfigsRequest) -> Answer<AlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked: Vec<(i8, Str)> = resources
            .map(|resource| (resource.resource_type, resource.resource_name.clone()))
            .collect();
        call.ask_controller(Request::AlterConfigs(request), move |reply| match reply {
            Reply::AlterConfigs(response) => Ok(response),
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
                AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
            }),
        })
    }
}
