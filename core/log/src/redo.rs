//! Taking in what the write-ahead log holds and the segments lack, after a crash.

use dohle_base::{LeaderEpoch, Timestamp};

use crate::{
    disk::Disk,
    error::{AppendError, Corruption, DamageReason},
    log::Log,
    names::FileKind,
    scan::Head,
};

impl<D: Disk> Log<D> {
    /// Takes in a run of batches as they were once written. Those that are there are passed over. So
    /// is a run of an older epoch than the log's newest: another process has written to the
    /// directory since, and what it made of the log is true.
    ///
    /// # Errors
    /// `Corrupt` if something between the log's end and the batches is missing; the log is as it was.
    pub fn redo(&mut self, batches: &[u8], now: Timestamp) -> Result<(), AppendError> {
        let mut rest = batches;
        while !rest.is_empty() {
            let head = Head::parse(rest, 0)?;
            if head.leader_epoch < self.latest_epoch() {
                return Ok(());
            }
            if head.base > self.log_end {
                let (end, offset) = (self.log_end, head.base);
                let path = self.dir.file(self.active().base, FileKind::Log);
                let position = self.active().size.into();
                let reason = DamageReason::Unconnected { end, offset };
                return Err(AppendError::Log(Corruption::new(&path, position, reason).into()));
            }
            if head.base == self.log_end {
                self.append_as_follower(rest, LeaderEpoch(i32::MAX), now)?;
                return Ok(());
            }
            rest = rest.get(head.size as usize..).unwrap_or_default();
        }
        Ok(())
    }
}
