//! What the thread does, one thing when it is wanted.

use std::sync::Arc;

use dohle_base::Timestamp;

use super::{Inbox, Retention, Which, Worker, check};
use crate::Broker;

/// When all is due.
const IN_THE_END: Timestamp = Timestamp(i64::MAX);

impl Retention {
    /// Removes old segments, as every so often.
    pub(crate) fn step_check(&self, broker: &Broker) {
        for which in [Which::Plain, Which::Compacted] {
            check::remove_expired(broker, which, || false);
        }
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
