//! The writer by the bytes it must make, and what it refuses.

use bytes::Bytes;

use super::{Splice, Writer};
use crate::{EncodeError, RecordSet};

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    write(&mut w);
    w.into_bytes().to_vec()
}

#[test]
fn varints_take_the_shortest_form() {
    for (value, bytes) in [
        (0, &[0x00][..]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        assert_eq!(written(|w| w.unsigned_varint(value)), bytes);
    }
}

#[test]
fn strings_and_bytes_have_two_forms() {
    assert_eq!(written(|w| w.string("ab", false).expect("short")), b"\x00\x02ab");
    assert_eq!(written(|w| w.string("ab", true).expect("short")), b"\x03ab");
    assert_eq!(written(|w| w.string_or_null(None, false).expect("null")), b"\xff\xff");
    assert_eq!(written(|w| w.string_or_null(None, true).expect("null")), b"\x00");
    assert_eq!(written(|w| w.bytes(b"ab", false).expect("short")), b"\x00\x00\x00\x02ab");
    assert_eq!(written(|w| w.bytes_or_null(None, false).expect("null")), b"\xff\xff\xff\xff");
}

#[test]
fn strings_of_32768_bytes_are_refused_in_both_forms() {
    let text = "a".repeat(0x8000);
    for compact in [false, true] {
        assert_eq!(Writer::new().string(&text, compact), Err(EncodeError::TooLong(0x8000)));
        assert_eq!(Writer::new().string(&text[1..], compact), Ok(()));
    }
}

#[test]
fn tagged_values_get_their_size_however_long_it_is() {
    for length in [0, 1, 127, 128, 300, 20_000] {
        let value = vec![7; length];
        let got = written(|w| {
            let at = w.begin_tag(3);
            w.put_slice(&value);
            w.end_tag(at);
        });
        let size = u32::try_from(length).expect("small");
        let expected = written(|w| {
            w.unsigned_varint(3);
            w.unsigned_varint(size);
            w.put_slice(&value);
        });
        assert_eq!(got, expected, "{length}");
    }
}

#[test]
fn spliced_records_count_but_are_not_in_the_buffer() {
    let mut w = Writer::new();
    w.frame(|w| {
        w.put(7_i8);
        w.records(&RecordSet::Spliced { len: 100, token: 5 }, true)?;
        w.put(8_i8);
        w.records(&RecordSet::Bytes(Bytes::from_static(b"xy")), true)?;
        // Nothing to send is nothing to splice.
        w.records(&RecordSet::Spliced { len: 0, token: 6 }, true)
    })
    .expect("small");
    assert_eq!(w.buffer(), b"\x00\x00\x00\x6b\x07\x65\x08\x03xy\x01");
    assert_eq!(w.splices(), [Splice { at: 6, len: 100, token: 5 }]);
    assert_eq!(w.size(), 4 + 0x6b);
}

#[test]
fn a_frame_that_fails_leaves_nothing_behind() {
    let mut w = Writer::new();
    w.put_slice(b"before");
    let failed = w.frame(|w| {
        w.records(&RecordSet::Spliced { len: 9, token: 1 }, false)?;
        Err(EncodeError::TooLong(1))
    });
    assert_eq!(failed, Err(EncodeError::TooLong(1)));
    assert_eq!((w.buffer(), w.splices(), w.size()), (&b"before"[..], &[][..], 6));
}

#[test]
#[should_panic(expected = "spliced records need a driver")]
fn spliced_records_cannot_be_lost_by_mistake() {
    let mut w = Writer::new();
    w.records(&RecordSet::Spliced { len: 1, token: 0 }, false).expect("small");
    let _ = w.into_bytes();
}
