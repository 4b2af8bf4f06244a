//! Partitions: how one changes, what a leader may ask for, and how more are made.

mod alter;
mod change;
mod create;

pub(crate) use change::Change;
