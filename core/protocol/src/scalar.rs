//! Values of fixed size, big-endian on the wire.

use dohle_base::{
    BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Rng, TopicId,
    Uuid,
};

/// A value that always takes the same number of bytes.
pub trait Scalar: Copy {
    /// The bytes as an array.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;
    /// How many there are.
    const SIZE: usize;

    /// From the wire.
    fn from_wire(bytes: Self::Bytes) -> Self;
    /// To the wire.
    fn to_wire(self) -> Self::Bytes;
    /// Any value, for tests.
    fn random(rng: &mut Rng) -> Self;

    /// Whether it is an error code other than that of success.
    #[inline]
    fn is_error(self) -> bool {
        false
    }
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Scalar for $int {
            type Bytes = [u8; size_of::<$int>()];
            const SIZE: usize = size_of::<$int>();

            #[inline]
            fn from_wire(bytes: Self::Bytes) -> Self {
                Self::from_be_bytes(bytes)
            }
            #[inline]
            fn to_wire(self) -> Self::Bytes {
                self.to_be_bytes()
            }
            fn random(rng: &mut Rng) -> Self {
                // Small, extreme and arbitrary values: each finds other mistakes.
                match rng.below(4) {
                    0 => rng.below(100) as Self,
                    1 => [Self::MIN, Self::MAX, 0, Self::MAX / 2][rng.below(4) as usize],
                    _ => rng.next_u64() as Self,
                }
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 u16 u32 }

macro_rules! newtypes {
    ($($name:ident($inner:ty))*) => {$(
        impl Scalar for $name {
            type Bytes = <$inner as Scalar>::Bytes;
            const SIZE: usize = <$inner as Scalar>::SIZE;

            #[inline]
            fn from_wire(bytes: Self::Bytes) -> Self {
                Self(<$inner as Scalar>::from_wire(bytes))
            }
            #[inline]
            fn to_wire(self) -> Self::Bytes {
                self.0.to_wire()
            }
            fn random(rng: &mut Rng) -> Self {
                Self(Scalar::random(rng))
            }
        }
    )*};
}

newtypes! {
    BrokerId(i32) PartitionId(i32) Offset(i64) LeaderEpoch(i32) ProducerId(i64) ProducerEpoch(i16)
    TopicId(Uuid)
}

impl Scalar for ErrorCode {
    type Bytes = [u8; 2];
    const SIZE: usize = 2;

    #[inline]
    fn from_wire(bytes: [u8; 2]) -> Self {
        Self(Scalar::from_wire(bytes))
    }
    #[inline]
    fn to_wire(self) -> [u8; 2] {
        self.0.to_wire()
    }
    fn random(rng: &mut Rng) -> Self {
        Self(Scalar::random(rng))
    }
    #[inline]
    fn is_error(self) -> bool {
        ErrorCode::is_error(self)
    }
}

impl Scalar for bool {
    type Bytes = [u8; 1];
    const SIZE: usize = 1;

    /// Any byte but 0 is true, as Kafka reads it.
    #[inline]
    fn from_wire(bytes: [u8; 1]) -> Self {
        bytes != [0]
    }
    #[inline]
    fn to_wire(self) -> [u8; 1] {
        [u8::from(self)]
    }
    fn random(rng: &mut Rng) -> Self {
        rng.below(2) == 1
    }
}

impl Scalar for f64 {
    type Bytes = [u8; 8];
    const SIZE: usize = 8;

    #[inline]
    fn from_wire(bytes: [u8; 8]) -> Self {
        Self::from_be_bytes(bytes)
    }
    #[inline]
    fn to_wire(self) -> [u8; 8] {
        self.to_be_bytes()
    }
    fn random(rng: &mut Rng) -> Self {
        // Never NaN, which is not equal to itself.
        rng.below(1 << 53) as Self / 1024.0 - 1_000_000.0
    }
}

impl Scalar for Uuid {
    type Bytes = [u8; 16];
    const SIZE: usize = 16;

    #[inline]
    fn from_wire(bytes: [u8; 16]) -> Self {
        Self::from_bytes(bytes)
    }
    #[inline]
    fn to_wire(self) -> [u8; 16] {
        self.to_bytes()
    }
    fn random(rng: &mut Rng) -> Self {
        Self(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
    }
}
