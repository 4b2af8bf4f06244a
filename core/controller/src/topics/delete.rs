//! Topics that go, by name or by id.

use std::collections::BTreeSet;

use dohle_base::{ErrorCode, Str, TopicId};
use dohle_metadata::MetadataRecord;
use dohle_protocol::api::{
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
    delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse},
};
use dohle_protocol::records::metadata::remove_topic_record::RemoveTopicRecord;

use crate::controller::{Outcome, outcome};
use crate::topics::USER_RECORDS_MAX;
use crate::{ApiError, Context, Controller, Reply};

impl Controller {
    pub(crate) fn delete_topics(
        &self,
        context: &Context,
        request: &DeleteTopicsRequest,
    ) -> Outcome {
        let wanted = wanted(request);
        let mut records = Vec::new();
        let mut gone = BTreeSet::new();
        let mut responses = Vec::with_capacity(wanted.len());
        for state in &wanted {
            let found = self.find(state).and_then(|(name, id)| {
                if !self.node.boolean("delete.topic.enable") {
                    return Err(ErrorCode::TOPIC_DELETION_DISABLED.into());
                }
                if !gone.insert(id) {
                    let message = "the topic is named twice";
                    return Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
                }
                Ok((name, id))
            });
            responses.push(match found {
                Ok((name, topic_id)) => {
                    records.push(MetadataRecord::from(RemoveTopicRecord { topic_id }));
                    let name = Some(name);
                    DeletableTopicResult { name, topic_id, ..DeletableTopicResult::default() }
                }
                Err(error) => DeletableTopicResult {
                    name: state.name.clone(),
                    topic_id: state.topic_id,
                    error_code: error.code,
                    error_message: error.message,
                },
            });
        }
        if records.len() > USER_RECORDS_MAX {
            let message = format!("the request leads to more than {USER_RECORDS_MAX} records");
            records.clear();
            for response in &mut responses {
                response.error_code = ErrorCode::POLICY_VIOLATION;
                response.error_message = Some(message.as_str().into());
            }
        }
        let response = DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() };
        outcome(context, records, Reply::DeleteTopics(response))
    }

    fn find(&self, state: &DeleteTopicState) -> Result<(Str, TopicId), ApiError> {
        let topics = &self.image().topics;
        let invalid = |message| Err(ApiError::new(ErrorCode::INVALID_REQUEST, message));
        let unknown = |code| move || ApiError::new(code, "there is no such topic");
        let topic = match (&state.name, state.topic_id) {
            (None, TopicId::ZERO) => return invalid("a topic needs a name or an id"),
            (Some(name), TopicId::ZERO) => {
                topics.named(name).ok_or_else(unknown(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
            }
            (None, id) => topics.get(id).ok_or_else(unknown(ErrorCode::UNKNOWN_TOPIC_ID)),
            (Some(_), _) => {
                return invalid("a topic is meant by its name or by its id, not by both");
            }
        };
        let topic = topic?;
        Ok((topic.name.clone(), topic.id))
    }
}

/// What is to go, in the form of the newest version: older ones have names alone.
fn wanted(request: &DeleteTopicsRequest) -> Vec<DeleteTopicState> {
    let names = request
        .topic_names
        .iter()
        .map(|name| DeleteTopicState { name: Some(name.clone()), topic_id: TopicId::ZERO });
    request.topics.iter().cloned().chain(names).collect()
}
