//! What a [`Raft`](crate::Raft) is told, and what it wants done.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset};

/// Names a write until it is durable. Tokens ascend in the order of the outputs that bear them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The write with this token, and all before it, are durable.
    Persisted {
        /// The token of the last such write.
        token: Token,
    },
    /// The node stops: give up leadership.
    Shutdown,
}

/// What to do, in this order. Writes are carried out one after the other; several may share one
/// fsync, and one `Persisted` with the last token speaks for all.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The newest snapshot is ahead of the log: drop all segments and begin a log at `start`.
    ResetLog {
        /// The first offset of the new log.
        start: Offset,
    },
    /// Replace the `quorum-state` file by these bytes: temporary file, fsync, rename, fsync of the
    /// directory.
    PersistElection {
        /// To be handed back when it is durable.
        token: Token,
        /// The content.
        file: Bytes,
    },
    /// Append the batch to the metadata log, and fsync.
    Append {
        /// To be handed back when it is durable.
        token: Token,
        /// The offset of its first record: the end of the log.
        base_offset: Offset,
        /// The offset behind its last record.
        end_offset: Offset,
        /// The batch, ready to be written.
        batch: Bytes,
    },
    /// This replica leads: records may be appended from here on.
    BecameLeader {
        /// The epoch that it leads.
        epoch: LeaderEpoch,
    },
    /// Everything below is committed. It never goes back.
    HighWatermark(Offset),
    /// This replica no longer leads: appends are refused from here on.
    Resigned {
        /// The epoch that it led.
        epoch: LeaderEpoch,
    },
}
