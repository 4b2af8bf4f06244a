//! CreateTopics (19): new topics.
//!
//! Versions: 4 may leave partitions and replicas to the broker; 5 tells the topic's configuration; 7 its
//! id. The controller decides. Authorises: Create on the cluster or on each topic, DescribeConfigs for
//! the configuration that is told.

use std::ops::RangeInclusive;

use dohle_controller::{ApiError, Reply, Request};
use dohle_protocol::api::{
    create_topics_request::CreateTopicsRequest,
    create_topics_response::{CreatableTopicResult, CreateTopicsResponse},
};

use super::{Answer, Call, Endpoint, Refusal};

pub(crate) struct CreateTopics;

impl Endpoint for CreateTopics {
    type Request = CreateTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=7;

    fn handle(call: Call<'_>, request: CreateTopicsRequest) -> Answer<CreateTopicsResponse> {
        let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        call.ask_controller(Request::CreateTopics(request), move |reply| match reply {
            Reply::CreateTopics(response) => Ok(response),
            reply => reply.refused(|ApiError { code, message }| {
                let topics = names.into_iter().map(|name| CreatableTopicResult {
                    name,
                    error_code: code,
                    error_message: message.clone(),
                    ..CreatableTopicResult::default()
                });
                let topics = topics.collect();
                CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
            }),
        })
    }
}
