//! A Produce request of a topic, taken apart without an allocation.
//!
//! The general decoder would cost a measurable part of what the floor costs as a whole. Only the
//! shape that the generator sends is understood.

use std::ops::Range;

use dohle_protocol::ApiKey;

use super::at::At;
use crate::frames::PRODUCE_VERSION;

/// A request up to the first of its partitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProduceFrame<'a> {
    pub(super) correlation_id: [u8; 4],
    pub(super) topic: &'a str,
    pub(super) parts: Parts,
}

/// The partitions of a request that are still to come. It keeps no hand on the frame, so that records can be
/// changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    position: usize,
    pub(super) count: u32,
}

/// A partition's part of a request, and where in the frame its records are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) index: i32,
    pub(super) records: Range<usize>,
}

impl<'a> ProduceFrame<'a> {
    /// `None` for anything but a Produce request of the one version, for one topic.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let mut at = At::start(frame);
        let correlation_id = at.header(ApiKey::Produce as i16, PRODUCE_VERSION)?;
        let transactional_id = at.varint()?;
        at.take((transactional_id as usize).saturating_sub(1))?;
        at.take(2 + 4)?; // Acks and time-out.
        at.expect_varint(2)?; // One topic.
        let topic = at.name()?;
        let count = at.varint()?.checked_sub(1).filter(|count| *count > 0)?;
        Some(Self { correlation_id, topic, parts: Parts { position: at.position(), count } })
    }
}

impl Parts {
    /// The next one, which must be there and have records, and behind the last one nothing but the frame's end.
    pub(super) fn next(&mut self, frame: &[u8]) -> Option<Part> {
        let mut at = At::resume(frame, self.position);
        let index = at.int()?;
        let size = (at.varint()? as usize).checked_sub(1)?;
        let start = at.position();
        at.take(size)?;
        let records = start..at.position();
        at.expect_varint(0)?; // No tags.
        self.position = at.position();
        self.count = self.count.checked_sub(1)?;
        if self.count == 0 {
            at.end([0; 2])?; // No tags of the topic and the request.
        }
        Some(Part { index, records })
    }
}

#[cfg(test)]
mod tests;
