//! The binary as a shell sees it: what it prints, what it leaves on the disk, and how it ends.
//!
//! Each test runs `dohle` as a process. Those in `kafka` need Kafka's jars and say so when they are
//! passed over; the others need nothing.

mod arguments;
mod damage;
mod dump_log;
mod dump_remote_log;
mod dump_side_files;
mod failed_dirs;
mod kafka;
mod many;
mod metrics;
mod moves;
mod node;
mod process;
mod producers;
mod server;
mod storage;
mod together;
mod wire;
