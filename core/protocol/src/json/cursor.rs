//! A place in bytes that are looked at, read as forgivingly as Kafka reads them.

use super::JsonError;

/// What is left to read.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], JsonError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(JsonError::Ends)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// At most 32 bits; what a fifth byte has beyond them is lost, as in Java.
    pub(super) fn unsigned_varint(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(JsonError::OverlongVarint)
    }

    /// The next `size` bytes, which the message has said are there.
    pub(super) fn bytes(&mut self, size: usize) -> Result<&'a [u8], JsonError> {
        let remaining = self.remaining();
        let split = self.rest.split_at_checked(size);
        let (bytes, rest) = split.ok_or(JsonError::TooLong { size, remaining })?;
        self.rest = rest;
        Ok(bytes)
    }
}
