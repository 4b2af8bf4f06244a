//! Taking in what the write-ahead log holds and the segments lack, after a crash.

use dohle_base::{LeaderEpoch, Offset, Timestamp};

use crate::{
    disk::{Disk, IoError},
    error::{AppendError, Corruption, DamageReason, LogError},
    log::Log,
    names::FileKind,
    scan::Head,
};

impl<D: Disk> Log<D> {
    /// Takes in a run of batches as they were once written, and says where it ends: up to there the
    /// log is durable. Those that are there are passed over. So is a run of an older epoch than the
    /// log's newest, which ends nowhere: another process has written to the directory since, and what
    /// it made of the log is true.
    ///
    /// A log of which the segments were lost up to behind its start is empty. Its start, which clients
    /// choose, may lie within the first batch that it lacks.
    ///
    /// # Errors
    /// `Corrupt` if something between the log's end and the batches is missing, or a batch lies across
    /// the end of a log that has some; the log is as it was.
    pub fn redo(&mut self, batches: &[u8], now: Timestamp) -> Result<Offset, AppendError> {
        let latest = self.latest_epoch();
        let mut end = Offset::ZERO;
        let mut missing = None;
        let mut rest = batches;
        while !rest.is_empty() {
            let head = Head::parse(rest, 0)?;
            if head.leader_epoch < latest {
                return Ok(end);
            }
            if head.last >= self.log_end && missing.is_none() {
                missing = Some((head.base, rest));
            }
            end = head.last.next();
            rest = rest.get(head.size as usize..).unwrap_or_default();
        }
        if let Some((offset, batches)) = missing {
            let start = self.log_start;
            if offset < self.log_end && self.size() == 0 {
                self.truncate_fully_and_start_at(offset, now)?;
            }
            self.check_connected(offset)?;
            self.append_as_follower(batches, LeaderEpoch(i32::MAX), now)?;
            self.move_log_start(start);
        }
        Ok(end)
    }

    /// Cuts the log at the first of its gaps that the write-ahead log has batches of, and says where: a
    /// power cut has taken the end of a segment and left the next one, which on a compacted topic looks
    /// like what the cleaner leaves. The cleaner does not go where frames are needed. To be given all
    /// runs, before `redo` is given the first: what was acknowledged behind the gap is in them, too.
    ///
    /// # Errors
    /// `Corrupt` if they do not begin where the gap does; the log is as it was.
    pub fn cut_at_loss(
        &mut self,
        runs: impl IntoIterator<Item = Result<Vec<u8>, IoError>>,
        now: Timestamp,
    ) -> Result<Option<Offset>, AppendError> {
        if self.recovery.gaps.is_empty() {
            return Ok(None);
        }
        let (mut newest, mut lost) = (LeaderEpoch::NONE, None);
        for run in runs {
            let run = run.map_err(LogError::Io)?;
            let mut rest = &run[..];
            while !rest.is_empty() {
                let head = Head::parse(rest, 0)?;
                newest = newest.max(head.leader_epoch);
                let gap = self.recovery.gaps.iter().find(|gap| gap.contains(&head.base));
                if let Some(gap) = gap
                    && lost.is_none_or(|(start, _)| gap.start < start)
                {
                    lost = Some((gap.start, head.base));
                }
                rest = rest.get(head.size as usize..).unwrap_or_default();
            }
        }
        // If another process has written since, it has cleaned, too. Kafka says at once in the file of
        // epochs that it leads; this process says it with a flush: of an epoch that is not told there,
        // and of which no frame is whole, nothing was acknowledged.
        let told = self.recovery.told_epoch.unwrap_or(self.latest_epoch());
        let Some((start, first)) = lost.filter(|_| newest >= told) else {
            return Ok(None);
        };
        if first != start {
            return Err(self.unconnected(start, first).into());
        }
        self.truncate_to(start, now)?;
        Ok(Some(start))
    }

    fn check_connected(&self, offset: Offset) -> Result<(), LogError> {
        let end = self.log_end;
        if offset == end { Ok(()) } else { Err(self.unconnected(end, offset)) }
    }

    fn unconnected(&self, end: Offset, offset: Offset) -> LogError {
        let active = self.active();
        let path = self.dir.file(active.base, FileKind::Log);
        let reason = DamageReason::Unconnected { end, offset };
        Corruption::new(&path, active.size.into(), reason).into()
    }
}
