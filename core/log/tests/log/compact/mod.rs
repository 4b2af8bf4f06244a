//! Compaction of a whole log: what stays, what a power cut leaves, what happens at the same time.

mod aborts;
mod crash;
pub(crate) mod kit;
mod legacy;
mod planted;
mod promise;
mod property;
mod races;
mod rules;
mod transactions;
