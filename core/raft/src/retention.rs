//! Which snapshots are kept, and with them how far the log goes back.
//!
//! ```text
//! snapshots      0-0        300-1        700-2      900-2
//! log        [────────────][────────────────][──────────── …
//!            0             280              640
//!                                            └ kept with 700-2: the log starts at 700
//! ```
//!
//! The newest snapshot always stays. The oldest one goes while snapshots and log together have too
//! many bytes, or while it is too old; the log then starts at the end of the next one, and segments
//! wholly below go.
//!
//! Source: interop facts A.11; Kafka 4.4.

use dohle_base::{Offset, Timestamp};

use crate::SnapshotId;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// Bytes of snapshots and log; `None` if bytes do not count (`metadata.max.retention.bytes`).
    pub bytes_max: Option<u64>,
    /// The age of a snapshot; `None` if age does not count (`metadata.max.retention.ms`).
    pub ms_max: Option<i64>,
}

/// A complete snapshot on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Which one.
    pub id: SnapshotId,
    /// Bytes of its file.
    pub size: u64,
    /// When the newest record that it contains was appended; `None` if its file does not tell.
    pub last_timestamp: Option<Timestamp>,
}

impl Retention {
    /// Those of `snapshots`, the oldest first, that are kept. `log_size_from` says how many bytes
    /// the log has that starts at an offset.
    pub fn kept<'a>(
        &self,
        snapshots: &'a [StoredSnapshot],
        log_size_from: impl Fn(Offset) -> u64,
        now: Timestamp,
    ) -> &'a [StoredSnapshot] {
        let (mut kept, mut log_start) = (snapshots, Offset::ZERO);
        let mut size = snapshots.iter().map(|snapshot| snapshot.size).sum::<u64>();
        while let [oldest, rest @ ..] = kept
            && let [next, ..] = rest
        {
            let is_too_much =
                || self.bytes_max.is_some_and(|max| log_size_from(log_start) + size > max);
            let is_too_old = || self.expiry(oldest).is_some_and(|expiry| expiry <= now);
            if !is_too_much() && !is_too_old() {
                break;
            }
            size -= oldest.size;
            log_start = next.id.end_offset;
            kept = rest;
        }
        kept
    }

    /// When the oldest of them is too old, if it may go at all.
    pub fn next_expiry(&self, snapshots: &[StoredSnapshot]) -> Option<Timestamp> {
        let [oldest, _, ..] = snapshots else { return None };
        self.expiry(oldest)
    }

    fn expiry(&self, snapshot: &StoredSnapshot) -> Option<Timestamp> {
        let age_max = self.ms_max?.saturating_add(1);
        Some(Timestamp(snapshot.last_timestamp?.0.saturating_add(age_max)))
    }
}

#[cfg(test)]
mod tests {
    use dohle_base::LeaderEpoch;

    use super::*;

    /// Snapshots of 10 bytes each, at these ends and times.
    fn snapshots(told: &[(i64, Option<i64>)]) -> Vec<StoredSnapshot> {
        let stored = |&(end, at): &(i64, Option<i64>)| StoredSnapshot {
            id: SnapshotId { end_offset: Offset(end), epoch: LeaderEpoch(1) },
            size: 10,
            last_timestamp: at.map(Timestamp),
        };
        told.iter().map(stored).collect()
    }

    /// A byte for each offset up to 1,000, in segments of 100.
    fn log_size_from(start: Offset) -> u64 {
        1_000 - start.0 as u64 / 100 * 100
    }

    fn ends_kept(bytes: Option<u64>, ms: Option<i64>, now: i64) -> Vec<i64> {
        let all = snapshots(&[(0, Some(0)), (350, Some(50)), (700, Some(90)), (900, Some(100))]);
        let retention = Retention { bytes_max: bytes, ms_max: ms };
        let kept = retention.kept(&all, log_size_from, Timestamp(now));
        kept.iter().map(|snapshot| snapshot.id.end_offset.0).collect()
    }

    #[test]
    fn the_oldest_go_while_there_is_too_much() {
        let table: [(_, &[i64]); 8] = [
            (None, &[0, 350, 700, 900]),
            (Some(1_040), &[0, 350, 700, 900]),
            (Some(1_039), &[350, 700, 900]),
            (Some(730), &[350, 700, 900]),
            (Some(729), &[700, 900]),
            (Some(320), &[700, 900]),
            (Some(319), &[900]),
            (Some(0), &[900]),
        ];
        for (bytes, kept) in table {
            assert_eq!(ends_kept(bytes, None, i64::MAX), kept, "{bytes:?}");
        }
    }

    #[test]
    fn the_oldest_go_while_they_are_too_old() {
        let table: [(_, _, &[i64]); 8] = [
            (None, i64::MAX, &[0, 350, 700, 900]),
            (Some(100), 100, &[0, 350, 700, 900]),
            (Some(100), 101, &[350, 700, 900]),
            (Some(100), 150, &[350, 700, 900]),
            (Some(100), 151, &[700, 900]),
            (Some(0), 91, &[900]),
            (Some(0), i64::MAX, &[900]),
            (Some(i64::MAX), i64::MAX - 1, &[0, 350, 700, 900]),
        ];
        for (ms, now, kept) in table {
            assert_eq!(ends_kept(None, ms, now), kept, "{ms:?} at {now}");
        }
    }

    #[test]
    fn only_what_may_go_expires() {
        let retention = Retention { bytes_max: None, ms_max: Some(10) };
        let table: [(&[_], _); 4] = [
            (&[], None),
            (&[(0, Some(5))], None),
            (&[(0, Some(5)), (9, Some(1))], Some(Timestamp(16))),
            (&[(0, None), (9, Some(1))], None),
        ];
        for (told, expiry) in table {
            assert_eq!(retention.next_expiry(&snapshots(told)), expiry, "{told:?}");
        }
        let unknown = snapshots(&[(0, None), (9, Some(1))]);
        assert_eq!(retention.kept(&unknown, log_size_from, Timestamp(i64::MAX)), unknown);
    }
}
