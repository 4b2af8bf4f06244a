//! The commands, a file each.

pub(crate) mod consume;
pub(crate) mod dev;
mod node;
pub(crate) mod produce;
pub(crate) mod server;
pub(crate) mod storage;
pub(crate) mod topic;
