//! The block of producer ids that this broker hands out from.

use std::sync::{Mutex, PoisonError};

use dohle_base::{ErrorCode, ProducerId};
use dohle_controller::{Reply, Request};
use dohle_protocol::api::allocate_producer_ids_request::AllocateProducerIdsRequest;

use crate::Broker;

/// What is left of the block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    left: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    /// An id that nobody has, unless the block is used up.
    pub(crate) fn take(&self) -> Option<ProducerId> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).next().map(ProducerId)
    }

    /// Goes on with a new block. What is left of the old one is given up: ids need not be dense.
    fn refill(&self, block: std::ops::Range<i64>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = block;
    }
}

impl Broker {
    /// An id that nobody has, from a new block if need be.
    pub(crate) async fn next_producer_id(&self) -> Result<ProducerId, ErrorCode> {
        let request =
            AllocateProducerIdsRequest { broker_id: self.node_id, broker_epoch: self.epoch() };
        let reply = self.controller.ask(Request::AllocateProducerIds(request)).await;
        let block = match reply {
            Reply::AllocateProducerIds(block) if !block.error_code.is_error() => block,
            Reply::AllocateProducerIds(failed) => return Err(failed.error_code),
            Reply::Refused(error) => return Err(error.code),
            _ => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        let start = block.producer_id_start.0;
        self.producer_ids.refill(start + 1..start + i64::from(block.producer_id_len));
        Ok(ProducerId(start))
    }
}
