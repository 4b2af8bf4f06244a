//! AlterConfigs (33): replaces all settings of a resource; kept for old clients.
//!
//! Settings of this broker are tried here first, then the controller decides. Levels of loggers are
//! not built. Authorises: AlterConfigs on each resource.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Str};
use dohle_controller::{Reply, Request};
use dohle_protocol::api::{
    alter_configs_request::AlterConfigsRequest,
    alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse},
};

use super::{Answer, Call, Endpoint, Refusal, refuse_each};

pub(crate) struct AlterConfigs;

impl Endpoint for AlterConfigs {
    type Request = AlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn handle(call: Call<'_>, request: AlterConfigsRequest) -> Answer<AlterConfigsResponse> {
        let resources = request.resources.iter();
        let asked = resources.map(|asked| (asked.resource_type, asked.resource_name.clone()));
        let asked = asked.collect();
        call.ask_controller(Request::AlterConfigs(request), move |reply| match reply {
            Reply::AlterConfigs(response) => Ok(response),
            reply => reply.refused(|error| AlterConfigsResponse {
                responses: refuse_each(asked, error, refused),
                ..AlterConfigsResponse::default()
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
