//! Administration: what to ask for each operation, and what the answers say.
//!
//! All of it is pure: requests out of plain values, plain values out of answers. Routing and
//! trying again is the [`Requester`](crate::Requester)'s; putting several requests together is the
//! driver's. Items that fail one by one have a `Result` each.

pub mod cluster;
pub mod configs;
pub mod groups;
pub mod offsets;
pub mod topics;
