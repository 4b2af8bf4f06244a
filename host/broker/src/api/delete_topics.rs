//! DeleteTopics (20): removes topics.
//!
//! Versions: up to 5 by name, 6 by name or id. The controller decides.
//! Authorises: Delete on each topic.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Str, TopicId};
use dohle_controller::{ApiError, Reply, Request};
use dohle_protocol::api::{
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
    delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse},
};

use super::{Answer, Call, Endpoint, Refusal};

/// From here on topics are named one by one, by name or id.
const TOPIC_ID_VERSION: i16 = 6;

pub(crate) struct DeleteTopics;

impl Endpoint for DeleteTopics {
    type Request = DeleteTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=6;

    fn handle(call: Call<'_>, mut request: DeleteTopicsRequest) -> Answer<DeleteTopicsResponse> {
        if call.version < TOPIC_ID_VERSION {
            let names = std::mem::take(&mut request.topic_names).into_iter();
            let topics =
                names.map(|name| DeleteTopicState { name: Some(name), ..Default::default() });
            request.topics = topics.collect();
        }
        let asked: Vec<(Option<Str>, TopicId)> =
            request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)).collect();
        let refusal = |ApiError { code, message }: ApiError| {
            let responses = asked.into_iter().map(|(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code: code,
                error_message: message.clone(),
            });
            let responses = responses.collect();
            DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
        };
        if !call.broker.config.new_topics.can_delete {
            return Answer::now(refusal(ErrorCode::TOPIC_DELETION_DISABLED.into()));
        }
        call.ask_controller(Request::DeleteTopics(request), move |reply| match reply {
            Reply::DeleteTopics(response) => Ok(response),
            reply => reply.refused(refusal),
        })
    }
}
