//! CreatePartitions (37): more partitions for topics.
//!
//! The controller decides. Authorises: Alter on each topic.

use std::ops::RangeInclusive;

use dohle_controller::{ApiError, Reply, Request};
use dohle_protocol::api::{
    create_partitions_request::CreatePartitionsRequest,
    create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult},
};

use super::{Answer, Call, Endpoint, Refusal};

pub(crate) struct CreatePartitions;

impl Endpoint for CreatePartitions {
    type Request = CreatePartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    fn handle(
        call: Call<'_>,
        request: CreatePartitionsRequest,
    ) -> Answer<CreatePartitionsResponse> {
        let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        call.ask_controller(Request::CreatePartitions(request), move |reply| match reply {
            Reply::CreatePartitions(response) => Ok(response),
            reply => reply.refused(|ApiError { code, message }| {
                let results = names.into_iter().map(|name| CreatePartitionsTopicResult {
                    name,
                    error_code: code,
                    error_message: message.clone(),
                });
                let results = results.collect();
                CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
            }),
        })
    }
}
