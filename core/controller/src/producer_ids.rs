//! Blocks of producer ids for brokers to give out (AllocateProducerIds).

use dohle_base::{ErrorCode, ProducerId};
use dohle_protocol::api::{
    allocate_producer_ids_request::AllocateProducerIdsRequest,
    allocate_producer_ids_response::AllocateProducerIdsResponse,
};
use dohle_protocol::records::metadata::producer_ids_record::ProducerIdsRecord;

use crate::controller::{Outcome, answer, outcome};
use crate::{Context, Controller, Reply};

/// How many ids a block has. Source: KIP-730.
const BLOCK: i64 = 1_000;

impl Controller {
    pub(crate) fn allocate_producer_ids(
        &self,
        context: &Context,
        request: &AllocateProducerIdsRequest,
    ) -> Outcome {
        let refused = |error_code| {
            let response = AllocateProducerIdsResponse { error_code, ..Default::default() };
            answer(context, Reply::AllocateProducerIds(response))
        };
        let (broker_id, broker_epoch) = (request.broker_id, request.broker_epoch);
        if let Err(code) = self.check_broker_epoch(broker_id, broker_epoch) {
            return refused(code);
        }
        let first = self.image().next_producer_id.unwrap_or(ProducerId(0));
        let Some(next) = first.0.checked_add(BLOCK) else {
            return refused(ErrorCode::UNKNOWN_SERVER_ERROR);
        };
        let next_producer_id = ProducerId(next);
        let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
        let response = AllocateProducerIdsResponse {
            producer_id_start: first,
            producer_id_len: BLOCK as i32,
            ..AllocateProducerIdsResponse::default()
        };
        outcome(context, vec![record.into()], Reply::AllocateProducerIds(response))
    }
}
