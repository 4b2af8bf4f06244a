//! InitProducerId (22): an identity for an idempotent producer.
//!
//! Versions: 3 may bring the identity that the producer has; 6 is of two-phase commit and not stable.
//! Identities come from blocks that the controller gives out; each starts in epoch 0.
//! Transactional producers are refused with UNSUPPORTED_VERSION: transactions are not built.
//! Authorises: IdempotentWrite on the cluster, or Write on any topic.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, ProducerEpoch, ProducerId};
use dohle_protocol::api::{
    init_producer_id_request::InitProducerIdRequest,
    init_producer_id_response::InitProducerIdResponse,
};

use super::{Answer, Call, Endpoint};

pub(crate) struct InitProducerId;

impl Endpoint for InitProducerId {
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn handle(call: Call<'_>, request: InitProducerIdRequest) -> Answer<InitProducerIdResponse> {
        match &request.transactional_id {
            Some(id) if id.is_empty() => return Answer::now(failure(ErrorCode::INVALID_REQUEST)),
            Some(_) => return Answer::now(failure(ErrorCode::UNSUPPORTED_VERSION)),
            None => {}
        }
        if let Some(id) = call.broker.producer_ids.take() {
            return Answer::now(success(id));
        }
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            match broker.next_producer_id().await {
                Ok(id) => success(id),
                Err(error) => failure(error),
            }
        })
    }
}

fn success(producer_id: ProducerId) -> InitProducerIdResponse {
    let producer_epoch = ProducerEpoch(0);
    InitProducerIdResponse { producer_id, producer_epoch, ..InitProducerIdResponse::default() }
}

fn failure(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_epoch: ProducerEpoch(-1), ..Default::default() }
}
