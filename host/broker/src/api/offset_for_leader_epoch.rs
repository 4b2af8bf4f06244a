//! OffsetForLeaderEpoch (23): where a leader epoch ends, so that a client finds out whether it has read
//! what was lost (KIP-320).
//!
//! Authorises: Describe on the topics.

use std::ops::RangeInclusive;

use dohle_base::ErrorCode;
use dohle_log::EpochEnd;
use dohle_protocol::api::{
    offset_for_leader_epoch_request::{OffsetForLeaderEpochRequest, OffsetForLeaderPartition},
    offset_for_leader_epoch_response::{
        EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
    },
};

use super::{Answer, Call, Endpoint};
use crate::metadata::Published;

pub(crate) struct OffsetForLeaderEpoch;

impl Endpoint for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=4;

    fn handle(
        call: Call<'_>,
        request: OffsetForLeaderEpochRequest,
    ) -> Answer<OffsetForLeaderEpochResponse> {
        let published = call.broker.metadata();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let (error_code, end) = match find(call, &published, &topic.topic, asked) {
                    Ok(end) => (ErrorCode::NONE, end),
                    Err(error) => (error, EpochEnd::UNKNOWN),
                };
                EpochEndOffset {
                    error_code,
                    partition: asked.partition,
                    leader_epoch: end.epoch,
                    end_offset: end.end,
                }
            });
            OffsetForLeaderTopicResult {
                topic: topic.topic.clone(),
                partitions: partitions.collect(),
            }
        });
        let topics = topics.collect();
        Answer::now(OffsetForLeaderEpochResponse {
            topics,
            ..OffsetForLeaderEpochResponse::default()
        })
    }
}

fn find(
    call: Call<'_>,
    published: &Published,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEnd, ErrorCode> {
    let partition = call.broker.led(published, topic, asked.partition)?;
    partition.with_leader_in(asked.current_leader_epoch, |leader| {
        leader.log().epoch_end_offset(asked.leader_epoch)
    })
}
