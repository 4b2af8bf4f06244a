//! More partitions for topics that exist.

use dohle_base::{ErrorCode, PartitionId, Rng};
use dohle_metadata::{MetadataRecord, Topic};
use dohle_protocol::api::{
    create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic},
    create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult},
};

use crate::controller::{Outcome, outcome};
use crate::repeated::repeated;
use crate::topics::USER_RECORDS_MAX;
use crate::{ApiError, Context, Controller, Reply};

impl Controller {
    pub(crate) fn create_partitions(
        &self,
        context: &Context,
        request: &CreatePartitionsRequest,
    ) -> Outcome {
        let mut rng = Rng::from_seed(context.seed);
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.topics.len());
        let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
        for topic in &request.topics {
            let grown = if repeated.contains(topic.name.as_str()) {
                Err(ApiError::new(ErrorCode::INVALID_REQUEST, "the topic is named twice"))
            } else {
                self.grow(topic, records.len(), &mut rng)
            };
            let error = match grown {
                Ok(more) => {
                    records.extend(more);
                    ErrorCode::NONE.into()
                }
                Err(error) => error,
            };
            results.push(CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: error.code,
                error_message: error.message,
            });
        }
        if request.validate_only {
            records.clear();
        }
        let response = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        outcome(context, records, Reply::CreatePartitions(response))
    }

    fn grow(
        &self,
        wanted: &CreatePartitionsTopic,
        records_so_far: usize,
        rng: &mut Rng,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let topic = self.image().topics.named(&wanted.name);
        let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let additional = additional(topic, wanted)?;
        if records_so_far.saturating_add(additional) > USER_RECORDS_MAX {
            let message = format!("the request leads to more than {USER_RECORDS_MAX} records");
            return Err(ApiError::new(ErrorCode::POLICY_VIOLATION, message));
        }
        let first = topic.partitions.len();
        let replicas = topic.partitions.values().next().map_or(1, |known| known.replicas.len());
        let number = |at: usize| PartitionId(i32::try_from(first + at).unwrap_or(i32::MAX));
        let partitions = match &wanted.assignments {
            None => self.place_new(additional, replicas, rng)?,
            Some(assignments) => {
                let assigned = assignments.iter().enumerate().map(|(at, assignment)| {
                    self.check_assignment(number(at), &assignment.broker_ids, Some(replicas))
                });
                assigned.collect::<Result<_, _>>()?
            }
        };
        let version = self.version();
        let records = partitions.iter().enumerate().map(|(at, partition)| {
            MetadataRecord::from(partition.to_record(topic.id, number(at), version))
        });
        Ok(records.collect())
    }
}

/// How many partitions are to be added, if the request makes sense.
fn additional(topic: &Topic, wanted: &CreatePartitionsTopic) -> Result<usize, ApiError> {
    let (count, existing) = (wanted.count, topic.partitions.len());
    let more = usize::try_from(count).ok().and_then(|count| count.checked_sub(existing));
    let more = match more {
        Some(0) => {
            let message = format!("the topic has {existing} partition(s) already");
            return Err(ApiError::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        None => {
            let message = format!("the topic has {existing} partition(s), {count} would be fewer");
            return Err(ApiError::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        Some(more) => more,
    };
    match &wanted.assignments {
        Some(assignments) if assignments.len() != more => {
            let given = assignments.len();
            let message = format!("{more} partition(s) are to be added, {given} are assigned");
            Err(ApiError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))
        }
        _ => Ok(more),
    }
}
