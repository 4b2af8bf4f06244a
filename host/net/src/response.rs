//! An answer as the network sends it: a head in memory, then bytes and file ranges in order.

use std::{fmt::Debug, os::fd::AsFd, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

/// One answer, complete with its four-byte length prefix.
///
/// The prefix is the start of `head` and counts everything behind it, the parts included; whoever
/// encodes the head writes it. The network adds and checks nothing.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) head: Bytes,
    pub(crate) parts: Parts,
}

/// The pieces of an answer behind its head. A range and what follows it need no allocation.
pub type Parts = SmallVec<[Part; 2]>;

/// A piece of an answer behind its head.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a file, sent without passing through our memory. The file must not shrink below
    /// the range before it is sent: a length that was promised and cannot be kept closes the
    /// connection.
    File {
        /// Open for reading. Holding it is what keeps a deleted file's bytes.
        file: Arc<dyn SourceFile>,
        /// First byte.
        position: u64,
        /// Number of bytes.
        len: u32,
    },
}

/// An open file that answers are sent from. It is closed when the last who holds it lets go.
pub trait SourceFile: AsFd + Debug + Send + Sync {}

impl<T: AsFd + Debug + Send + Sync> SourceFile for T {}

impl Response {
    /// An answer that is all in `head`. Allocates nothing.
    pub fn new(head: impl Into<Bytes>) -> Self {
        Self { head: head.into(), parts: Parts::new() }
    }

    /// An answer of a head and parts, sent in this order.
    pub fn with_parts(head: impl Into<Bytes>, parts: impl Into<Parts>) -> Self {
        Self { head: head.into(), parts: parts.into() }
    }

    /// Size on the wire, the length prefix included.
    pub fn wire_size(&self) -> u64 {
        self.head.len() as u64 + self.parts.iter().map(Part::size).sum::<u64>()
    }

    /// Bytes that the answer holds in memory until it is sent.
    pub(crate) fn memory_size(&self) -> usize {
        self.head.len() + self.parts.iter().map(Part::memory_size).sum::<usize>()
    }
}

impl Part {
    /// Number of bytes that the part puts on the wire.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => u64::from(*len),
        }
    }

    pub(crate) fn memory_size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { .. } => 0,
        }
    }
}
