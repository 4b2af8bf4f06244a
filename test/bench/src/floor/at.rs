//! Fields of a request, read one after the other without an allocation.

pub(super) struct At<'a> {
    frame: &'a [u8],
    position: usize,
}

impl<'a> At<'a> {
    pub(super) fn start(frame: &'a [u8]) -> Self {
        Self { frame, position: 0 }
    }

    /// Goes on where somebody stopped.
    pub(super) fn resume(frame: &'a [u8], position: usize) -> Self {
        Self { frame, position }
    }

    /// How much is read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let taken = self.frame.get(self.position..)?.get(..size)?;
        self.position += size;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn expect_varint(&mut self, expected: u32) -> Option<()> {
        (self.varint()? == expected).then_some(())
    }

    /// What the frame must end with.
    pub(super) fn end<const N: usize>(&mut self, expected: [u8; N]) -> Option<()> {
        let is_there = self.array()? == expected && self.position == self.frame.len();
        is_there.then_some(())
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        let size = (self.varint()? as usize).checked_sub(1)?;
        str::from_utf8(self.take(size)?).ok()
    }

    /// Goes through the header of a request of this key and version; its correlation id.
    pub(super) fn header(&mut self, key: i16, version: i16) -> Option<[u8; 4]> {
        if self.array()? != key.to_be_bytes() || self.array()? != version.to_be_bytes() {
            return None;
        }
        let correlation_id = self.array()?;
        let client_id_size = i16::from_be_bytes(self.array()?);
        self.take(usize::try_from(client_id_size).unwrap_or(0))?;
        self.expect_varint(0)?; // No tags.
        Some(correlation_id)
    }
}
