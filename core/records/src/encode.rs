//! One record as bytes: how large it becomes, and then what it is.
//!
//! A record begins with its own size, so the size is worked out before the first byte is written;
//! the builder needs it anyway, to tell whether the record fits.

use crate::varint::{put_varint, put_varlong, varlong_size};
use crate::{Header, Headers};

/// Headers to write: a caller's, or those of a record that is copied.
pub(crate) enum AnyHeaders<'a> {
    Listed(&'a [Header<'a>]),
    Encoded(Headers<'a>),
}

/// A record to write.
pub(crate) struct Fields<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: AnyHeaders<'a>,
}

impl Fields<'_> {
    /// Bytes of the record.
    pub(crate) fn size(&self) -> usize {
        let body = self.body_size();
        body.saturating_add(varint_size_of(body))
    }

    /// Bytes of the record, its own size not counted.
    fn body_size(&self) -> usize {
        let fixed = 1 + varlong_size(self.timestamp_delta) + varlong_size(self.offset_delta.into());
        let sizes = [nullable_size(self.key), nullable_size(self.value), self.headers.size()];
        sizes.into_iter().fold(fixed, usize::saturating_add)
    }

    /// Appends the record.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_size(out, self.body_size());
        out.push(0);
        put_varlong(out, self.timestamp_delta);
        put_varint(out, self.offset_delta);
        put_nullable(out, self.key);
        put_nullable(out, self.value);
        self.headers.put(out);
    }
}

impl AnyHeaders<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Listed(headers) => {
                headers.iter().fold(varint_size_of(headers.len()), |sum, header| {
                    let key = nullable_size(Some(header.key));
                    sum.saturating_add(key).saturating_add(nullable_size(header.value))
                })
            }
            Self::Encoded(headers) => varint_size_of(headers.len()) + headers.bytes().len(),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Listed(headers) => {
                put_size(out, headers.len());
                for header in *headers {
                    put_nullable(out, Some(header.key));
                    put_nullable(out, header.value);
                }
            }
            Self::Encoded(headers) => {
                put_size(out, headers.len());
                out.extend_from_slice(headers.bytes());
            }
        }
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => varint_size_of(bytes.len()).saturating_add(bytes.len()),
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_size(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_size(out: &mut Vec<u8>, size: usize) {
    put_varlong(out, i64::try_from(size).expect("a slice is shorter than 2^63"));
}

fn varint_size_of(size: usize) -> usize {
    i64::try_from(size).map_or(usize::MAX, varlong_size)
}
