//! What is known of producers when a log is opened: a snapshot, and the batches behind it.

use std::{collections::BTreeSet, ops::Bound};

use dohle_base::Offset;

use super::Mended;
use crate::{
    disk::{Disk, DiskFile, IoError, read_file},
    error::{Corruption, DamageReason, LogError},
    log::Log,
    names::FileKind,
    producer_state::{
        Producers,
        snapshot::{self, SnapshotError},
    },
    scan::{BatchScan, Scanned},
};

/// The largest snapshot that is read: twenty million producers.
const SNAPSHOT_SIZE_MAX: usize = 1 << 30;

impl<D: Disk> Log<D> {
    /// Brings the producers' state to `end`, a batch's first offset: the newest snapshot that can
    /// be read, and all batches from there on.
    pub(crate) fn restore_producers(&mut self, end: Offset, clean: bool) -> Result<(), LogError> {
        self.producers = Producers::from_states(Vec::new(), end);
        let first = self.segments.first().map_or(end, |segment| segment.base);
        let start = first.max(self.log_start);
        if clean && self.snapshots.is_empty() {
            // A directory of a version without snapshots: nothing to know about producers.
            return Ok(());
        }
        let (mut replay_from, mut is_known) = (start.min(end), false);
        while let Some(offset) = self.snapshots.range(..=end).next_back().copied() {
            // Who has no batch from the log's start on is forgotten, as in Kafka.
            if offset <= start {
                break;
            }
            match self.read_snapshot(offset)? {
                Ok(producers) => {
                    self.producers = producers;
                    (replay_from, is_known) = (offset, true);
                    break;
                }
                Err(reason) => self.remove_damaged_snapshot(offset, reason)?,
            }
        }
        if !is_known {
            self.note_forgotten(start);
        }
        self.replay_producers(replay_from, end)?;
        self.producers.advance(end);
        Ok(())
    }

    /// From which offset on producers take in what a scan from `start` on reads. A snapshot of the
    /// first segment that lies behind `start` spares to read all from the one before: the indexes end
    /// a little before the snapshot that was written with them.
    pub(super) fn known_producers(&self, index: usize, start: Offset) -> Offset {
        // What aborts a segment that is indexed from its beginning has is found by its beginning.
        let is_indexed = self.segments.get(index).is_some_and(|segment| segment.size > 0);
        let next = self.segments.get(index + 1).map(|next| next.base);
        let behind = self.snapshots.range((Bound::Excluded(start), Bound::Unbounded)).copied();
        let known = behind.take_while(|offset| next.is_none_or(|next| *offset <= next)).last();
        known.filter(|_| is_indexed).unwrap_or(start)
    }

    /// Removes the snapshots behind `start` from the first one on that cannot be read: the batches from
    /// there on are read again, and they are written anew.
    pub(super) fn remove_damaged_snapshots(&mut self, start: Offset) -> Result<(), IoError> {
        let behind = (Bound::Excluded(start), Bound::Unbounded);
        for offset in self.snapshots.range(behind).copied().collect::<Vec<_>>() {
            if let Err(reason) = self.read_snapshot(offset)? {
                self.remove_damaged_snapshot(offset, reason)?;
                return self.remove_snapshots(|other| other >= offset);
            }
        }
        Ok(())
    }

    fn remove_damaged_snapshot(
        &mut self,
        offset: Offset,
        reason: SnapshotError,
    ) -> Result<(), IoError> {
        let path = self.dir.file(offset, FileKind::Snapshot);
        self.recovery.mended.push(Mended::Snapshot { path, reason });
        self.remove_snapshots(|other| other == offset)
    }

    /// Notes that producers are known only by the batches from `start` on, if a snapshot should have told
    /// of those before, too.
    fn note_forgotten(&mut self, start: Offset) {
        let forgotten = Mended::Forgotten { dir: self.dir.path().to_owned(), from: start };
        let mended = &mut self.recovery.mended;
        let is_damaged = mended.iter().any(|mended| matches!(mended, Mended::Snapshot { .. }));
        if start > Offset::ZERO && is_damaged && !mended.contains(&forgotten) {
            mended.push(forgotten);
        }
    }

    /// The producers as a snapshot has them, or why it is of no use.
    pub(crate) fn read_snapshot(
        &self,
        offset: Offset,
    ) -> Result<Result<Producers, SnapshotError>, IoError> {
        let path = self.dir.file(offset, FileKind::Snapshot);
        let bytes = read_file(&self.dir.disk, &path, SNAPSHOT_SIZE_MAX)?.unwrap_or_default();
        Ok(snapshot::decode(&bytes).map(|states| Producers::from_states(states, offset)))
    }

    /// Lets the producers' state take in the batches from `start` to `end`.
    fn replay_producers(&mut self, start: Offset, end: Offset) -> Result<(), LogError> {
        if start >= end {
            return Ok(());
        }
        let first = self.floor(start);
        for segment in self.segments.iter_mut().skip(first) {
            if segment.base >= end {
                break;
            }
            let is_open = segment.open_file().is_some();
            let Some(head) = segment.locate(&self.dir, start)? else { continue };
            let size = u64::from(segment.size);
            let file = segment.file(&self.dir)?.clone();
            let mut scan = BatchScan::of_checked(&file, u64::from(head.position), size);
            loop {
                match scan.next()? {
                    Scanned::Entry(_, entry) if entry.last_offset() < end => {
                        self.producers.apply_entry(&entry);
                    }
                    Scanned::Entry(..) | Scanned::End => break,
                    Scanned::Damaged(position, error) => {
                        let path = file.path();
                        let reason = DamageReason::Batch(error);
                        return Err(Corruption::new(path, position, reason).into());
                    }
                }
            }
            if segment.indexes.is_none() && !is_open {
                segment.release();
            }
        }
        Ok(())
    }

    /// Removes snapshots that no segment begins with, but for the last one, and those outside the
    /// log.
    pub(crate) fn sweep_snapshots(&mut self) -> Result<(), LogError> {
        let bases = self.segments.iter().map(|segment| segment.base).collect::<BTreeSet<_>>();
        let first = bases.first().copied().unwrap_or(self.log_end);
        let end = self.log_end;
        self.remove_snapshots(|offset| offset > end || offset < first)?;
        let last = self.snapshots.last().copied();
        Ok(self.remove_snapshots(|offset| !bases.contains(&offset) && Some(offset) != last)?)
    }

    /// Says of a log that is of a version without snapshots that nothing is known of producers where
    /// its last two segments begin.
    pub(super) fn write_first_snapshots(&mut self) -> Result<(), IoError> {
        let bases = self.segments.iter().rev().take(2).map(|segment| segment.base);
        for base in bases.filter(|base| *base > Offset::ZERO).collect::<Vec<_>>() {
            let nobody = Producers::from_states(Vec::new(), base);
            self.put_snapshot(base, &snapshot::encode(&nobody))?;
        }
        Ok(())
    }
}
