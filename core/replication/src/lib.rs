//! One partition and its replicas, pure: what is committed, who waits for it, and what a consumer's
//! fetch session remembers.
//!
//! Not here: the wire, locks, clocks, and the decision who leads.

mod commit;
pub mod fetch_session;
mod leader;
pub mod wait;

pub use leader::{CommitRule, Found, Isolation, Leader, Read, Standing};
