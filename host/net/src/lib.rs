//! Listeners, network threads and framed connections: bytes in, frames to a [`Handler`], replies
//! out in order.
//!
//! Each network thread is an OS thread with a single-threaded runtime of its own and one handler.
//! A connection lives on one of them, and its requests run to completion there: a wake-up on another
//! core costs about ten times a small request. Between two requests it may move to another thread, so
//! that all are together while one thread is enough (`balance.rs`). Within one turn a connection
//! reads once, hands every whole frame that the read brought to the handler, and sends all answers
//! in one write.
//!
//! ```text
//!            thread 0                              threads 0..n
//!  listener ─ accept ─ admission ─ Balance ─────▶ channel ─▶ connection task
//!                                                              Input ─ frames ─▶ Handler
//!                                                                                  │ Reply
//!                                                 socket ◀─ Output ◀─ Answers ◀────┘
//!                           channel of another thread ◀─ Balance
//! ```
//!
//! Invariants: answers leave in the order of their requests; nothing is allocated from a length
//! that a peer only claims; every queue has a bound in `limits.rs`, and at a bound the connection
//! stops reading; an idle connection holds no buffer; without traffic no thread wakes up.
//!
//! Deliberately not here: what a frame means (the handler knows), TLS and authentication, and
//! quotas.

mod admission;
mod balance;
mod bell;
mod buffers;
mod connection;
mod counters;
mod handler;
mod limits;
mod listener;
mod log_gate;
mod options;
mod response;
mod server;
mod thread;

pub use bell::wake_together;
pub use connection::{Frames, read_now};
pub use counters::{Counters, ThreadCounters};
pub use handler::{ConnectionContext, ConnectionId, Handler, Later, Outcome, Reply};
pub use listener::{BoundListener, ListenerSpec, Reserved};
pub use options::{Moves, Options};
pub use response::{Part, Parts, Response, SourceFile};
pub use server::{Server, StartError};
