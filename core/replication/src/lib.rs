//! Under construction.
#![allow(missing_docs)]
pub mod fetch_session;
pub mod wait;
