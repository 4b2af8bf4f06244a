//! Groups of the classic protocol: members meet at a barrier (JoinGroup), a leader among them says
//! who gets what (SyncGroup), and heartbeats tell who is still there.
//!
//! ```text
//!   Empty ──first join──▶ PreparingRebalance ◀──join, leave, expiry── Stable
//!     ▲                        │     ▲                                   ▲
//!     │                 all in, or   └──join, leave, expiry──┐           │ leader's sync:
//!     │                 out of time                          │           │ record written
//!     │                        ├──members──▶ CompletingRebalance ────────┘
//!     └────────nobody──────────┘
//! ```
//!
//! Only what a record says is durable ([`ClassicGroup`]); the barrier and the states in between are
//! soft ([`LiveGroup`]). A decision works on a copy of the live group, a `Draft`, whose
//! persistent maps make copies cheap, and puts it back as a whole.
//!
//! Source: Kafka 4.4, KIP-62, KIP-345 (static members), KIP-394 (member ids first), KIP-559
//! (protocol in answers), KIP-814 (static leader that keeps its assignment).

mod draft;
mod heartbeat;
mod join;
mod leave;
mod live;
mod rebalance;
mod state;
mod sync;

pub use live::LiveGroup;
pub use state::{ClassicGroup, GroupState, Member, MemberProtocol};

pub(crate) use draft::Draft;
pub(crate) use heartbeat::{expire_member, heartbeat, told};
pub(crate) use join::join;
pub(crate) use leave::leave;
pub(crate) use sync::sync;
