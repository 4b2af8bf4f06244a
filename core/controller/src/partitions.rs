//! Partitions: how one changes, what a leader may ask for, in which directories replicas lie, and how
//! more are made.

mod alter;
mod assign;
mod change;
mod create;

pub(crate) use change::Change;
