//! The driver of the controller: one thread that owns the metadata side of the node, its log and its
//! snapshots, and publishes what is committed.
//!
//! ```text
//!   handler ──Ask──▶ inbox ──▶ Node ──Append──▶ files: write, one fsync for all that is there
//!      ▲                         │
//!      └── oneshot ◀── Reply ◀───┴── Publish ──▶ publisher ──▶ requests see the image
//! ```
//!
//! The image is published before the reply that speaks of it is sent, on the same thread.
//! Not here: what may change and how (core/controller), and what a change means for partitions
//! (`publisher`).

mod driver;
mod files;
mod snapshots;

use dohle_controller::{Reply, Request};
use dohle_raft::QuorumDescription;
use tokio::sync::{mpsc, oneshot};

use crate::api::controller_call::stopped;

pub use driver::{Driver, DriverError};
pub use files::{FilesError, MetadataFiles};

/// How many requests may wait for the controller before senders wait themselves.
const INBOX_MAX: usize = 1_024;

/// What reaches the controller's thread.
pub(crate) enum Event {
    /// A request.
    Ask { request: Box<Request>, reply: oneshot::Sender<Reply> },
    /// What is the quorum like?
    DescribeQuorum { reply: oneshot::Sender<Option<QuorumDescription>> },
    /// End of the thread.
    Stop,
}

/// Reaches the controller's thread.
#[derive(Clone)]
pub struct ControllerHandle {
    inbox: mpsc::Sender<Event>,
}

/// The other end, for the thread.
pub struct ControllerInbox(pub(crate) mpsc::Receiver<Event>);

impl ControllerHandle {
    /// A handle and the inbox that its thread will read.
    pub fn new() -> (Self, ControllerInbox) {
        let (inbox, events) = mpsc::channel(INBOX_MAX);
        (Self { inbox }, ControllerInbox(events))
    }

    /// Asks the controller. Refused with `NOT_CONTROLLER` once it has stopped.
    pub async fn ask(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let event = Event::Ask { request: Box::new(request), reply };
        if self.inbox.send(event).await.is_err() {
            return stopped();
        }
        answer.await.unwrap_or_else(|_| stopped())
    }

    /// As `ask`, for threads that may block.
    pub(crate) fn ask_blocking(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let event = Event::Ask { request: Box::new(request), reply };
        if self.inbox.blocking_send(event).is_err() {
            return stopped();
        }
        answer.blocking_recv().unwrap_or_else(|_| stopped())
    }

    /// The quorum as this node sees it; none if it does not lead.
    pub async fn describe_quorum(&self) -> Option<QuorumDescription> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Event::DescribeQuorum { reply }).await.ok()?;
        answer.await.ok().flatten()
    }

    /// Ends the thread, once it has answered what reached it before. For threads that may block.
    pub fn stop(&self) {
        // Fails only when the thread has ended.
        let _ = self.inbox.blocking_send(Event::Stop);
    }
}
