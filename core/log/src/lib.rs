//! One partition's log over a disk: segments, indexes, leader epochs, producers' state, recovery.
//!
//! The bytes are Kafka's: a directory written here opens there and the other way round. The disk is
//! a trait (`disk::Disk`), time is an argument, and a log is an owned value without locks, so that
//! the same code runs on a real disk and on one that forgets (`sim::SimDisk`).
//!
//! - `Log` is the log of one partition; `Log::open` is where to start reading.
//! - `inspect` reads single files of a log as they are, for people who look at them.
//! - `checkpoint`, `clean_stop`, `partition_metadata`, `PartitionDir` are the side files and names
//!   of log directories. `meta.properties`, which says whose directory it is, is core/metadata's.
//!
//! What it must not know: topics' replicas, high watermarks but as numbers, sockets, threads,
//! clocks.

pub mod checkpoint;
pub mod clean_stop;
pub mod conformance;
pub mod disk;
pub mod inspect;
pub mod offline;
pub mod partition_metadata;
pub mod sim;
pub mod wal;

mod aborts;
mod append;
mod behind;
mod believed;
mod clean;
mod config;
mod deleted;
mod epoch_cache;
mod error;
mod flush;
mod gaps;
mod load;
mod log;
mod lookup;
mod names;
mod names_sync;
mod offset_index;
mod prepare;
mod producer_state;
mod read;
mod recent;
mod recover;
mod redo;
mod relocate;
mod reserve;
mod retention;
mod scan;
mod sealed;
mod search;
mod segment;
mod split;
mod time_index;
mod times;
mod truncate;
mod txn_index;

pub use append::{Appended, Origin, Results};
pub use clean::{
    CleanError, CleanMemory, CleanPlan, CleanStats, Cleaned, Cleaning, Dirtiness, Pace, Replacement,
};
pub use config::{CompressionPolicy, LogConfig};
pub use deleted::UnlinkPlan;
pub use disk::{Disk, DiskFile, IoError};
pub use epoch_cache::{EpochCache, EpochEnd, EpochStart};
pub use error::{
    AppendError, Corruption, DamageReason, LogError, Place, ProducerError, ReadError, ToldSynced,
};
pub use flush::{FlushPlan, Flushed};
pub use log::Log;
pub use lookup::{TimeSearch, TimestampOffset};
pub use names::{DirNameError, DirRole, PartitionDir, is_topic_name};
pub use names_sync::{NamesPlan, NamesSynced};
pub use producer_state::{ProducerBatch, ProducerState};
pub use read::{ReadRange, Slice, Sought};
pub use recover::{Cut, Mended, OnDamage, OpenLog, Recovery, Synced, WrongStart};
pub use retention::{Expired, ExpiryReason, Removal};
pub use txn_index::AbortedTransaction;
