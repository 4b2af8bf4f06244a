//! The client's side of the protocol as machines without sockets: a producer, a consumer, and
//! routed requests for everything administrative.
//!
//! ```text
//!   Producer ─┐                        ┌─ Metadata     who leads what
//!   Consumer ─┼─▶ Cluster ─────────────┤
//!   Requester ┘   (routes, refreshes)  └─ Connections  versions, correlation, time-outs
//! ```
//!
//! Each of the three is a [`Core`]: [`Input`]s say what sockets did, [`Output`]s say what sockets
//! shall do, and time is an argument. After every call that takes `now`, drain `poll_output`, then
//! wait for an input or until `poll_timeout`. The same inputs always give the same outputs.
//!
//! Deliberately not here: sockets, clocks, TLS and SASL, and how a caller waits (`host/client`).

pub mod admin;
mod backoff;
mod calls;
mod cluster;
mod config;
mod connections;
mod consumer;
mod coordinator;
mod error;
mod metadata;
mod producer;
#[cfg(test)]
mod stage;
mod topic_partition;
mod versions;

pub use calls::{Limits, Requester, Route, Verdict};
pub use config::{Address, AddressError, ClientConfig, ConfigError};
pub use connections::{Input, LinkId, Output};
pub use consumer::{
    Assignor, CommitError, CommittedOffset, ConsumeError, Consumer, ConsumerConfig, ConsumerEvent,
    ConsumerRecord, IsolationLevel, OffsetReset, Polled, SeekTo,
};
pub use coordinator::CoordinatorKind;
pub use error::{RequestError, ServerError};
pub use metadata::{BrokerAddress, Metadata, PartitionMetadata, TopicMetadata};
pub use producer::{
    Acks, Delivered, ProduceError, Producer, ProducerConfig, ProducerEvent, ProducerRecord,
};
pub use topic_partition::TopicPartition;

use dohle_base::{Instant, Now};

/// What a driver needs to run a machine: sockets' news in, sockets' work out, and when to wake it.
pub trait Core {
    /// Takes what a socket did.
    fn handle_input(&mut self, now: Now, input: Input);

    /// Does what has become due. Calling it early does no harm.
    fn handle_timeout(&mut self, now: Now);

    /// What a socket shall do next, in order; `None` when there is nothing left.
    fn poll_output(&mut self) -> Option<Output>;

    /// When to call [`Self::handle_timeout`] if nothing happens before; `None` for never.
    fn poll_timeout(&self) -> Option<Instant>;
}
