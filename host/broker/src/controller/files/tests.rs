//! The metadata log goes back as far as retention says, and whatever call the power is cut behind,
//! a start finds all that was answered.
//!
//! Method: a node over a simulated disk makes topics, writes snapshots and shortens its log, cut at
//! each of its disk calls in turn (`dohle_log::sim::cuts`).

mod cuts;
mod first_records;
mod found;
mod retention;
mod stage;

use super::*;

pub(in crate::controller) use stage::{formatted, load, registration, settings};
