//! One record, borrowed from the bytes that hold it.
//!
//! ```text
//! | size | attributes (1 byte, unused) | timestamp delta | offset delta |
//! | key length, key | value length, value | header count | key length, key, value length, value …
//! ```
//!
//! All lengths and deltas are variable-length integers; a negative length is a null.

use std::borrow::Cow;

use dohle_base::{Offset, Timestamp};

use crate::RecordFault;
use crate::varint::take_varint;

/// A record. What it borrows lives in the batch or in its decompressed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time: its own, or the batch's if the log's clock stamps.
    pub timestamp: Timestamp,
    /// The key; `None` is a null, unlike an empty one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a null, which on compacted topics deletes the key.
    pub value: Option<&'a [u8]>,
    /// The headers, in order; keys may repeat.
    pub headers: Headers<'a>,
}

/// A header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key as it came: clients should send UTF-8, brokers do not check.
    pub key: &'a [u8],
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The key as text; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

/// The headers of a record, decoded as they are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Takes all of `bytes` for `count` headers and checks that they are.
    pub(crate) fn decode(count: i32, bytes: &'a [u8]) -> Result<Self, RecordFault> {
        let bad = RecordFault::BadLength { length: i64::from(count) };
        let count = usize::try_from(count).map_err(|_| bad)?;
        // A header takes two bytes at least.
        if count > bytes.len() / 2 {
            return Err(bad);
        }
        let mut rest = bytes;
        for _ in 0..count {
            take_header(&mut rest)?;
        }
        if rest.is_empty() {
            return Ok(Self { count, bytes });
        }
        let fields = bytes.len() - rest.len();
        Err(RecordFault::SizeMismatch { size: bytes.len(), fields })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Walks them in order.
    #[must_use]
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter { rest: self.bytes }
    }

    /// The headers as they are stored, without their count.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Walks the headers of a record.
#[derive(Clone, Debug)]
pub struct HeadersIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        // They were decoded once when the record was, so this cannot fail before the end.
        take_header(&mut self.rest).ok()
    }
}

fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<Header<'a>, RecordFault> {
    let length = take_varint(bytes)?;
    let key = take(bytes, length)?.ok_or(RecordFault::BadLength { length: i64::from(length) })?;
    Ok(Header { key, value: take_nullable(bytes)? })
}

/// Takes a length and as many bytes; `None` if the length is negative.
pub(crate) fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = take_varint(bytes)?;
    take(bytes, length)
}

fn take<'a>(bytes: &mut &'a [u8], length: i32) -> Result<Option<&'a [u8]>, RecordFault> {
    let Ok(size) = usize::try_from(length) else { return Ok(None) };
    match bytes.split_at_checked(size) {
        Some((taken, rest)) => {
            *bytes = rest;
            Ok(Some(taken))
        }
        None => Err(RecordFault::BadLength { length: i64::from(length) }),
    }
}
