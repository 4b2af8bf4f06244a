//! Records that outlive the bytes they came in, for consumers that hand them on.
//!
//! They share the received buffer or the decompressed one: no key and no value is copied.

use std::borrow::Cow;

use bytes::Bytes;
use dohle_base::{Offset, Timestamp};

use crate::{BatchError, Entry, Payload, Record};

/// A record that shares ownership of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time.
    pub timestamp: Timestamp,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// The headers, in order; keys may repeat.
    pub headers: Vec<OwnedHeader>,
}

/// A header that shares ownership of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedHeader {
    /// The key as it came, most likely UTF-8.
    pub key: Bytes,
    /// The value, or null.
    pub value: Option<Bytes>,
}

/// The records of an entry that lies in `owner`, decompressed to `limit` bytes at most.
///
/// # Errors
/// All that `Entry::decompress` and the walk over its records have.
///
/// # Panics
/// If the entry lies elsewhere.
pub fn owned_records(
    owner: &Bytes,
    entry: &Entry<'_>,
    limit: usize,
) -> Result<Vec<OwnedRecord>, BatchError> {
    let Payload { source, bytes } = entry.decompress(limit)?;
    match bytes {
        Cow::Borrowed(_) => share(owner, &Payload { source, bytes }),
        Cow::Owned(bytes) => {
            let owner = Bytes::from(bytes);
            share(&owner, &Payload { source, bytes: Cow::Borrowed(&owner) })
        }
    }
}

fn share(owner: &Bytes, payload: &Payload<'_>) -> Result<Vec<OwnedRecord>, BatchError> {
    payload.records().map(|record| Ok(share_record(owner, &record?))).collect()
}

fn share_record(owner: &Bytes, record: &Record<'_>) -> OwnedRecord {
    let share = |bytes: &[u8]| owner.slice_ref(bytes);
    OwnedRecord {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(share),
        value: record.value.map(share),
        headers: record
            .headers
            .iter()
            .map(|header| OwnedHeader { key: share(header.key), value: header.value.map(share) })
            .collect(),
    }
}
