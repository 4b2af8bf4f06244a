//! Random messages of every schema and version, and codecs without types. Only for tests.

use bytes::Bytes;
use dohle_base::{Rng, Str};

use crate::{DecodeError, EncodeError, Message, RecordSet, Schema, scalar::Scalar};

/// A value that can be made up so that `version` can carry it.
pub trait Random: Sized {
    /// Any value; fields that `version` lacks stay at their defaults.
    fn random(rng: &mut Rng, version: i16) -> Self;
}

/// A message of a type that is not known where it is used.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Its schema.
    pub schema: &'static Schema,
    encode_random: fn(&mut Rng, i16) -> Result<Bytes, EncodeError>,
    reencode: fn(Bytes, i16) -> Result<Result<Bytes, EncodeError>, DecodeError>,
}

impl Codec {
    const fn of<M: Message + Random>(schema: &'static Schema) -> Self {
        Self {
            schema,
            encode_random: |rng, version| M::random(rng, version).to_bytes(version),
            reencode: |bytes, version| Ok(M::from_bytes(bytes, version)?.to_bytes(version)),
        }
    }

    /// The bytes of a random message of `version`.
    ///
    /// # Errors
    /// A version that does not exist.
    pub fn encode_random(&self, rng: &mut Rng, version: i16) -> Result<Bytes, EncodeError> {
        (self.encode_random)(rng, version)
    }

    /// Decodes all of `bytes` and encodes what came out.
    ///
    /// # Errors
    /// Outside, what decoding said; inside, what encoding said.
    pub fn reencode(
        &self,
        bytes: Bytes,
        version: i16,
    ) -> Result<Result<Bytes, EncodeError>, DecodeError> {
        (self.reencode)(bytes, version)
    }
}

/// Every message, in the order of [`crate::registry`].
pub fn codecs() -> &'static [Codec] {
    CODECS
}

/// The message of that name.
pub fn codec(name: &str) -> Option<&'static Codec> {
    CODECS.iter().find(|codec| codec.schema.name == name)
}

fn coin(rng: &mut Rng) -> bool {
    rng.below(2) == 0
}

fn string(rng: &mut Rng) -> Str {
    // Now and then beyond what is stored inline, and beyond a one-byte length.
    let length = [0, 3, 12, 30, 200][rng.below(5) as usize];
    (0..length).map(|_| ['a', 'Z', '0', '.', '-', 'ä', '€', '🐦'][rng.below(8) as usize]).collect()
}

fn bytes(rng: &mut Rng) -> Bytes {
    let end = [1, 10, 300][rng.below(3) as usize];
    let mut bytes = vec![0; rng.below(end) as usize];
    rng.fill(&mut bytes);
    bytes.into()
}

fn records(rng: &mut Rng) -> RecordSet {
    RecordSet::Bytes(bytes(rng))
}

fn scalars<T: Scalar>(rng: &mut Rng) -> Vec<T> {
    (0..rng.below(4)).map(|_| T::random(rng)).collect()
}

fn strings(rng: &mut Rng) -> Vec<Str> {
    (0..rng.below(4)).map(|_| string(rng)).collect()
}

fn parts<T: Random>(rng: &mut Rng, version: i16) -> Vec<T> {
    (0..rng.below(3)).map(|_| T::random(rng, version)).collect()
}

#[allow(unused_variables, unused_mut, clippy::all)]
mod generated {
    use dohle_base::Rng;

    use super::{Codec, Random, bytes, coin, parts, records, scalars, string, strings};
    use crate::scalar::Scalar;

    include!(concat!(env!("OUT_DIR"), "/random.rs"));
}
use generated::CODECS;
