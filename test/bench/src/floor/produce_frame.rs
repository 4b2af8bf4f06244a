//! A Produce request of one partition, taken apart without an allocation.
//!
//! The general decoder would cost a measurable part of what the floor costs as a whole. Only the
//! shape that the generator sends is understood.

use std::ops::Range;

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
        let mut at = At { frame, position: 0 };
        if at.array()? != 0_i16.to_be_bytes() || at.array()? != PRODUCE_VERSION.to_be_bytes() {
            return None;
        }
        let correlation_id = at.array()?;
        let client_id_size = i16::from_be_bytes(at.array()?);
        at.take(usize::try_from(client_id_size).unwrap_or(0))?;
        at.expect_varint(0)?; // No tags.
        let transactional_id = at.varint()?;
        at.take((transactional_id as usize).saturating_sub(1))?;
        at.take(2 + 4)?; // Acks and time-out.
        at.expect_varint(2)?; // One topic.
        let name_size = (at.varint()? as usize).checked_sub(1)?;
        let topic = str::from_utf8(at.take(name_size)?).ok()?;
        at.expect_varint(2)?; // One partition.
        let index = i32::from_be_bytes(at.array()?);
        let size = (at.varint()? as usize).checked_sub(1)?;
        let start = at.position;
        at.take(size)?;
        Some(Self { correlation_id, topic, index, records: start..at.position })
    }
}

struct At<'a> {
    frame: &'a [u8],
    position: usize,
}

impl<'a> At<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let taken = self.frame.get(self.position..)?.get(..size)?;
        self.position += size;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn expect_varint(&mut self, expected: u32) -> Option<()> {
        (self.varint()? == expected).then_some(())
    }
}

#[cfg(test)]
mod tests;
