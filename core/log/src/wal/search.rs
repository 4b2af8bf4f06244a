//! Looking for frames wherever they may lie, in a file that holds any bytes.
//!
//! Heads that claim much and overlap each other could make a search read very much. So it reads each
//! byte once: it goes through the file with one running checksum, notes at each head that is possible
//! what that has to be at the end which the head claims, and compares when it comes there.
//!
//! ```text
//! | page  | page  | page  | page  |          running checksum of all that was read
//!   ^ head claims 3 pages     ^ compared
//!           ^ head …  ^ compared
//! ```

use std::{cmp::Reverse, collections::BinaryHeap};

use super::format::{ALIGN, CRC_END, DATA_START, FrameHead, Salt, begins_frame};
use crate::disk::{DiskFile, IoError};

/// How much is read at once.
const CHUNK_SIZE: usize = 1 << 20;

/// Where a frame lies that is whole and whose head may be, by its place behind the blocks, in the first
/// `capacity` bytes there; `None` if there is none. Memory: 24 bytes for each page of the largest frame.
pub(super) fn find_frame<F: DiskFile>(
    file: &F,
    (capacity, salt): (u64, Salt),
    may_be: impl Fn(u64, &FrameHead) -> bool,
) -> Result<Option<u64>, IoError> {
    let mut running = Running::default();
    each_page(file, capacity, |place, page| {
        if let Some(head) = FrameHead::decode(page, salt).filter(|head| may_be(place, head)) {
            running.await_end(place, page, &head, salt);
        }
        running.pass(place, page)
    })
}

/// Whether a page begins as a frame does, in a file without blocks: it has none, or is damaged. Without
/// its salt there is no telling whether it is whole.
pub(super) fn begins_frames<F: DiskFile>(file: &F) -> Result<bool, IoError> {
    let found = each_page(file, u64::MAX, |place, page| begins_frame(page).then_some(place))?;
    Ok(found.is_some())
}

/// Shows the pages behind the blocks one after the other, by their places there, until one gives an
/// answer.
fn each_page<F: DiskFile, R>(
    file: &F,
    capacity: u64,
    mut show: impl FnMut(u64, &[u8]) -> Option<R>,
) -> Result<Option<R>, IoError> {
    let size = file.size()?.saturating_sub(DATA_START).min(capacity);
    let mut chunk = vec![0; CHUNK_SIZE.min(usize::try_from(size).unwrap_or(CHUNK_SIZE))];
    let mut place = 0;
    while place < size {
        let read = file.read_up_to(&mut chunk, DATA_START + place)?;
        for page in chunk.get(..read).unwrap_or_default().chunks(ALIGN as usize) {
            if let Some(found) = show(place, page) {
                return Ok(Some(found));
            }
            place += page.len() as u64;
        }
        if read < chunk.len() {
            break;
        }
    }
    Ok(None)
}

/// The checksum of all that was passed, and what it has to be where frames end.
#[derive(Default)]
struct Running {
    crc: u32,
    awaited: BinaryHeap<Reverse<Awaited>>,
}

/// By their ends, the nearest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Awaited {
    end: u64,
    /// The running checksum there, if the frame is whole.
    crc: u32,
    /// Where the frame begins.
    place: u64,
}

impl Running {
    /// A frame may begin with this page, which is the next to be passed.
    fn await_end(&mut self, place: u64, page: &[u8], head: &FrameHead, salt: Salt) {
        let before = crc32c::crc32c_append(self.crc, page.get(..CRC_END).unwrap_or_default());
        // Checksums add up: that of A and B together is that of A, moved by B's length, plus that of B.
        let moved = crc32c::crc32c_combine(before ^ salt.seed(), 0, head.size - CRC_END);
        let end = place + head.size as u64;
        self.awaited.push(Reverse(Awaited { end, crc: moved ^ head.crc, place }));
    }

    /// Goes on over a page; says where a frame lies in the file that ends in it and is whole.
    fn pass(&mut self, place: u64, page: &[u8]) -> Option<u64> {
        let mut passed = 0;
        while let Some(Reverse(next)) = self.awaited.peek() {
            let Some(rest) =
                usize::try_from(next.end - place).ok().and_then(|e| page.get(passed..e))
            else {
                break;
            };
            self.crc = crc32c::crc32c_append(self.crc, rest);
            passed += rest.len();
            let is_whole = next.crc == self.crc;
            let begins_at = DATA_START + next.place;
            self.awaited.pop();
            if is_whole {
                return Some(begins_at);
            }
        }
        self.crc = crc32c::crc32c_append(self.crc, page.get(passed..).unwrap_or_default());
        None
    }
}
