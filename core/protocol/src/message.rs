//! The traits that all generated messages implement.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{ApiKey, DecodeError, EncodeError, Fault, Reader, Schema, Writer};

/// An array that mostly has one element, as the topics and partitions of a produce request: one needs no
/// memory of its own.
pub type Few<T> = SmallVec<[T; 1]>;

/// A struct of a message. Not nameable outside: versions are not checked at this level.
pub trait Part: Sized {
    /// The fewest bytes that one takes in any version; bounds how many can follow.
    const MIN_SIZE: usize;

    /// Reads the fields that `version` has; the others get their defaults.
    ///
    /// # Errors
    /// Bytes that are not this struct.
    fn read(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Appends the fields that `version` has.
    ///
    /// # Errors
    /// A value that `version` cannot carry.
    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A request, a response, a header or a stored record.
pub trait Message: Part {
    /// Kafka's name of it.
    const NAME: &'static str;
    /// The oldest version that is decoded and encoded.
    const MIN_VERSION: i16;
    /// The newest version.
    const MAX_VERSION: i16;
    /// The first version with compact forms and tagged fields.
    const FLEXIBLE_FROM: Option<i16>;
    /// What its schema says, as data.
    const SCHEMA: Schema;

    /// Whether `version` has compact forms and tagged fields.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE_FROM.is_some_and(|first| version >= first)
    }

    /// Reads one message and leaves the reader behind it.
    ///
    /// # Errors
    /// A version that the message does not have, or bytes that are not the message.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&version) {
            return Err(r.error(Fault::UnsupportedVersion(version)));
        }
        Self::read(r, version)
    }

    /// Appends the message. After an error the writer holds a part of it and is of no further use.
    ///
    /// # Errors
    /// A version that the message does not have, or a value that it cannot carry.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.write(w, version)
    }

    /// The message that `bytes` are, all of them.
    ///
    /// # Errors
    /// As [`Message::decode`], and bytes left over.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = Self::decode(&mut r, version)?;
        r.finish()?;
        Ok(message)
    }

    /// The message alone as bytes. Spliced records leave no bytes: this is for messages without.
    ///
    /// # Errors
    /// As [`Message::encode`].
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        self.encode(&mut w, version)?;
        Ok(w.into_bytes())
    }
}

/// A message that is answered.
pub trait Request: Message {
    /// The API that it belongs to.
    const KEY: ApiKey;
    /// What answers it, in the same version.
    type Response: Message;
}
