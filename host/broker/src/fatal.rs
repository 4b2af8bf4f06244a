//! Why the node cannot go on: its metadata directory, or the last of its log directories, has failed.
//!
//! Whoever finds out tells; whoever runs the node hears it and ends the process, as Kafka does.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tracing::error;

/// Tells and hears that the node cannot go on. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Fatal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    reason: OnceLock<String>,
    told: Notify,
}

impl Fatal {
    /// The node cannot go on. Only the first reason counts.
    pub fn tell(&self, reason: impl Into<String>) {
        let reason = reason.into();
        error!("the node cannot go on: {reason}");
        if self.shared.reason.set(reason).is_ok() {
            self.shared.told.notify_one();
        }
    }

    /// Waits until the node cannot go on; says why.
    pub async fn heard(&self) -> &str {
        loop {
            if let Some(reason) = self.shared.reason.get() {
                return reason;
            }
            self.shared.told.notified().await;
        }
    }
}
