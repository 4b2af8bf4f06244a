//! The reader by hand-written bytes: each form, and each way in which it can lie.

use super::Reader;
use crate::Fault;

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(bytes.to_vec())
}

#[test]
fn varints_of_up_to_32_bits_are_read() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0x7f], 127),
        (&[0x80, 0x01], 128),
        (&[0xac, 0x02], 300),
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], u32::MAX),
        // Longer than needed, but not too long: Kafka takes it too.
        (&[0x81, 0x00], 1),
    ] {
        let mut r = reader(bytes);
        assert_eq!(r.unsigned_varint(), Ok(value), "{bytes:x?}");
        assert_eq!(r.finish(), Ok(()));
    }
}

#[test]
fn longer_varints_are_refused() {
    for (bytes, fault) in [
        (&[0xff, 0xff, 0xff, 0xff, 0x10][..], Fault::OverlongVarint),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Fault::OverlongVarint),
        (&[0x80], Fault::Truncated),
        (&[], Fault::Truncated),
    ] {
        assert_eq!(reader(bytes).unsigned_varint().map_err(|error| error.fault), Err(fault));
    }
}

#[test]
fn strings_have_two_forms_and_a_null_in_each() {
    for (bytes, compact, text) in [
        (&b"\x00\x02ab"[..], false, Some("ab")),
        (b"\x03ab", true, Some("ab")),
        (b"\x00\x00", false, Some("")),
        (b"\x01", true, Some("")),
        (b"\xff\xff", false, None),
        (b"\x00", true, None),
    ] {
        let got = reader(bytes).string_or_null(compact).expect("good bytes");
        assert_eq!(got.as_deref(), text, "{bytes:x?}");
    }
}

#[test]
fn bad_strings_are_refused_where_they_are() {
    let long = [&[0x81, 0x80, 0x02][..], &vec![b'a'; 0x8000]].concat();
    for (bytes, compact, fault, at) in [
        (&b"\x00\x03ab"[..], false, Fault::Truncated, 2),
        (b"\x04ab", true, Fault::Truncated, 1),
        (b"\xff\xfe", false, Fault::NegativeLength, 2),
        (b"\xff\xff", false, Fault::UnexpectedNull, 2),
        (b"\x03\xc3\x28", true, Fault::NotUtf8, 1),
        (&long, true, Fault::StringTooLong, 3),
    ] {
        let error = reader(bytes).string(compact).expect_err("bad bytes");
        assert_eq!((error.fault, error.at), (fault, at), "{:x?}", &bytes[..bytes.len().min(8)]);
    }
}

#[test]
fn bytes_are_slices_of_the_frame() {
    let frame = bytes::Bytes::from_static(b"\x00\x00\x00\x02ab rest");
    let mut r = Reader::new(frame.clone());
    let got = r.bytes(false).expect("good bytes");
    assert_eq!(got.as_ptr(), frame[4..].as_ptr());
    assert_eq!(r.take_rest().as_ptr(), frame[6..].as_ptr());
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn counts_beyond_the_remaining_bytes_are_refused_before_anything_is_read() {
    let mut r = reader(b"\x7f\xff\xff\xff\x00\x00");
    assert_eq!(r.scalars::<i32>(false).map_err(|error| error.fault), Err(Fault::TooManyElements));
    // Three elements of four bytes in eleven bytes.
    let mut r = reader(&[&[4][..], &[0; 11]].concat());
    assert_eq!(r.scalars::<i32>(true).map_err(|error| error.fault), Err(Fault::TooManyElements));
    let mut r = reader(&[&[4][..], &[0; 12]].concat());
    assert_eq!(r.scalars::<i32>(true), Ok(vec![0, 0, 0]));
}

#[test]
fn no_array_is_larger_than_a_million() {
    let bytes = [&1_000_001_i32.to_be_bytes()[..], &vec![0; 1_000_001]].concat();
    assert_eq!(
        reader(&bytes).scalars::<i8>(false).map_err(|e| e.fault),
        Err(Fault::TooManyElements)
    );
    let bytes = [&1_000_000_i32.to_be_bytes()[..], &vec![0; 1_000_000]].concat();
    assert_eq!(reader(&bytes).scalars::<i8>(false).map(|values| values.len()), Ok(1_000_000));
}

#[test]
fn unknown_tagged_fields_are_passed_over() {
    let mut r = reader(b"\x02\x05\x02ab\x80\x01\x00rest");
    assert_eq!(r.skip_tags(), Ok(()));
    assert_eq!(r.rest(), b"rest");
}

#[test]
fn tagged_fields_cannot_reach_beyond_their_size() {
    // One field of two bytes; its value wants four.
    let mut r = reader(b"\x01\x00\x02\x00\x00\x00\x00");
    assert_eq!(r.tag_count(), Ok(1));
    let tag = r.begin_tag().expect("a tag");
    assert_eq!(r.get::<i32>().map_err(|error| error.fault), Err(Fault::Truncated));
    // And a value that leaves bytes over is not the value.
    r.get::<i8>().expect("a byte");
    assert_eq!(r.end_tag(tag).map_err(|error| error.fault), Err(Fault::TagSize));
}

#[test]
fn tags_are_counted_and_measured() {
    let many = reader(b"\x91\x4e").tag_count();
    assert_eq!(many.map_err(|error| error.fault), Err(Fault::TooManyTags));
    assert_eq!(reader(b"\x90\x4e").tag_count(), Ok(10_000));
    let size = reader(b"\x00\x03ab").begin_tag();
    assert_eq!(size.map(|_| ()).map_err(|error| error.fault), Err(Fault::Truncated));
}
