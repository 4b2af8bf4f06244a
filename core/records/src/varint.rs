//! Variable-length integers of records: seven bits a byte, lowest first, signs folded in (zigzag).

use crate::RecordFault;

/// The most bytes of a folded 32-bit integer.
pub(crate) const VARINT_SIZE_MAX: usize = 5;
/// The most bytes of a folded 64-bit integer.
pub(crate) const VARLONG_SIZE_MAX: usize = 10;

/// Appends a 32-bit integer.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// Appends a 64-bit integer. A value of 32 bits takes the same bytes as one.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = fold(value);
    while rest >= 0x80 {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

/// Bytes that an integer takes, 1 to 10.
pub(crate) fn varlong_size(value: i64) -> usize {
    let bits = 64 - (fold(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Takes a 32-bit integer from the front of `bytes`.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<i32, RecordFault> {
    // Nearly all lengths and deltas are small.
    if let [first, rest @ ..] = *bytes
        && *first < 0x80
    {
        *bytes = rest;
        return Ok(i32::from(*first >> 1) ^ -i32::from(*first & 1));
    }
    let folded = take_folded(bytes, VARINT_SIZE_MAX)?;
    i32::try_from(unfold(folded)).map_err(|_| RecordFault::BadVarint)
}

/// Takes a 64-bit integer from the front of `bytes`.
pub(crate) fn take_varlong(bytes: &mut &[u8]) -> Result<i64, RecordFault> {
    take_folded(bytes, VARLONG_SIZE_MAX).map(unfold)
}

fn take_folded(bytes: &mut &[u8], size_max: usize) -> Result<u64, RecordFault> {
    let mut folded = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(size_max) {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * i;
        // Only the tenth byte can have bits that no 64-bit integer has.
        if bits << shift >> shift != bits {
            return Err(RecordFault::BadVarint);
        }
        folded |= bits << shift;
        if byte & 0x80 == 0 {
            *bytes = bytes.get(i + 1..).unwrap_or_default();
            return Ok(folded);
        }
    }
    Err(if bytes.len() < size_max { RecordFault::Truncated } else { RecordFault::BadVarint })
}

fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unfold(folded: u64) -> i64 {
    (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed()
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}
