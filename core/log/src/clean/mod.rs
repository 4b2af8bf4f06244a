//! Compaction: of each key only the last record stays.
//!
//! ```text
//! first segment    first dirty              limit           active
//! [── cleaned ──][──── keys go to the map ────][── not yet ──][── never ──
//! └───────── written anew: superseded records left out ──────┘
//!
//! under the lock   begin_clean                                   ─▶ CleanPlan
//! without          CleanPlan::index reads the dirty part         ─▶ Cleaning
//! without          Cleaning::next writes `.cleaned` files        ─▶ Replacement
//! under the lock   swap_in puts them in their segments' place       (repeat)
//! under the lock   finish_clean notes how far it went
//! ```
//!
//! Offsets never change, and a batch keeps its range when records of it go. Nothing is touched from
//! the limit on, which lies at most at the last stable offset: what is below has been decided. It
//! lies at most at the recovery point, too, for a record must not make way for one that a power cut
//! takes.
//!
//! What happens to the log meanwhile makes a replacement void, never wrong: `swap_in` takes it only
//! if the log was not truncated and all the segments that it stands for are still there.
//!
//! Sources: interop facts A.8 and A.13; Kafka 4.4's cleaner where they are silent.

mod aborted;
mod filter;
mod groups;
mod keys;
mod offset_map;
mod output;
mod plan;
mod run;
mod swap;
mod transactions;

#[cfg(test)]
mod tests;

use crate::{disk::IoError, error::LogError};

pub use offset_map::CleanMemory;
pub use plan::{CleanPlan, Dirtiness};
pub use run::{CleanStats, Cleaned, Cleaning, Replacement};

/// What a clean calls now and then with the bytes that it has read and written since: the place to
/// wait, and to say whether it shall go on.
pub type Pace<'a> = dyn FnMut(u64) -> bool + 'a;

/// How many bytes a clean reads or writes before it asks.
const PACE_BYTES: u64 = 256 << 10;

/// Why a clean ended early. The log is whole, and what was swapped in stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CleanError {
    /// The disk failed or is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The one who paces it said so.
    #[error("the clean was stopped")]
    Stopped,
}

impl From<IoError> for CleanError {
    fn from(error: IoError) -> Self {
        Self::Log(error.into())
    }
}

/// Counts bytes and asks the pace.
pub(crate) struct Meter<'a, 'b> {
    pace: &'a mut Pace<'b>,
    /// Since it last asked.
    bytes: u64,
    /// Bytes read, from first to last.
    total: &'a mut u64,
}

impl<'a, 'b> Meter<'a, 'b> {
    fn new(pace: &'a mut Pace<'b>, total: &'a mut u64) -> Self {
        Self { pace, bytes: 0, total }
    }

    fn read(&mut self, bytes: usize) -> Result<(), CleanError> {
        *self.total += bytes as u64;
        self.written(bytes)
    }

    fn written(&mut self, bytes: usize) -> Result<(), CleanError> {
        self.bytes += bytes as u64;
        if self.bytes < PACE_BYTES { Ok(()) } else { self.ask() }
    }

    fn ask(&mut self) -> Result<(), CleanError> {
        let bytes = std::mem::take(&mut self.bytes);
        if (self.pace)(bytes) { Ok(()) } else { Err(CleanError::Stopped) }
    }
}
