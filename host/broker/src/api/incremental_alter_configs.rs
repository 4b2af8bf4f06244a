//! IncrementalAlterConfigs (44): changes single settings of topics, brokers, groups.
//!
//! Settings of this broker are tried here first, then the controller decides. Levels of loggers are
//! not built. Authorises: AlterConfigs on each resource.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Str};
use dohle_controller::{Reply, Request};
use dohle_protocol::api::{
    incremental_alter_configs_request::IncrementalAlterConfigsRequest,
    incremental_alter_configs_response::{
        AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
    },
};

use super::{Answer, Call, Endpoint, Refusal, refuse_each};

pub(crate) struct IncrementalAlterConfigs;

impl Endpoint for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn handle(
        call: Call<'_>,
        request: IncrementalAlterConfigsRequest,
    ) -> Answer<IncrementalAlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked = resources.map(|asked| (asked.resource_type, asked.resource_name.clone()));
        let asked = asked.collect();
        call.ask_controller(Request::IncrementalAlterConfigs(request), move |reply| match reply {
            Reply::IncrementalAlterConfigs(response) => Ok(response),
            reply => reply.refused(|error| IncrementalAlterConfigsResponse {
                responses: refuse_each(asked, error, refused),
                ..IncrementalAlterConfigsResponse::default()
            }),
        })
    }
}

fn refused(
    error_code: ErrorCode,
    error_message: Option<Str>,
    resource_type: i8,
    resource_name: Str,
) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
}
