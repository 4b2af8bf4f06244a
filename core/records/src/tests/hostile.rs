//! Goal: no bytes whatever panic, hang or pass for what they are not.
//! Method: good batches cut at every length and changed at every byte, with a right checksum again
//! so that decoding is reached; single faults with the error they must give.

use super::{LIMIT, golden_batch, read, sealed, with_payload};
use crate::{BatchError, BatchSpec, BatchView, Codec, Payload, RecordFault, check_produce_batch};

fn batch(codec: Codec) -> Vec<u8> {
    golden_batch(BatchSpec { compression: codec.into(), ..BatchSpec::default() }, false)
}

#[test]
fn a_changed_byte_under_a_right_checksum_never_panics() {
    for codec in Codec::ALL {
        let bytes = batch(codec);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x02, 0x40, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let bytes = sealed(bytes);
                _ = check_produce_batch(&bytes);
                let Ok(view) = BatchView::parse(&bytes) else { continue };
                let _ = (view.check(), view.next_offset(), view.last_sequence());
                let payload = view.decompress(LIMIT);
                let summary = payload.as_ref().map_err(|e| *e).and_then(Payload::summarize);
                assert_eq!(view.survey(LIMIT).ok(), summary.ok(), "{codec} {at} {flip}");
                let Ok(payload) = payload else { continue };
                let count = payload.records().filter(Result::is_ok).count();
                assert!(count <= payload.bytes().len() / 7);
            }
        }
    }
}

#[test]
fn a_payload_cut_anywhere_is_noticed() {
    for codec in Codec::ALL {
        let bytes = batch(codec);
        for end in 61..bytes.len() {
            let cut = with_payload(&bytes, codec, &bytes[61..end]);
            assert!(read(&cut).is_err(), "{codec} cut at {end}");
        }
    }
}

#[test]
fn bytes_behind_the_last_record_are_noticed() {
    let bytes = batch(Codec::None);
    let longer = with_payload(&bytes, Codec::None, &[&bytes[61..], &[0, 0]].concat());
    assert_eq!(read(&longer), Err(BatchError::TrailingBytes { count: 2 }));
}

#[test]
fn a_damaged_batch_is_walked_as_it_is_stored() {
    let bytes = batch(Codec::None);
    let stored = |bytes: &[u8]| {
        let payload = BatchView::parse(bytes).unwrap().decompress(LIMIT).unwrap();
        payload.records_as_stored().map(|record| record.map(drop)).collect::<Vec<_>>()
    };
    let count = stored(&bytes).len();
    assert_eq!(count, read(&bytes).unwrap().len());

    let longer = with_payload(&bytes, Codec::None, &[&bytes[61..], &[0, 0]].concat());
    let walked = stored(&longer);
    assert_eq!(walked.len(), count);
    assert_eq!(walked.last(), Some(&Err(BatchError::TrailingBytes { count: 2 })));

    // The last offset delta is below those of the records.
    let mut short = bytes.clone();
    short[23..27].copy_from_slice(&0_i32.to_be_bytes());
    assert!(stored(&short).iter().all(Result::is_ok));

    let mut none = bytes;
    none[57..61].copy_from_slice(&0_i32.to_be_bytes());
    assert_eq!(stored(&none), []);
}

/// Makes one record of the fields and reads it.
fn read_record(body: &[u8]) -> Result<usize, BatchError> {
    let mut bytes = batch(Codec::None);
    bytes[60] = 1;
    let size = u8::try_from(body.len()).unwrap() * 2;
    read(&with_payload(&bytes, Codec::None, &[&[size], body].concat())).map(|all| all.len())
}

#[test]
fn each_field_of_a_record_is_checked() {
    let bad_length = |length| RecordFault::BadLength { length };
    // Attributes, timestamp delta, offset delta, key, value, headers; small numbers are doubled.
    let cases: [(&str, &[u8], RecordFault); 12] = [
        ("no fields", &[], RecordFault::Truncated),
        ("ends in a field", &[0, 0, 0, 1, 1], RecordFault::Truncated),
        ("key too long", &[0, 0, 0, 8, b'k', 1], bad_length(4)),
        ("value too long", &[0, 0, 0, 1, 200, 1, 0], bad_length(100)),
        ("negative header count", &[0, 0, 0, 1, 1, 1], bad_length(-1)),
        ("more headers than bytes", &[0, 0, 0, 1, 1, 4, 0, 1, 0], bad_length(2)),
        ("null header key", &[0, 0, 0, 1, 1, 2, 1, 1], bad_length(-1)),
        ("header value too long", &[0, 0, 0, 1, 1, 2, 0, 2], bad_length(1)),
        ("bytes behind the headers", &[0, 0, 0, 1, 1, 0, 9], {
            RecordFault::SizeMismatch { size: 1, fields: 0 }
        }),
        ("offset before the batch", &[0, 0, 1, 1, 1, 0], RecordFault::BadOffset { delta: -1 }),
        ("offset behind the batch", &[0, 0, 8, 1, 1, 0], RecordFault::BadOffset { delta: 4 }),
        ("overlong time", &[0, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1], {
            RecordFault::BadVarint
        }),
    ];
    assert_eq!(read_record(&[0, 0, 6, 1, 1, 0]), Ok(1));
    // Any negative length is a null, as in Kafka.
    assert_eq!(read_record(&[0, 0, 6, 3, 5, 2, 0, 7]), Ok(1));
    for (name, body, fault) in cases {
        assert_eq!(read_record(body), Err(BatchError::BadRecord { index: 0, fault }), "{name}");
    }
}

#[test]
fn offsets_within_a_batch_ascend() {
    let record = |delta: u8| [12, 0, 0, delta * 2, 1, 1, 0];
    let mut bytes = batch(Codec::None);
    bytes[60] = 2;
    for (first, second, good) in [(0, 1, true), (1, 3, true), (1, 1, false), (2, 1, false)] {
        let payload = [record(first), record(second)].concat();
        let result = read(&with_payload(&bytes, Codec::None, &payload));
        let fault = RecordFault::BadOffset { delta: second.into() };
        match result {
            Ok(records) => assert!(good && records.len() == 2),
            Err(error) => {
                assert!(!good);
                assert_eq!(error, BatchError::BadRecord { index: 1, fault });
            }
        }
    }
}

#[test]
fn a_record_size_beyond_the_payload_allocates_nothing() {
    let mut bytes = batch(Codec::None);
    bytes[60] = 1;
    let payload = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let fault = RecordFault::BadLength { length: i32::MAX.into() };
    let error = BatchError::BadRecord { index: 0, fault };
    assert_eq!(read(&with_payload(&bytes, Codec::None, &payload)), Err(error));
    let payload = [0x01, 0, 0, 0, 0, 0, 0];
    let fault = RecordFault::BadLength { length: -1 };
    let error = BatchError::BadRecord { index: 0, fault };
    assert_eq!(read(&with_payload(&bytes, Codec::None, &payload)), Err(error));
}

#[test]
fn a_negative_count_is_an_error_not_an_empty_batch() {
    let mut bytes = batch(Codec::None);
    bytes[57..61].copy_from_slice(&(-5_i32).to_be_bytes());
    let error = BatchError::BadCount { count: -5, last_offset_delta: 3 };
    assert_eq!(read(&sealed(bytes)), Err(error));
}
