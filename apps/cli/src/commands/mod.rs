//! The commands, a file each.

pub(crate) mod consume;
pub(crate) mod dev;
pub(crate) mod dump_log;
mod node;
pub(crate) mod produce;
pub(crate) mod server;
pub(crate) mod storage;
pub(crate) mod topic;
