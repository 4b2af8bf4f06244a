//! The group coordinator: who is in which consumer group, who reads what, and how far they got.
//!
//! [`GroupMachine`] is the state machine over one partition of `__consumer_offsets`. It serves
//! classic groups and committed offsets; groups of newer protocols in its log are left as they are.
//!
//! The driver of a partition
//!
//! 1. on becoming leader: makes a [`dohle_machine::Runtime`], replays the log through
//!    [`GroupRecord::decode`] (and control batches as [`GroupRecord::EndMarker`]), then hands it
//!    [`Command::Configure`] and [`Command::Loaded`];
//! 2. for each request: hands it a [`Command`], and carries out effects as they are released;
//! 3. ticks it while the deadline is past. One tick does a bounded portion of work, so the deadline
//!    may still be past after it; if the journal refuses a tick's records, hands it, before anything else and
//!    with the same time, [`Command::TickTooLarge`] or [`Command::TickRefused`];
//! 4. when the journal refuses, gives [`Effect::fail`] of every effect to whoever waits for it;
//! 5. on losing the leadership: hands it [`Command::Unloaded`] and does the same with all that
//!    [`dohle_machine::Runtime::resign`] gives.
//!
//! What is durable follows from records alone and lives in [`GroupMachine`]. Rebalances under way,
//! waiting members and timers live in [`Session`] and are lost with the leadership, as in Kafka.

mod admin;
mod classic;
mod command;
mod expire;
mod machine;
mod modern;
mod offsets;
mod portion;
mod records;
mod reply;
mod session;
mod settings;
mod subscription;

pub use admin::ListFilter;
pub use classic::{ClassicGroup, GroupState, LiveGroup, Member, MemberProtocol};
pub use command::{Caller, Command};
pub use machine::{Group, GroupMachine};
pub use modern::{GroupKind, ModernGroup};
pub use offsets::{CommittedOffset, Offsets, fetch_failure, fetch_requests, fetch_response};
pub use portion::Names;
pub use records::{GroupRecord, KeyValue, RecordError, Trace};
pub use reply::{Effect, Reply, ReplyToken, append_error};
pub use session::{Purge, Session, Soft, Timer};
pub use settings::GroupSettings;

/// What a command or a tick leads to.
pub type GroupDecision = dohle_machine::Decision<GroupRecord, Soft, Effect>;
