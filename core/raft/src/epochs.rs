//! Which epochs the log holds, and where each begins.
//!
//! Invariant: epochs and start offsets both ascend, the epochs strictly.

use dohle_base::{LeaderEpoch, Offset};

/// The epochs of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochHistory {
    /// Notes that a batch of `epoch` begins at `offset`.
    ///
    /// # Panics
    /// When the epoch is older than one that was noted: whoever appends checks that first.
    pub fn note(&mut self, epoch: LeaderEpoch, offset: Offset) {
        match self.starts.last() {
            Some((last, _)) if *last == epoch => {}
            Some((last, start)) => {
                assert!(*last < epoch, "epochs never decrease");
                assert!(*start <= offset, "offsets never decrease");
                self.starts.push((epoch, offset));
            }
            None => self.starts.push((epoch, offset)),
        }
    }

    /// The epoch of the last batch; none if there is no batch.
    pub fn last(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// The epochs with the offsets at which they begin, oldest first.
    pub fn starts(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }

    /// The largest epoch not above `epoch`, and the offset behind its last record; `log_end` is the
    /// end of the whole log. None if all that is known is newer.
    pub fn end_offset(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let newer = self.starts.partition_point(|(start, _)| *start <= epoch);
        let (found, _) = *self.starts.get(newer.checked_sub(1)?)?;
        let end = self.starts.get(newer).map_or(log_end, |(_, start)| *start);
        Some((found, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut epochs = EpochHistory::default();
        for (epoch, offset) in [(1, 0), (1, 5), (3, 8), (4, 8), (4, 20)] {
            epochs.note(LeaderEpoch(epoch), Offset(offset));
        }
        assert_eq!(epochs.last(), Some(LeaderEpoch(4)));
        for (asked, found) in [
            (0, None),
            (1, Some((1, 8))),
            (2, Some((1, 8))),
            (3, Some((3, 8))),
            (4, Some((4, 30))),
            (9, Some((4, 30))),
        ] {
            let expected = found.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
            assert_eq!(epochs.end_offset(LeaderEpoch(asked), Offset(30)), expected, "{asked}");
        }
    }

    #[test]
    #[should_panic(expected = "epochs never decrease")]
    fn an_older_epoch_is_a_bug() {
        let mut epochs = EpochHistory::default();
        epochs.note(LeaderEpoch(2), Offset(0));
        epochs.note(LeaderEpoch(1), Offset(1));
    }
}
