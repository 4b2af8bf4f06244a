//! Bytes that should be UTF-8 but need not be.

use std::borrow::Cow;

/// The text that `bytes` are, with U+FFFD for what is no UTF-8: once for each longest beginning of
/// a character, and once for a whole surrogate, which is how Java reads such bytes. Tools compare
/// what they print, so that the same bytes must read the same here.
pub fn text_lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    // How many bytes more the surrogate that has begun may take; Rust sees each byte alone.
    let mut of_surrogate = 0;
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_empty() {
            of_surrogate = 0;
            text.push_str(chunk.valid());
        }
        of_surrogate = match (of_surrogate, chunk.invalid()) {
            (_, []) => 0,
            (2, [0xa0..=0xbf]) => 1,
            (1, [0x80..=0xbf]) => 0,
            (_, broken) => {
                text.push(char::REPLACEMENT_CHARACTER);
                if broken == [0xed] { 2 } else { 0 }
            }
        };
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded of `new String(bytes, UTF_8)` in Java 17.
    #[test]
    fn broken_text_reads_as_in_java() {
        let rows: [(&[u8], &str); 12] = [
            (b"plain", "plain"),
            ("grün €".as_bytes(), "grün €"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xe2\x28\xa1", "\u{fffd}(\u{fffd}"),
            (b"\xc0\x80", "\u{fffd}\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}"),
            (b"\xed\xa0\x80\xed\xb0\x80x", "\u{fffd}\u{fffd}x"),
            (b"\xed\xa0", "\u{fffd}"),
            (b"\xed\xa0a\x80", "\u{fffd}a\u{fffd}"),
            (b"\xf0\x90\x28", "\u{fffd}("),
            (b"\xf5\x90\x90\x90", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (bytes, text) in rows {
            assert_eq!(text_lossy(bytes), text, "{bytes:x?}");
        }
    }
}
