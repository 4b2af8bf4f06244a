//! What the thread does, one thing when it is wanted.

use std::sync::Arc;

use dohle_base::Timestamp;

use super::{Inbox, Retention, Worker, check};
use crate::Broker;

/// When all is due.
const IN_THE_END: Timestamp = Timestamp(i64::MAX);

impl Retention {
    /// Notes the log starts that somebody waits for.
    pub(crate) fn step_notes(&self, broker: &Arc<Broker>) {
        let moved_starts = std::mem::take(&mut self.shared.inbox().moved_starts);
        let worker = Worker::new(Arc::clone(broker), Arc::clone(&self.shared));
        for (dir, waiting) in moved_starts {
            worker.write_log_starts(dir, waiting);
        }
    }

    /// Removes old segments, as every so often.
    pub(crate) fn step_check(&self, broker: &Broker) {
        check::remove_expired(broker, || false);
    }

    /// Removes what was deleted, as after a while.
    pub(crate) fn step_removals(&self, broker: &Arc<Broker>) {
        check::unlink(broker, IN_THE_END);
        let Inbox { deleted_dirs, .. } = std::mem::take(&mut *self.shared.inbox());
        let mut worker = Worker::new(Arc::clone(broker), Arc::clone(&self.shared));
        worker.deleted_dirs = deleted_dirs;
        worker.remove_dirs(IN_THE_END);
    }
}
