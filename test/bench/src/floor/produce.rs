//! Appends what a Produce request brings, and answers.

use std::ops::Range;

use anyhow::{Context, Result};
use dohle_base::Offset;

use super::{
    connection::Connection,
    produce_frame::{Parts, ProduceFrame},
    topics::{Partition, Topics},
};

/// What has come: the whole buffer, of which the request is a part.
struct Received<'a> {
    buffer: &'a mut [u8],
    frame: Range<usize>,
}

/// Serves the request in `frame`; `false` if it is another one.
///
/// # Errors
/// A partition that is not there, bytes that are no batch, or a disk that fails: what came before it is kept.
pub(super) fn serve(
    topics: &mut Topics,
    connection: &mut Connection,
    frame: Range<usize>,
) -> Result<bool> {
    let (buffer, output) = connection.buffers();
    let Some(request) = ProduceFrame::parse(&buffer[frame.clone()]) else { return Ok(false) };
    let ProduceFrame { correlation_id, topic, mut parts } = request;
    let topic = topics.number(topic)?;
    let mut received = Received { buffer, frame };
    if parts.count == 1 {
        let (partition, base_offset) = received.append(topics, topic, &mut parts)?;
        let size = partition.ack.size();
        partition.ack.put(output.room(size), correlation_id, base_offset);
        output.put(size);
        return Ok(true);
    }
    let count = parts.count;
    for number in 0..count {
        let (partition, base_offset) = received.append(topics, topic, &mut parts)?;
        let ack = &partition.ack;
        if number == 0 {
            let head_size = ack.put_head(output.room(ack.head_size_max()), correlation_id, count);
            output.put(head_size);
        }
        ack.put_part(output.room(ack.part_size()), base_offset);
        output.put(ack.part_size());
        if number + 1 == count {
            output.put_bytes(ack.tail());
        }
    }
    Ok(true)
}

impl Received<'_> {
    /// Takes in the next partition's records; where, and the offset of the first of them.
    fn append<'a>(
        &mut self,
        topics: &'a mut Topics,
        topic: usize,
        parts: &mut Parts,
    ) -> Result<(&'a mut Partition, Offset)> {
        let Self { buffer, frame } = self;
        let part = parts.next(&buffer[frame.clone()]).context("a broken Produce request")?;
        let records = frame.start + part.records.start..frame.start + part.records.end;
        topics.append(topic, part.index, buffer, records)
    }
}
