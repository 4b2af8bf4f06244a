//! Everything that Kafka's peers say to one another, and all records that are stored: one struct a
//! message, generated from `schema/**/*.kmsg`, with codecs for every version that Kafka 4.4 serves.
//!
//! * Decoding never trusts a length: each is checked against the bytes that remain before anything
//!   is allocated, and errors are small `Copy` values with a position.
//! * Bytes and records are slices of the frame they came in, never copies.
//! * A value that the chosen version would lose silently is refused, as Kafka refuses it.
//!
//! Deliberately not here: sockets, what a message means, and the inside of record batches.

mod api_key;
mod error;
mod frame;
pub mod json;
mod message;
mod prelude;
#[cfg(feature = "random")]
pub mod random;
mod reader;
mod record_set;
mod registry;
mod scalar;
mod writer;

pub mod records;

/// Requests, responses and their headers: one module a message, named as in Kafka's schemas.
pub mod api {
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

pub use api_key::ApiKey;
pub use error::{DecodeError, EncodeError, Fault};
pub use frame::{
    RequestPrefix, decode_request_header, decode_response, encode_request, encode_response,
};
pub use message::{Few, Message, Request};
pub use reader::{MAX_ELEMENTS, MAX_STRING, MAX_TAGS, Reader};
pub use record_set::RecordSet;
pub use registry::{FieldSchema, Kind, Schema, Versions, registry};
pub use writer::{Splice, Splices, Writer};
