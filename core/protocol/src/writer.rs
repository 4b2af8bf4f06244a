//! The other direction: a growing buffer, and notes on where bytes from files go in.
//!
//! Spliced records are counted in every length that encloses them but are not in the buffer: the
//! bytes on the wire are `buffer[..splice.at]`, the file's bytes, `buffer[splice.at..]`, and so on.

use bytes::{BufMut, Bytes, BytesMut};
use dohle_base::Str;
use smallvec::SmallVec;

use crate::{EncodeError, RecordSet, message::Part, reader::MAX_STRING, scalar::Scalar};

#[cfg(test)]
mod tests;

/// A place in the buffer where bytes belong that stay in their file until they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice {
    /// In front of which byte of the buffer.
    pub at: usize,
    /// How many bytes.
    pub len: u32,
    /// Which bytes, in the driver's numbering.
    pub token: u32,
}

/// Those of a writer, ascending: mostly one, which then needs no allocation.
pub type Splices = SmallVec<[Splice; 1]>;

/// Collects what goes out, frames of several messages if wanted.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    splices: Splices,
    spliced: usize,
    errors: usize,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that appends to `buffer`, which is usually a reused one.
    pub fn over(buffer: BytesMut) -> Self {
        Self { buffer, ..Self::default() }
    }

    /// How many bytes will be sent, spliced ones included.
    pub fn size(&self) -> usize {
        self.buffer.len() + self.spliced
    }

    /// How many error codes were written, other than that of success.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The bytes at hand, without spliced ones.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Where bytes from files go, ascending.
    pub fn splices(&self) -> &[Splice] {
        &self.splices
    }

    /// The buffer and the splices.
    pub fn into_parts(self) -> (BytesMut, Splices) {
        (self.buffer, self.splices)
    }

    /// The buffer alone.
    ///
    /// # Panics
    /// When there are splices: their bytes would be lost.
    pub fn into_bytes(self) -> Bytes {
        assert!(self.splices.is_empty(), "spliced records need a driver");
        self.buffer.freeze()
    }

    /// A value of fixed size.
    #[inline]
    pub fn put<T: Scalar>(&mut self, value: T) {
        self.errors += usize::from(value.is_error());
        self.buffer.extend_from_slice(value.to_wire().as_ref());
    }

    /// Raw bytes, without a length.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// An unsigned varint in its shortest form.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    pub(crate) fn string(&mut self, text: &str, compact: bool) -> Result<(), EncodeError> {
        self.string_or_null(Some(text), compact)
    }

    pub(crate) fn string_or_null(
        &mut self,
        text: Option<&str>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        let length = text.map(str::len);
        match length {
            Some(length) if length > MAX_STRING => return Err(EncodeError::TooLong(length)),
            _ if compact => self.length(length, true)?,
            Some(length) => self.put(length as i16),
            None => self.put(-1_i16),
        }
        self.put_slice(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], compact: bool) -> Result<(), EncodeError> {
        self.bytes_or_null(Some(bytes), compact)
    }

    pub(crate) fn bytes_or_null(
        &mut self,
        bytes: Option<&[u8]>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.length(bytes.map(<[u8]>::len), compact)?;
        self.put_slice(bytes.unwrap_or_default());
        Ok(())
    }

    pub(crate) fn records(
        &mut self,
        records: &RecordSet,
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.records_or_null(Some(records), compact)
    }

    pub(crate) fn records_or_null(
        &mut self,
        records: Option<&RecordSet>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.length(records.map(RecordSet::len), compact)?;
        match records {
            Some(RecordSet::Bytes(bytes)) => self.put_slice(bytes),
            Some(&RecordSet::Spliced { len, token }) if len > 0 => {
                self.splices.push(Splice { at: self.buffer.len(), len, token });
                self.spliced += len as usize;
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn scalars<T: Scalar>(
        &mut self,
        values: &[T],
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.scalars_or_null(Some(values), compact)
    }

    pub(crate) fn scalars_or_null<T: Scalar>(
        &mut self,
        values: Option<&[T]>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.length(values.map(<[T]>::len), compact)?;
        for value in values.unwrap_or_default() {
            self.put(*value);
        }
        Ok(())
    }

    pub(crate) fn strings(&mut self, values: &[Str], compact: bool) -> Result<(), EncodeError> {
        self.strings_or_null(Some(values), compact)
    }

    pub(crate) fn strings_or_null(
        &mut self,
        values: Option<&[Str]>,
        compact: bool,
    ) -> Result<(), EncodeError> {
        self.length(values.map(<[Str]>::len), compact)?;
        for value in values.unwrap_or_default() {
            self.string(value, compact)?;
        }
        Ok(())
    }

    pub(crate) fn parts<T: Part>(
        &mut self,
        values: &[T],
        compact: bool,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.parts_or_null(Some(values), compact, version)
    }

    pub(crate) fn parts_or_null<T: Part>(
        &mut self,
        values: Option<&[T]>,
        compact: bool,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.length(values.map(<[T]>::len), compact)?;
        for value in values.unwrap_or_default() {
            value.write(self, version)?;
        }
        Ok(())
    }

    pub(crate) fn part_or_null<T: Part>(
        &mut self,
        value: Option<&T>,
        version: i16,
    ) -> Result<(), EncodeError> {
        match value {
            None => self.put(-1_i8),
            Some(value) => {
                self.put(1_i8);
                value.write(self, version)?;
            }
        }
        Ok(())
    }

    /// See [`crate::Reader`] for why tagged fields differ.
    pub(crate) fn tagged_part_or_null<T: Part>(
        &mut self,
        value: Option<&T>,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.unsigned_varint(u32::from(value.is_some()));
        value.map_or(Ok(()), |value| value.write(self, version))
    }

    /// Starts a tagged field; one byte is kept free for its size.
    pub(crate) fn begin_tag(&mut self, number: u32) -> usize {
        self.unsigned_varint(number);
        self.buffer.put_u8(0);
        self.buffer.len()
    }

    /// Ends the tagged field whose value starts at `at` and puts in its size. Values of 128 bytes
    /// and more, which are rare, are moved to make room for a longer size.
    pub(crate) fn end_tag(&mut self, at: usize) {
        let size = self.buffer.len() - at;
        if let Ok(short @ 0..0x80) = u8::try_from(size) {
            self.buffer[at - 1] = short;
            return;
        }
        let value = self.buffer.split_off(at);
        self.buffer.truncate(at - 1);
        self.unsigned_varint(u32::try_from(size).unwrap_or(u32::MAX));
        self.buffer.unsplit(value);
    }

    /// Appends a frame: what `body` writes, behind its 4-byte size.
    ///
    /// # Errors
    /// What `body` says, or a frame of 2 GiB and more. Nothing of it is then left in the writer.
    pub(crate) fn frame(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let (start, splices, spliced) = (self.buffer.len(), self.splices.len(), self.spliced);
        self.put(0_i32);
        let sized = body(self).and_then(|()| {
            let size = self.buffer.len() - start - 4 + self.spliced - spliced;
            i32::try_from(size).map_err(|_| EncodeError::TooLong(size))
        });
        match sized {
            Ok(size) => self.buffer[start..start + 4].copy_from_slice(&size.to_be_bytes()),
            Err(_) => {
                self.buffer.truncate(start);
                self.splices.truncate(splices);
                self.spliced = spliced;
            }
        }
        sized.map(|_| ())
    }

    fn length(&mut self, length: Option<usize>, compact: bool) -> Result<(), EncodeError> {
        let fits = |length: usize| {
            i32::try_from(length)
                .ok()
                .filter(|length| *length < i32::MAX)
                .ok_or(EncodeError::TooLong(length))
        };
        let length = length.map(fits).transpose()?.unwrap_or(-1);
        if compact {
            self.unsigned_varint((length + 1).cast_unsigned());
        } else {
            self.put(length);
        }
        Ok(())
    }
}

/// The value of a nullable field in a version that allows no null.
pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, EncodeError> {
    value.ok_or(EncodeError::UnexpectedNull { field })
}
