//! A Produce request of one partition, taken apart without an allocation.
//!
//! The general decoder would cost a measurable part of what the floor costs as a whole. Only the
//! shape that the generator sends is understood.

use std::ops::Range;

use dohle_protocol::ApiKey;

use super::at::At;
use crate::frames::PRODUCE_VERSION;

/// Where the parts of a request are in its frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProduceFrame<'a> {
    pub(super) correlation_id: [u8; 4],
    pub(super) topic: &'a str,
    pub(super) index: i32,
    pub(super) records: Range<usize>,
}

impl<'a> ProduceFrame<'a> {
    /// `None` for anything but a Produce request of the one version, for one partition, with
    /// records.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let mut at = At::start(frame);
        let correlation_id = at.header(ApiKey::Produce as i16, PRODUCE_VERSION)?;
        let transactional_id = at.varint()?;
        at.take((transactional_id as usize).saturating_sub(1))?;
        at.take(2 + 4)?; // Acks and time-out.
        at.expect_varint(2)?; // One topic.
        let topic = at.name()?;
        at.expect_varint(2)?; // One partition.
        let index = at.int()?;
        let size = (at.varint()? as usize).checked_sub(1)?;
        let start = at.position();
        at.take(size)?;
        let records = start..at.position();
        at.end([0; 3])?; // No tags of the partition, the topic and the request.
        Some(Self { correlation_id, topic, index, records })
    }
}

#[cfg(test)]
mod tests;
