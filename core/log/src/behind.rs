//! Looking for a batch that was written behind damage: then what is damaged is no torn end of a log.
//!
//! One pass over the file, whatever is in it: clients can put heads of batches into their records by the
//! thousand. So no candidate is read for itself. Its checksum follows from two sums of all bytes before,
//! where it begins and where it ends:
//!
//! ```text
//! start ──────────────▶│ candidate ────────────▶│       combine(sum at its start, its own, its length)
//!                sum at its start          sum at its end       is the sum at its end
//! ```
//!
//! Clients can put whole batches into their records, too. Where the damaged batch has a sound head all
//! that it covers is its content, unless its size is what is wrong: then the one behind it goes on at
//! the offset where it ends, which what a client had for a record does not, but on purpose.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use dohle_base::{LeaderEpoch, Offset};
use dohle_records::{BatchHeader, Checksum, HEADER_SIZE, MAGIC_V2};

use crate::{
    disk::{DiskFile, IoError},
    scan::CHUNK_SIZE,
};

/// The most candidates whose ends are yet to come: 4 MiB of memory. Of more the one that reaches
/// furthest is given up. Source: four times what a batch of a megabyte has room for.
const PENDING_MAX: usize = 1 << 16;

/// What a batch must be to have been written behind the damage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its first offset, or a later one that fits the same segment.
    pub(crate) expected: Offset,
    /// The epoch of its leader, or a later one.
    pub(crate) epoch: LeaderEpoch,
    /// What the damaged batch covers, if its head is sound.
    pub(crate) torn: Option<Torn>,
}

/// A damaged batch with a sound head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Torn {
    /// The position behind it, if its size is right; the file may end before.
    pub(crate) end: u64,
    /// The offset behind it.
    pub(crate) next: Offset,
    /// Whether later offsets may follow it, too: the cleaner leaves gaps.
    pub(crate) has_gaps: bool,
}

impl Torn {
    /// The batch at `position`, if its head is one that goes on at `expected`, made by a leader of
    /// `epoch` or later.
    pub(crate) fn at<F: DiskFile>(
        file: &F,
        position: u64,
        (expected, epoch, has_gaps): (Offset, LeaderEpoch, bool),
    ) -> Result<Option<Self>, IoError> {
        let mut head = [0; HEADER_SIZE];
        let read = file.read_up_to(&mut head, position)?;
        let header = head.get(..read).and_then(|head| BatchHeader::parse(head).ok());
        let header = header.filter(|header| header.check().is_ok());
        let is_next = |base: Offset| base == expected || (has_gaps && base > expected);
        let header = header.filter(|header| {
            is_next(header.base_offset()) && header.partition_leader_epoch() >= epoch
        });
        Ok(header.map(|header| {
            let (end, next) = (position + header.size() as u64, header.next_offset());
            Self { end, next, has_gaps }
        }))
    }
}

impl Wanted {
    /// Whether the head at `position` is one, with so many bytes left.
    fn fits(&self, head: &[u8], position: u64, left: u64) -> bool {
        // Nearly all bytes fail here.
        if head.get(16).is_none_or(|&magic| magic != MAGIC_V2 as u8) {
            return false;
        }
        let Ok(header) = BatchHeader::parse(head) else { return false };
        let base = header.base_offset();
        let goes_on = match self.torn {
            Some(torn) if position < torn.end => {
                base == torn.next || (torn.has_gaps && base > torn.next)
            }
            _ => base >= self.expected,
        };
        goes_on
            && header.check().is_ok()
            && header.size() as u64 <= left
            && base.0.saturating_sub(self.expected.0) < i64::from(i32::MAX)
            && header.partition_leader_epoch() >= self.epoch
    }
}

/// A candidate whose end is yet to come.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The sum of all bytes before those that its checksum covers.
    before: u32,
    claimed: u32,
    /// How many bytes its checksum covers.
    covered: usize,
}

/// A pass over a file.
struct Search {
    /// The sum of all bytes from the start of the search to `summed`.
    sum: u32,
    summed: u64,
    /// By the position of its end, and that of its first byte.
    pending: BTreeMap<(u64, u64), Pending>,
    /// What of the file is at hand, and where that begins.
    chunk: Vec<u8>,
    start: u64,
}

impl Search {
    /// Sums up to `to`, which is at hand. The position of a candidate that ends on the way, if its
    /// checksum is right.
    fn advance(&mut self, to: u64) -> Option<u64> {
        while let Some((&(end, at), pending)) = self.pending.first_key_value()
            && end <= to
        {
            let Pending { before, claimed, covered } = *pending;
            self.add(end);
            if crc32c::crc32c_combine(before, claimed, covered) == self.sum {
                return Some(at);
            }
            self.pending.pop_first();
        }
        self.add(to);
        None
    }

    fn add(&mut self, to: u64) {
        let at_hand = |position: u64| usize::try_from(position.saturating_sub(self.start)).ok();
        let range = at_hand(self.summed).zip(at_hand(to));
        let bytes = range.and_then(|(from, to)| self.chunk.get(from..to)).unwrap_or_default();
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.summed = self.summed.max(to);
    }

    /// Notes the candidate at `position`, whose head is at hand.
    fn note(&mut self, position: u64, header: &BatchHeader<'_>) {
        let (before, claimed) = (self.sum, header.crc());
        let covered = header.size() - Checksum::HEAD_SIZE;
        let end = position + header.size() as u64;
        self.pending.insert((end, position), Pending { before, claimed, covered });
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_last();
        }
    }
}

/// The position of a whole batch that is wanted, between `start` and `end`, if there is one.
pub(crate) fn find_valid<F: DiskFile>(
    file: &F,
    (start, end): (u64, u64),
    wanted: &Wanted,
) -> Result<Option<u64>, IoError> {
    let (pending, chunk) = (BTreeMap::new(), Vec::new());
    let mut search = Search { sum: 0, summed: start, pending, chunk, start };
    while search.start < end {
        let mut chunk = std::mem::take(&mut search.chunk);
        let size = usize::try_from((end - search.start).min(CHUNK_SIZE)).unwrap_or(usize::MAX);
        chunk.resize(size, 0);
        let read = file.read_up_to(&mut chunk, search.start)?;
        chunk.truncate(read);
        let heads: Vec<usize> = (0..)
            .zip(chunk.windows(HEADER_SIZE))
            .filter(|(index, head)| {
                let position = search.start + *index as u64;
                wanted.fits(head, position, end - position)
            })
            .map(|(index, _)| index)
            .collect();
        search.chunk = chunk;
        for index in heads {
            let position = search.start + index as u64;
            let found = search.advance(position + Checksum::HEAD_SIZE as u64);
            if found.is_some() {
                return Ok(found);
            }
            let head: Option<[u8; HEADER_SIZE]> =
                search.chunk.get(index..).and_then(|rest| rest.first_chunk()).copied();
            if let Some(head) = head
                && let Ok(header) = BatchHeader::parse(&head)
            {
                search.note(position, &header);
            }
        }
        // The last bytes of a chunk may begin a head that ends in the next.
        let is_last = search.start + read as u64 >= end || read < HEADER_SIZE;
        let searched = if is_last { read } else { read - (HEADER_SIZE - 1) };
        let next = search.start + searched as u64;
        let found = search.advance(next.max(search.summed));
        if found.is_some() || is_last {
            return Ok(found);
        }
        search.start = next;
    }
    Ok(None)
}
