//! Which segments become one: neighbours, while they fit one even if nothing of them goes.

use dohle_base::Offset;

use crate::{
    config::LogConfig,
    disk::{Disk, DiskFile, IoError, OpenMode},
    names::FileKind,
    segment::Dir,
};

use super::plan::Input;

/// What of a group counts against a limit.
#[derive(Clone, Copy, Default)]
struct Sizes {
    log: u64,
    offsets: u64,
    times: u64,
}

/// How many of the segments at the front of `inputs` become one; at least one if there are any.
/// What lies behind all of them begins at `end`.
///
/// Source: Kafka 4.4, whose rules these are: `segment.bytes`, `segment.index.bytes` for each index,
/// and offsets within 31 bits of the first.
pub(crate) fn first_group<D: Disk>(
    dir: &Dir<D>,
    inputs: &[Input],
    end: Offset,
    config: &LogConfig,
) -> Result<usize, IoError> {
    let Some(first) = inputs.first() else { return Ok(0) };
    let mut sum = sizes(dir, first)?;
    for (index, input) in inputs.iter().enumerate().skip(1) {
        let next = inputs.get(index + 1).map_or(end, |next| next.base);
        let is_near = next.0.saturating_sub(1).saturating_sub(first.base.0) <= i32::MAX.into();
        let this = sizes(dir, input)?;
        sum.log += this.log;
        sum.offsets += this.offsets;
        sum.times += this.times;
        if sum.log > u64::from(config.segment_bytes_max)
            || sum.offsets.max(sum.times) > u64::from(config.segment_index_bytes_max)
            || !(is_near || input.size == 0)
        {
            return Ok(index);
        }
    }
    Ok(inputs.len())
}

fn sizes<D: Disk>(dir: &Dir<D>, input: &Input) -> Result<Sizes, IoError> {
    let index = |kind| match dir.open(input.base, kind, OpenMode::Read) {
        Ok(file) => file.size(),
        Err(error) if error.is_not_found() => Ok(0),
        Err(error) => Err(error),
    };
    Ok(Sizes {
        log: u64::from(input.size),
        offsets: index(FileKind::OffsetIndex)?,
        times: index(FileKind::TimeIndex)?,
    })
}
