//! Kafka's 128-bit identifiers and their text form: URL-safe base64 without padding, 22 characters.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Rng;

/// A 128-bit identifier, high half first. Source: interop facts 0.5, KIP-516.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub u128);

/// The identity of a topic: a name that is deleted and created again gets another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub Uuid);

/// The text is not 22 characters of URL-safe base64 that stand for 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UuidError;

impl Uuid {
    /// "None" on the wire.
    pub const ZERO: Self = Self(0);
    /// A log directory not decided yet.
    pub const UNASSIGNED_DIR: Self = Self(1);
    /// A log directory that was lost.
    pub const LOST_DIR: Self = Self(2);
    /// A log directory of a broker that cannot tell.
    pub const MIGRATING_DIR: Self = Self(0);

    /// Ids with high half 0 and low half below 100 are never given out.
    pub fn is_reserved(self) -> bool {
        self.0 < 100
    }

    /// A random (version 4) id that is not reserved and whose text does not start with `-`, so that
    /// it can stand as an argument on a command line.
    pub fn random(rng: &mut Rng) -> Self {
        loop {
            let high = (rng.next_u64() & !0xf000) | 0x4000;
            let low = (rng.next_u64() & (u64::MAX >> 2)) | (1 << 63);
            let id = Self((u128::from(high) << 64) | u128::from(low));
            if !id.is_reserved() && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    /// The 16 bytes, high half first.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From the 16 bytes, high half first.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl TopicId {
    /// "Not given": the topic is named instead.
    pub const ZERO: Self = Self(Uuid::ZERO);
    /// The topic id of `__cluster_metadata`.
    pub const METADATA: Self = Self(Uuid(1));
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| UuidError)?;
        Ok(Self::from_bytes(bytes.try_into().map_err(|_| UuidError)?))
    }
}

impl FromStr for TopicId {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: 22 characters of URL-safe base64 wanted")
    }
}

impl std::error::Error for UuidError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_are_the_same_id() {
        let id = Uuid(0x0123_4567_89ab_cdef_1032_5476_98ba_dcfe);
        assert_eq!(id.to_string(), "ASNFZ4mrze8QMlR2mLrc_g");
        assert_eq!("ASNFZ4mrze8QMlR2mLrc_g".parse(), Ok(id));
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "short", "ASNFZ4mrze8QMlR2mLrc_g==", "ASNFZ4mrze8QMlR2mLrc+g"] {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError), "{text}");
        }
    }

    #[test]
    fn random_ids_are_usable_on_a_command_line() {
        let mut rng = Rng::from_seed(7);
        for _ in 0..2_000 {
            assert!(!Uuid::random(&mut rng).to_string().starts_with('-'));
        }
    }
}
