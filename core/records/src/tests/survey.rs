//! Goal: a survey tells of a batch what decoding it tells, and refuses what decoding refuses.
//! Method: both of the same batches: good ones in every codec and framing, and single faults.

use std::io::Read;

use super::{LIMIT, golden_batch, kafka, kafka_python, large_text, named, with_payload};
use crate::codec::{compress, plain};
use crate::{BatchError, BatchSpec, BatchView, Codec, Payload, RecordFault, RecordsSummary};

const PACKED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn decoded(view: &BatchView<'_>) -> Result<RecordsSummary, BatchError> {
    view.decompress(LIMIT).as_ref().map_err(|error| *error).and_then(Payload::summarize)
}

#[test]
fn streams_of_all_writers_are_read_to_their_end() {
    let text = large_text();
    let frames = named(include_str!("../../testdata/frames.txt"));
    let ours = PACKED.map(|codec| (codec.name().to_owned(), compress(codec.into(), &text)));
    for (name, packed) in frames.into_iter().chain(ours) {
        let codec = Codec::from_name(name.split('-').next().unwrap()).unwrap();
        let mut bytes = Vec::new();
        plain(codec, &packed).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == text, "{name}");
    }
}

#[test]
fn good_batches_are_summed_up_as_by_decoding() {
    let mut batches: Vec<Vec<u8>> =
        kafka().into_values().chain(kafka_python().into_values()).collect();
    for codec in Codec::ALL {
        batches.push(golden_batch(
            BatchSpec { compression: codec.into(), ..BatchSpec::default() },
            true,
        ));
    }
    let mut surveyed = 0;
    for bytes in &batches {
        let Ok(view) = BatchView::parse(bytes) else { continue };
        assert_eq!(view.survey(LIMIT), decoded(&view));
        surveyed += usize::from(view.survey(LIMIT).is_ok());
    }
    assert!(surveyed > 10, "{surveyed}");
}

#[test]
fn each_fault_is_found_in_the_stream() {
    let batch = golden_batch(BatchSpec::default(), false);
    let bad = |fault| BatchError::BadRecord { index: 0, fault };
    let one = |body: &[u8]| [&[u8::try_from(body.len() * 2).unwrap()], body].concat();
    let length = |length| RecordFault::BadLength { length };
    let cases: Vec<(&str, Vec<u8>, BatchError)> = vec![
        ("ends in a field", one(&[0, 0, 6, 1, 1]), bad(RecordFault::Truncated)),
        ("key beyond its record", one(&[0, 0, 6, 8, b'k', 1, 0]), bad(length(4))),
        ("negative header count", one(&[0, 0, 6, 1, 1, 1]), bad(length(-1))),
        ("null header key", one(&[0, 0, 6, 1, 1, 2, 1, 1]), bad(length(-1))),
        ("bytes behind the headers", one(&[0, 0, 6, 1, 1, 0, 9]), {
            bad(RecordFault::SizeMismatch { size: 7, fields: 6 })
        }),
        ("offset behind the batch", one(&[0, 0, 8, 1, 1, 0]), {
            bad(RecordFault::BadOffset { delta: 4 })
        }),
        ("negative size", vec![1, 0, 0, 0, 0], bad(length(-1))),
        ("another record", [one(&[0, 0, 6, 1, 1, 0]), vec![0; 3]].concat(), {
            BatchError::TrailingBytes { count: 3 }
        }),
        ("nothing", vec![], bad(RecordFault::Truncated)),
    ];
    for codec in PACKED {
        for (name, payload, error) in &cases {
            let mut bytes = with_payload(&batch, codec, &compress(codec.into(), payload));
            bytes[60] = 1;
            let view = BatchView::parse(&bytes).unwrap();
            assert_eq!(view.survey(LIMIT), Err(*error), "{codec}: {name}");
            assert!(decoded(&view).is_err(), "{codec}: {name}");
        }
    }
}

#[test]
fn the_limit_holds_and_broken_streams_are_told() {
    for codec in PACKED {
        let spec = BatchSpec { compression: codec.into(), ..BatchSpec::default() };
        let bytes = golden_batch(spec, true);
        let view = BatchView::parse(&bytes).unwrap();
        let size = decoded(&view).unwrap().size;
        assert!(view.survey(size).is_ok(), "{codec}: the limit is inclusive");
        for limit in [0, 1, 40_000, size - 1] {
            assert_eq!(view.survey(limit), Err(BatchError::TooLarge { limit }), "{codec}");
        }
        let cut = with_payload(&bytes, codec, &bytes[61..bytes.len() - 1]);
        let view = BatchView::parse(&cut).unwrap();
        assert_eq!(view.survey(LIMIT), Err(BatchError::BadCompression { codec }));
        let none = with_payload(&bytes, codec, b"no such stream");
        let view = BatchView::parse(&none).unwrap();
        assert_eq!(view.survey(LIMIT), Err(BatchError::BadCompression { codec }));
    }
}

/// Where decoding finds it, in every codec, and though what lies behind it is too much or broken.
#[test]
fn a_record_is_found_without_what_lies_behind_it() {
    for codec in Codec::ALL {
        let spec = BatchSpec { compression: codec.into(), ..BatchSpec::default() };
        let bytes = golden_batch(spec, true);
        let view = BatchView::parse(&bytes).unwrap();
        let payload = view.decompress(LIMIT).unwrap();
        for record in payload.records() {
            let record = record.unwrap();
            let found = view.find(LIMIT, |offset, _| offset >= record.offset);
            assert_eq!(found, Ok(Some((record.offset, record.timestamp))), "{codec}");
        }
        assert_eq!(view.find(LIMIT, |_, _| false), Ok(None), "{codec}");
        if codec == Codec::None {
            continue;
        }
        let first = payload.records().next().unwrap().unwrap();
        let first = Ok(Some((first.offset, first.timestamp)));
        let small = 40_000.min(payload.bytes().len() - 1);
        assert_eq!(view.find(small, |_, _| true), first, "{codec}");
        assert!(view.find(small, |_, _| false).is_err(), "{codec}");
        let cut = with_payload(&bytes, codec, &bytes[61..bytes.len() - 1]);
        let view = BatchView::parse(&cut).unwrap();
        assert!(view.find(LIMIT, |_, _| false).is_err(), "{codec}");
    }
}
