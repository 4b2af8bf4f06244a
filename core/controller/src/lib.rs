//! The controller: decides on changes of the cluster's metadata.
//!
//! [`Controller`] is a [`Machine`](dohle_machine::Machine): a [`Command`] is decided on against the
//! image and becomes records of the metadata log; the [`Answer`] follows when they are committed.
//! [`Node`] joins it with raft as its log, for a node that is controller and broker in one process:
//! what is left to the host are files and messages.
//!
//! ```text
//!  request ──▶ Node ──▶ Controller: decide ──▶ Raft: append ──▶ host: write, fsync
//!                ▲                                                   │
//!  reply, image ◀┴──────────────── high watermark ◀──────── persisted ┘
//! ```
//!
//! Not here: authorisation, wire versions, files, clocks. Whoever asks has been let in.

mod activation;
mod brokers;
mod command;
mod configs;
mod controller;
mod controllers;
mod elect;
mod lookup;
mod node;
mod partitions;
mod placement;
mod producer_ids;
mod repeated;
mod session;
mod settings;
mod topics;

pub use command::{Answer, ApiError, Command, Context, Reply, Request, RequestToken};
pub use controller::{Controller, Fault};
pub use node::{
    Node, NodeConfig, NodeLoader, NodeOutput, OpenError, Published, SnapshotJob, SnapshotPolicy,
};
pub use placement::{PlacementError, UsableBroker, place};
pub use session::{Session, Soft};
pub use settings::Settings;
