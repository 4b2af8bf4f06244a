//! Taking in what the write-ahead log holds and the segments lack, after a crash.

use dohle_base::{LeaderEpoch, Offset, Timestamp};

use crate::{
    disk::Disk,
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
    /// # Errors
    /// `Corrupt` if something between the log's end and the batches is missing; the log is as it was.
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
            if head.base >= self.log_end && missing.is_none() {
                missing = Some((head.base, rest));
            }
            end = head.last.next();
            rest = rest.get(head.size as usize..).unwrap_or_default();
        }
        if let Some((offset, batches)) = missing {
            self.check_connected(offset)?;
            self.append_as_follower(batches, LeaderEpoch(i32::MAX), now)?;
        }
        Ok(end)
    }

    fn check_connected(&self, offset: Offset) -> Result<(), LogError> {
        let end = self.log_end;
        if offset == end {
            return Ok(());
        }
        let active = self.active();
        let path = self.dir.file(active.base, FileKind::Log);
        let reason = DamageReason::Unconnected { end, offset };
        Err(Corruption::new(&path, active.size.into(), reason).into())
    }
}
