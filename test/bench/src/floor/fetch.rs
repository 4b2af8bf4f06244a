//! A fetch of one partition: what it asks for, and its answer.

use std::time::{Duration, Instant};

use anyhow::Result;
use dohle_base::{ErrorCode, Offset};

use super::{
    fetch_frame::FetchAsked,
    output::Output,
    topics::{Place, Topics},
};
use crate::frames::FetchFields;

/// What is asked for; kept while it has to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    place: Place,
    offset: Offset,
    size_max: usize,
    correlation_id: [u8; 4],
    wait_max: Duration,
}

impl Fetch {
    /// # Errors
    /// A partition that is not there.
    pub(super) fn of(asked: &FetchAsked<'_>, topics: &Topics) -> Result<Self> {
        Ok(Self {
            place: topics.place(asked.topic, asked.index)?,
            offset: asked.offset,
            size_max: asked.size_max,
            correlation_id: asked.correlation_id,
            wait_max: Duration::from_millis(asked.wait_ms_max.into()),
        })
    }

    /// When it is answered at the latest.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.wait_max
    }

    /// Puts the answer, unless it asks for the next record to come and `may_wait`; whether it did.
    ///
    /// # Errors
    /// A partition that is gone, or a file that cannot be read.
    pub(super) fn answer(
        &self,
        topics: &mut Topics,
        output: &mut Output,
        may_wait: bool,
    ) -> Result<bool> {
        let partition = topics.at(self.place)?;
        let log = &partition.log;
        let end = log.end_offset();
        let slice = log.read(self.offset, self.size_max);
        if slice.is_none() && self.offset == end && may_wait {
            return Ok(false);
        }
        let is_outside = slice.is_none() && self.offset != end;
        let error_code = if is_outside { ErrorCode::OFFSET_OUT_OF_RANGE } else { ErrorCode::NONE };
        let size = slice.as_ref().map_or(0, |slice| slice.size);
        let fields = FetchFields {
            correlation_id: self.correlation_id,
            error_code,
            log_start_offset: log.start_offset(),
            high_watermark: end,
            records_size: u32::try_from(size)?,
        };
        let answer = &partition.fetched;
        let head_size = answer.put_head(output.room(answer.head_size_max()), fields);
        output.put(head_size);
        if let Some(slice) = slice {
            output.put_file(slice)?;
        }
        output.put_bytes(answer.behind());
        Ok(true)
    }
}
