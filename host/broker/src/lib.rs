//! The broker: one file per API key in `api/`, the registry of partitions, and the drivers that give
//! the cores a disk, a clock and a thread.
//!
//! ```text
//!   host/net ──frame──▶ dispatch ──▶ api/* ──▶ partitions                 (on the network thread)
//!                                      ├─────▶ coordinator ──▶ partitions  (its own thread)
//!                                      └─────▶ controller ──▶ publisher    (its own thread)
//! ```
//!
//! Not here: sockets, the life of the process, and rules that a core could know.

mod api;
mod authorize;
mod broker;
mod cleaner;
mod commit;
mod controller;
mod coordinator;
#[cfg(test)]
mod cuts;
mod disk;
mod dispatch;
mod durability;
mod fatal;
#[cfg(test)]
mod kit;
mod log_dirs;
mod metadata;
pub mod metrics;
mod moves;
mod open_files;
mod partition;
mod partition_dirs;
mod partitions;
mod placement;
mod producer_ids;
mod publisher;
mod retention;
mod storage;
mod time_limit;
mod topic_config;
mod topic_names;
mod upkeep;

pub use broker::{Broker, ListenerKind, Parts};
pub use cleaner::Cleaner;
pub use controller::{
    ControllerHandle, ControllerInbox, Driver, DriverError, FilesError, MetadataFiles,
};
pub use coordinator::{Coordinator, GroupWrites};
pub use dispatch::Dispatcher;
pub use fatal::Fatal;
pub use log_dirs::{Alarm, LogDir, LogDirContext, LogDirError};
pub use metadata::Published;
pub use moves::Moves;
pub use open_files::OpenFiles;
pub use publisher::Publisher;
pub use retention::Retention;
pub use upkeep::{Upkeep, UpkeepInbox};
