//! All records that are stored: one module a record, in rooms by log, and for each log whose records
//! carry their type an enum over all of them.
//!
//! The frames around them are in `frames`; which version to write is the caller's choice, because it
//! follows from the features in force.

use crate::{DecodeError, EncodeError, Fault, Message, Reader, Schema, Writer};

mod frames;
mod remote;
mod shown;

pub use remote::show_remote_log_record;
pub use shown::{CoordinatorLog, ShowError, ShownValue, show_metadata_record};

/// An enum over the records of a log, by type id.
macro_rules! record_enum {
    ($enum:ident $($id:literal $variant:ident $module:ident $name:ident;)*) => {
        #[doc = concat!("Any of the records that `", stringify!($enum), "` is named for, by their type.")]
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "short-lived: replayed and dropped")]
        pub enum $enum {
            $(#[doc = concat!("Type ", stringify!($id), ".")] $variant($module::$name),)*
        }

        impl $enum {
            /// Every type, ascending.
            pub const TYPES: &'static [i16] = &[$($id),*];

            /// The schema of the record of that type.
            pub fn schema_of(record_type: i16) -> Option<&'static super::Schema> {
                match record_type {
                    $($id => Some(const { &<$module::$name as super::Message>::SCHEMA }),)*
                    _ => None,
                }
            }

            /// The number of the type.
            pub fn record_type(&self) -> i16 {
                match self { $(Self::$variant(_) => $id,)* }
            }

            /// Kafka's name of the record.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$module::$name as super::Message>::NAME,)* }
            }

            /// The newest version of the record.
            pub fn max_version(&self) -> i16 {
                match self { $(Self::$variant(_) => <$module::$name as super::Message>::MAX_VERSION,)* }
            }

            /// Reads the body of a record of `record_type`.
            ///
            /// # Errors
            /// A type or version that does not exist, or bytes that are not the record.
            pub fn decode_body(r: &mut super::Reader, record_type: i16, version: i16) -> Result<Self, super::DecodeError> {
                match record_type {
                    $($id => super::Message::decode(r, version).map(Self::$variant),)*
                    other => Err(r.error(super::Fault::UnknownRecordType(other))),
                }
            }

            /// Appends the body, without its frame.
            ///
            /// # Errors
            /// A version that does not exist or cannot carry the record.
            pub fn encode_body(&self, w: &mut super::Writer, version: i16) -> Result<(), super::EncodeError> {
                match self { $(Self::$variant(record) => super::Message::encode(record, w, version),)* }
            }
        }

        $(impl From<$module::$name> for $enum {
            fn from(record: $module::$name) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

include!(concat!(env!("OUT_DIR"), "/records.rs"));
