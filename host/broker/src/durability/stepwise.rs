//! Rounds of a directory without threads, one when it is wanted: what they do to the disk comes in one order.

use super::{Pending, WriteAhead, rounds::Runner};

impl WriteAhead {
    /// Does what the writer would do before it sleeps again.
    pub(crate) fn step(&self) {
        loop {
            let pending = self.pending();
            if pending.is_over || !pending.has_work() {
                return;
            }
            self.run_round(pending, Runner::Writer);
        }
    }

    /// The process is gone: there are no more rounds.
    pub(crate) fn die(&self) {
        if let Some(rounds) = self.rounds().take() {
            rounds.end();
        }
        // They hold on to the directory, which holds on to this.
        *self.pending() = Pending::default();
    }
}
