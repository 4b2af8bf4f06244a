//! The frames around stored records.
//!
//! ```text
//! metadata record, remote log metadata  varint frame version (1), varint type, varint version, body
//! coordinator key                       i16 type, body in version 0
//! coordinator value                     i16 version, body
//! ```
//!
//! All of these must end where the body does. A coordinator's log may hold a null value instead, a
//! tombstone; that is for its reader to see.

use bytes::Bytes;

use super::{
    group::{GroupRecordKey, GroupRecordValue},
    log::RemoteLogRecord,
    metadata::MetadataRecord,
    share::{ShareRecordKey, ShareRecordValue},
    transaction::{TransactionRecordKey, TransactionRecordValue},
};
use crate::{DecodeError, EncodeError, Fault, Reader, Writer};

#[cfg(test)]
mod tests;

/// The version of the frame around typed records. Source: interop facts A.11 for metadata records,
/// observed of Kafka 4.4.0 for remote log metadata.
const FRAME_VERSION: u32 = 1;

fn small(r: &mut Reader, fault: fn(i16) -> Fault) -> Result<i16, DecodeError> {
    let value = r.unsigned_varint()?;
    i16::try_from(value).map_err(|_| r.error(fault(i16::MAX)))
}

macro_rules! typed_frames {
    ($($record:ident)*) => {$(
        impl $record {
            /// The record in the value of a record of its log, and the version it has there.
            ///
            /// # Errors
            /// An unknown frame, type or version, or bytes that are not the record alone.
            pub fn decode(value: Bytes) -> Result<(Self, i16), DecodeError> {
                let mut r = Reader::new(value);
                let frame = r.unsigned_varint()?;
                if frame != FRAME_VERSION {
                    return Err(r.error(Fault::UnknownFrameVersion(frame)));
                }
                let record_type = small(&mut r, Fault::UnknownRecordType)?;
                let version = small(&mut r, Fault::UnsupportedVersion)?;
                let record = Self::decode_body(&mut r, record_type, version)?;
                r.finish()?;
                Ok((record, version))
            }

            /// Appends the value of a record of its log.
            ///
            /// # Errors
            /// A version that does not exist or cannot carry the record.
            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                w.unsigned_varint(FRAME_VERSION);
                w.unsigned_varint(u32::from(self.record_type().unsigned_abs()));
                w.unsigned_varint(u32::from(version.unsigned_abs()));
                self.encode_body(w, version)
            }

            /// The value of a record of its log.
            ///
            /// # Errors
            /// As [`Self::encode`].
            pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
                let mut w = Writer::new();
                self.encode(&mut w, version)?;
                Ok(w.into_bytes())
            }
        }
    )*};
}

typed_frames! { MetadataRecord RemoteLogRecord }

macro_rules! coordinator_frames {
    ($($key:ident $value:ident;)*) => {$(
        impl $key {
            /// The key of a coordinator's record.
            ///
            /// # Errors
            /// [`Fault::UnknownRecordType`], which a reader of the log passes over, or bytes that
            /// are not a key alone.
            pub fn decode(key: Bytes) -> Result<Self, DecodeError> {
                let mut r = Reader::new(key);
                let record_type = r.get()?;
                let decoded = Self::decode_body(&mut r, record_type, 0)?;
                r.finish()?;
                Ok(decoded)
            }

            /// The key as it is stored.
            ///
            /// # Errors
            /// A string that is too long.
            pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
                let mut w = Writer::new();
                w.put(self.record_type());
                self.encode_body(&mut w, 0)?;
                Ok(w.into_bytes())
            }
        }

        impl $value {
            /// The value behind a key of `record_type`, and the version it has there.
            ///
            /// # Errors
            /// An unknown type or version, or bytes that are not the value alone.
            pub fn decode(record_type: i16, value: Bytes) -> Result<(Self, i16), DecodeError> {
                let mut r = Reader::new(value);
                let version = r.get()?;
                let decoded = Self::decode_body(&mut r, record_type, version)?;
                r.finish()?;
                Ok((decoded, version))
            }

            /// The value as it is stored.
            ///
            /// # Errors
            /// A version that does not exist or cannot carry the value.
            pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
                let mut w = Writer::new();
                w.put(version);
                self.encode_body(&mut w, version)?;
                Ok(w.into_bytes())
            }
        }
    )*};
}

coordinator_frames! {
    GroupRecordKey GroupRecordValue;
    TransactionRecordKey TransactionRecordValue;
    ShareRecordKey ShareRecordValue;
}
