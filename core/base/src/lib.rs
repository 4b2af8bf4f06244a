//! The words that every other crate speaks: identifiers that cannot be swapped for one another,
//! error codes, time as a value, and a seeded source of randomness.
//!
//! Nothing here reads a clock, an entropy source, a file or a socket, and nothing here knows a
//! message or a file format.

mod error_code;
mod hash;
mod ids;
mod rng;
mod text;
mod time;
mod uuid;

pub use compact_str::CompactString as Str;
pub use error_code::ErrorCode;
pub use hash::{java_string_hash, murmur2, partition_for_string};
pub use ids::{BrokerId, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId};
pub use rng::Rng;
pub use text::text_lossy;
pub use time::{Instant, Now, Timestamp};
pub use uuid::{TopicId, Uuid, UuidError};
