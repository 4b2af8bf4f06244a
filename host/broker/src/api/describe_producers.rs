//! DescribeProducers (61): the producers that a partition remembers.
//!
//! Authorises: Read on the topics.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Offset, PartitionId};
use dohle_protocol::api::{
    describe_producers_request::DescribeProducersRequest,
    describe_producers_response::{
        DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
    },
};

use super::{Answer, Call, Endpoint};
use crate::metadata::Published;

pub(crate) struct DescribeProducers;

impl Endpoint for DescribeProducers {
    type Request = DescribeProducersRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn handle(
        call: Call<'_>,
        request: DescribeProducersRequest,
    ) -> Answer<DescribeProducersResponse> {
        let published = call.broker.metadata();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                match producers(call, &published, &topic.name, *index) {
                    Ok(active_producers) => PartitionResponse {
                        partition_index: *index,
                        active_producers,
                        ..PartitionResponse::default()
                    },
                    Err(error_code) => PartitionResponse {
                        partition_index: *index,
                        error_code,
                        error_message: Some(format!("not served here: {error_code}").into()),
                        ..PartitionResponse::default()
                    },
                }
            });
            TopicResponse { name: topic.name.clone(), partitions: partitions.collect() }
        });
        let topics = topics.collect();
        Answer::now(DescribeProducersResponse { topics, ..DescribeProducersResponse::default() })
    }
}

fn producers(
    call: Call<'_>,
    published: &Published,
    topic: &str,
    index: PartitionId,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let partition = call.broker.led(published, topic, index)?;
    let now = call.broker.clock.now().wall;
    partition.with_leader(|leader| {
        leader.log_mut().expire_producers(now);
        let producers = leader.log().producers().map(|producer| ProducerState {
            producer_id: producer.id,
            producer_epoch: i32::from(producer.epoch.0),
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp.0,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.transaction_start.unwrap_or(Offset(-1)),
        });
        producers.collect()
    })
}
