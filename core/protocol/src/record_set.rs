//! Record batches inside a message: bytes at hand, or a gap that the network thread fills.

use bytes::Bytes;

/// The value of a `records` field. Decoding always gives [`RecordSet::Bytes`], a slice of the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordSet {
    /// Batches in memory.
    Bytes(Bytes),
    /// Batches that stay in their file: only their length is encoded, and the writer notes where
    /// they belong (see [`crate::Splice`]).
    Spliced {
        /// How many bytes will be put in, all together.
        len: u32,
        /// Which bytes: the driver's own number for them.
        token: u32,
    },
}

impl RecordSet {
    /// How many bytes there are on the wire.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Spliced { len, .. } => *len as usize,
        }
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches, if they are in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Spliced { .. } => None,
        }
    }
}

impl Default for RecordSet {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl From<Bytes> for RecordSet {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
