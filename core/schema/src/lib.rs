//! Build time only: reads `*.kmsg` files, which describe Kafka's messages, and writes Rust codecs.
//!
//! A schema is written once, by us, in terms of the domain; the codec, the table of API keys, the
//! registry that tests walk, and the random generator all derive from it. This crate touches no
//! files: `core/protocol/build.rs` hands it text and stores what it gives back.
//!
//! # The language
//!
//! One line a field: name, type, versions, then what is special about it.
//!
//! ```text
//! # A remark, for readers of the file only.
//!
//! // A sentence that becomes rustdoc of what follows.
//! request ProduceRequest api 0 Produce versions 3-13 flexible 9+ listeners broker advertised 0-13
//!   transactional_id  transactional_id?   3+  = null       // rustdoc of the field
//!   topic_data        [TopicProduceData]  0+
//!     name      topic_name  0-12  ignorable
//!     topic_id  topic_id    13+   ignorable
//!
//!   struct Shared 0+
//!     host  string  0+
//! ```
//!
//! *Messages* start at the margin: `request`, `response`, `header`, `data` (side files, control
//! records), `record` (a metadata record), `key` and `value` (a coordinator's record). Then follow
//! the name and, in any order, `api KEY NAME`, `id NUMBER`, `versions`, `flexible` (`none` or
//! `9+`), `listeners`, `advertised` (a wider range than is decoded), `unstable` (the newest version
//! is hidden), `forwardable`, `cluster_action`.
//!
//! *Fields* are indented by two spaces. Those indented below a field make up the struct that its
//! type names; `struct NAME VERSIONS` defines one that several fields use.
//!
//! *Types*: `bool i8 i16 i32 i64 u16 u32 f64 uuid string bytes records`, their domain forms
//! (`broker_id partition offset leader_epoch producer_id producer_epoch topic_id error_code ms ms64
//! timestamp topic_name group_id transactional_id`), a struct's name, and `[T]` for an array. A `?`
//! behind it makes the field nullable in all its versions, `?7+` in those.
//!
//! *Versions*: `3`, `3-7`, `3+`.
//!
//! *Attributes*: `= VALUE` (the default), `tag N` (a tagged field), `ignorable` (dropped silently
//! where the version lacks it), `plain` (never in compact form), `few` (an array that mostly has one
//! element, which then needs no memory of its own), `named EXACT` (Kafka's name, where it is not the
//! snake case read back).

mod check;
mod emit;
mod error;
mod model;
mod parse;

pub use emit::Output;
pub use error::{Fault, SchemaError};

/// A schema file: where it lies below the schema folder, and what it says.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative path with `/`, such as `records/metadata/topic.kmsg`: the folder decides the module.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Parses and checks all sources, then writes all Rust.
///
/// # Errors
/// The first line that is not the language, or that contradicts another.
pub fn generate(sources: &[Source]) -> Result<Output, SchemaError> {
    let mut messages = Vec::new();
    for source in sources {
        messages.extend(parse::parse(source)?);
    }
    check::check(&mut messages)?;
    Ok(emit::emit(&messages))
}
