//! A bounds-checked cursor over a frame.
//!
//! The invariant: `at <= end <= bytes.len()`, and nothing is allocated for more elements than the
//! bytes between `at` and `end` can hold. Inside a tagged field `end` is the field's own end, so a
//! lying size cannot reach into what follows.
//!
//! ```text
//! string  plain: i16 length, -1 null      compact: unsigned varint of length + 1, 0 null
//! bytes   plain: i32 length, -1 null      compact: the same
//! array   plain: i32 count,  -1 null      compact: the same of the count
//! struct  nullable: i8 before it, -1 null  tagged and nullable: varint 1 before it, 0 null
//! tags    unsigned varint count, then each: varint tag, varint size, that many bytes
//! ```

use bytes::Bytes;
use dohle_base::Str;

use crate::{DecodeError, Fault, Few, RecordSet, message::Part, scalar::Scalar};

#[cfg(test)]
mod tests;

/// The most elements of an array. Source: Kafka 4.4's decoders refuse more.
pub const MAX_ELEMENTS: usize = 1_000_000;
/// The most tagged fields of one struct. Source: Kafka 4.4's decoders refuse more.
pub const MAX_TAGS: u32 = 10_000;
/// The longest string in bytes, in either form. Source: Kafka's decoders refuse longer ones.
pub const MAX_STRING: usize = 0x7fff;

/// Reads a message out of a frame. Bytes and records that it gives are slices of that frame.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
    end: usize,
}

/// A tagged field that is being read.
pub(crate) struct Tag {
    pub(crate) number: u32,
    outer_end: usize,
}

impl Reader {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { at: 0, end: bytes.len(), bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What is left, to look at.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// What is left, as a slice of the frame; the reader is then at its end.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.at..self.end);
        self.at = self.end;
        rest
    }

    /// Demands that everything was read. Stored records must end where their last field does.
    ///
    /// # Errors
    /// [`Fault::TrailingBytes`].
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.at == self.end { Ok(()) } else { Err(self.error(Fault::TrailingBytes)) }
    }

    /// The error that there is `fault` at the present position.
    pub fn error(&self, fault: Fault) -> DecodeError {
        DecodeError { fault, at: u32::try_from(self.at).unwrap_or(u32::MAX) }
    }

    /// A value of fixed size.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn get<T: Scalar>(&mut self) -> Result<T, DecodeError> {
        let slice = self.bytes.get(self.at..self.end).and_then(|rest| rest.get(..T::SIZE));
        let bytes = slice.and_then(|slice| T::Bytes::try_from(slice).ok());
        let bytes = bytes.ok_or_else(|| self.error(Fault::Truncated))?;
        self.at += T::SIZE;
        Ok(T::from_wire(bytes))
    }

    /// An unsigned varint of at most 32 bits.
    ///
    /// # Errors
    /// [`Fault::Truncated`], or [`Fault::OverlongVarint`] for more than five bytes or 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let first: i8 = self.get()?;
        if first >= 0 {
            return Ok(u32::from(first.unsigned_abs()));
        }
        self.long_varint(first.cast_unsigned() & 0x7f)
    }

    fn long_varint(&mut self, first: u8) -> Result<u32, DecodeError> {
        let mut value = u32::from(first);
        for shift in [7, 14, 21, 28] {
            let byte = self.get::<i8>()?.cast_unsigned();
            if shift == 28 && byte > 0x0f {
                return Err(self.error(Fault::OverlongVarint));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// A string that cannot be null.
    pub(crate) fn string(&mut self, compact: bool) -> Result<Str, DecodeError> {
        self.string_or_null(compact)?.ok_or_else(|| self.error(Fault::UnexpectedNull))
    }

    pub(crate) fn string_or_null(&mut self, compact: bool) -> Result<Option<Str>, DecodeError> {
        let length = if compact { self.compact_length()? } else { self.short_length()? };
        let Some(length) = length else { return Ok(None) };
        if length > MAX_STRING {
            return Err(self.error(Fault::StringTooLong));
        }
        let slice = self.bytes.get(self.at..self.end).and_then(|rest| rest.get(..length));
        let slice = slice.ok_or_else(|| self.error(Fault::Truncated))?;
        let text = std::str::from_utf8(slice).map_err(|_| self.error(Fault::NotUtf8))?;
        let text = Str::from(text);
        self.at += length;
        Ok(Some(text))
    }

    pub(crate) fn bytes(&mut self, compact: bool) -> Result<Bytes, DecodeError> {
        self.bytes_or_null(compact)?.ok_or_else(|| self.error(Fault::UnexpectedNull))
    }

    pub(crate) fn bytes_or_null(&mut self, compact: bool) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length(compact)? else { return Ok(None) };
        if length > self.remaining() {
            return Err(self.error(Fault::Truncated));
        }
        let bytes = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(Some(bytes))
    }

    pub(crate) fn records(&mut self, compact: bool) -> Result<RecordSet, DecodeError> {
        self.bytes(compact).map(RecordSet::Bytes)
    }

    pub(crate) fn records_or_null(
        &mut self,
        compact: bool,
    ) -> Result<Option<RecordSet>, DecodeError> {
        Ok(self.bytes_or_null(compact)?.map(RecordSet::Bytes))
    }

    pub(crate) fn scalars<T: Scalar>(&mut self, compact: bool) -> Result<Vec<T>, DecodeError> {
        self.scalars_or_null(compact)?.ok_or_else(|| self.error(Fault::UnexpectedNull))
    }

    pub(crate) fn scalars_or_null<T: Scalar>(
        &mut self,
        compact: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.count(compact, T::SIZE)? else { return Ok(None) };
        // What the wire holds in as many bytes as memory does: the count is already proven.
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.get()?);
        }
        Ok(Some(values))
    }

    pub(crate) fn strings(&mut self, compact: bool) -> Result<Vec<Str>, DecodeError> {
        self.strings_or_null(compact)?.ok_or_else(|| self.error(Fault::UnexpectedNull))
    }

    pub(crate) fn strings_or_null(
        &mut self,
        compact: bool,
    ) -> Result<Option<Vec<Str>>, DecodeError> {
        let Some(count) = self.count(compact, if compact { 1 } else { 2 })? else {
            return Ok(None);
        };
        let mut values = Vec::with_capacity(self.capacity::<Str>(count));
        for _ in 0..count {
            values.push(self.string(compact)?);
        }
        Ok(Some(values))
    }

    pub(crate) fn parts<T: Part>(
        &mut self,
        compact: bool,
        version: i16,
    ) -> Result<Vec<T>, DecodeError> {
        self.parts_or_null(compact, version)?.ok_or_else(|| self.error(Fault::UnexpectedNull))
    }

    /// Of structs of which there is mostly one.
    pub(crate) fn few<T: Part>(
        &mut self,
        compact: bool,
        version: i16,
    ) -> Result<Few<T>, DecodeError> {
        let count = self.count(compact, T::MIN_SIZE)?;
        let count = count.ok_or_else(|| self.error(Fault::UnexpectedNull))?;
        let mut values = Few::with_capacity(self.capacity::<T>(count));
        for _ in 0..count {
            values.push(T::read(self, version)?);
        }
        Ok(values)
    }

    pub(crate) fn parts_or_null<T: Part>(
        &mut self,
        compact: bool,
        version: i16,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.count(compact, T::MIN_SIZE)? else { return Ok(None) };
        let mut values = Vec::with_capacity(self.capacity::<T>(count));
        for _ in 0..count {
            values.push(T::read(self, version)?);
        }
        Ok(Some(values))
    }

    /// A struct behind a byte that says whether it is there: negative for null.
    pub(crate) fn part_or_null<T: Part>(&mut self, version: i16) -> Result<Option<T>, DecodeError> {
        if self.get::<i8>()? < 0 { Ok(None) } else { T::read(self, version).map(Some) }
    }

    /// In a tagged field the byte is an unsigned varint, and null is 0. Source: observed of Kafka
    /// 4.4.0, whose one such field is `ConsumerGroupMemberMetadataValue.ClassicMemberMetadata`.
    pub(crate) fn tagged_part_or_null<T: Part>(
        &mut self,
        version: i16,
    ) -> Result<Option<T>, DecodeError> {
        if self.unsigned_varint()? == 0 { Ok(None) } else { T::read(self, version).map(Some) }
    }

    /// How many tagged fields follow.
    pub(crate) fn tag_count(&mut self) -> Result<u32, DecodeError> {
        let count = self.unsigned_varint()?;
        if count > MAX_TAGS { Err(self.error(Fault::TooManyTags)) } else { Ok(count) }
    }

    /// Enters a tagged field: until [`Reader::end_tag`] the reader ends where the field does.
    pub(crate) fn begin_tag(&mut self) -> Result<Tag, DecodeError> {
        let number = self.unsigned_varint()?;
        let size = self.unsigned_varint()? as usize;
        if size > self.remaining() {
            return Err(self.error(Fault::Truncated));
        }
        let tag = Tag { number, outer_end: self.end };
        self.end = self.at + size;
        Ok(tag)
    }

    /// Passes over the value of a tagged field that is not known.
    pub(crate) fn skip_tag(&mut self) {
        self.at = self.end;
    }

    /// Leaves a tagged field, which must have been read to its end.
    #[expect(clippy::needless_pass_by_value, reason = "a tag ends once")]
    pub(crate) fn end_tag(&mut self, tag: Tag) -> Result<(), DecodeError> {
        if self.at != self.end {
            return Err(self.error(Fault::TagSize));
        }
        self.end = tag.outer_end;
        Ok(())
    }

    /// Passes over all tagged fields of a struct that knows none.
    pub(crate) fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tag_count()? {
            let tag = self.begin_tag()?;
            self.skip_tag();
            self.end_tag(tag)?;
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn short_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.get::<i16>()?;
        self.signed_length(i32::from(length))
    }

    fn length(&mut self, compact: bool) -> Result<Option<usize>, DecodeError> {
        if compact {
            return self.compact_length();
        }
        let length = self.get::<i32>()?;
        self.signed_length(length)
    }

    fn signed_length(&self, length: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(self.error(Fault::NegativeLength)),
        }
    }

    /// The count of an array whose elements take at least `min_size` bytes, proven to fit.
    fn count(&mut self, compact: bool, min_size: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(compact)? else { return Ok(None) };
        if count > MAX_ELEMENTS || count > self.remaining() / min_size.max(1) {
            return Err(self.error(Fault::TooManyElements));
        }
        Ok(Some(count))
    }

    /// How many elements to make room for ahead: all, unless they are larger in memory than on the
    /// wire; then as many as the remaining bytes would fill, and the rest when it has arrived.
    fn capacity<T>(&self, count: usize) -> usize {
        count.min((self.remaining() / size_of::<T>().max(1)).max(4))
    }
}
