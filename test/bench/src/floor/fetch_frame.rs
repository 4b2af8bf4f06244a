//! A Fetch request of one partition, taken apart without an allocation, as [`super::produce_frame`] does it.

use dohle_base::Offset;
use dohle_protocol::ApiKey;

use super::at::At;
use crate::frames::FETCH_VERSION;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FetchAsked<'a> {
    pub(super) correlation_id: [u8; 4],
    pub(super) wait_ms_max: u32,
    pub(super) topic: &'a str,
    pub(super) index: i32,
    pub(super) offset: Offset,
    pub(super) size_max: usize,
}

impl<'a> FetchAsked<'a> {
    /// `None` for anything but a Fetch request of the one version, for one partition.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let mut at = At::start(frame);
        let correlation_id = at.header(ApiKey::Fetch as i16, FETCH_VERSION)?;
        at.take(4)?; // Replica.
        let wait_ms_max = u32::try_from(at.int()?).unwrap_or(0);
        at.take(4)?; // Least bytes: it waits for one.
        let answer_size_max = at.int()?;
        at.take(1 + 4 + 4)?; // Isolation level and session.
        at.expect_varint(2)?; // One topic.
        let topic = at.name()?;
        at.expect_varint(2)?; // One partition.
        let index = at.int()?;
        at.take(4)?; // Leader epoch.
        let offset = Offset(at.long()?);
        at.take(4 + 8)?; // Epoch of the last record, start of the log.
        let size_max = usize::try_from(at.int()?.min(answer_size_max)).unwrap_or(0);
        // No tags of the partition and the topic, no topics that are forgotten, a rack without a name, no tags.
        at.end([0, 0, 1, 1, 0])?;
        Some(Self { correlation_id, wait_ms_max, topic, index, offset, size_max })
    }
}

#[cfg(test)]
mod tests;
