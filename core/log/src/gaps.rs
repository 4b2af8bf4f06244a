//! What the cleaner took leaves offsets without a record: between batches, or within one.
//!
//! Nothing else does: a log that was never cleaned has a record at each offset from its start to its
//! end. So the batches themselves tell of a clean that no checkpoint tells of.

use dohle_base::Offset;

use crate::{
    disk::DiskFile,
    error::{Corruption, DamageReason, LogError},
    read::Slice,
    scan::HeadScan,
    segment::SEGMENT_SIZE_MAX,
};

impl<F: DiskFile> Slice<F> {
    /// Where the records end that lie without a gap from `from` on, and in whole batches; `None` if
    /// one of those offsets has no record, or an old message does not tell. Reads the heads only, and
    /// stops behind the batch with which it has passed `bytes_max`. The slice ends with a batch.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn end_without_gap(
        &self,
        from: Offset,
        bytes_max: u32,
    ) -> Result<Option<Offset>, LogError> {
        let end = self.position + self.size as u64;
        let (Ok(start), Ok(end)) = (u32::try_from(self.position), u32::try_from(end)) else {
            let reason = DamageReason::TooLong { size: end };
            return Err(Corruption::new(self.file.path(), SEGMENT_SIZE_MAX.into(), reason).into());
        };
        let mut scan = HeadScan::new(&self.file, start, end);
        let mut expected = from;
        while let Some(head) = scan.next()? {
            if head.base > expected || !head.is_whole {
                return Ok(None);
            }
            expected = head.last.next();
            if head.end() - start >= bytes_max {
                break;
            }
        }
        Ok(Some(expected))
    }
}
