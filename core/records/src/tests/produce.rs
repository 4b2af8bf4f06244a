//! Goal: of a client's batch everything is refused that Kafka refuses by its head.
//! Method: one good batch, and a table of single changes, each sealed with a right checksum.

use dohle_base::{ProducerEpoch, ProducerId, Timestamp};

use super::{golden_batch, sealed, with_payload};
use crate::{
    BatchError, BatchSpec, BatchSummary, Codec, Producer, TimestampType, check_produce_batch,
};

const PRODUCER: Producer =
    Producer { id: ProducerId(4711), epoch: ProducerEpoch(3), base_sequence: i32::MAX };

fn good() -> Vec<u8> {
    let compression = Codec::Lz4.into();
    let spec =
        BatchSpec { compression, producer: PRODUCER, transactional: true, ..BatchSpec::default() };
    golden_batch(spec, false)
}

#[test]
fn a_good_batch_is_summed_up() {
    let bytes = good();
    let summary = check_produce_batch(&bytes).unwrap();
    let expected = BatchSummary {
        size: bytes.len(),
        count: 4,
        last_offset_delta: 3,
        codec: Codec::Lz4,
        timestamp_type: TimestampType::Create,
        base_timestamp: Timestamp(1_700_000_000_000),
        max_timestamp: Timestamp(1_700_000_000_500),
        producer: Some(PRODUCER),
        transactional: true,
    };
    assert_eq!(summary, expected);
    assert_eq!(summary.last_sequence(), 2);
    let plain = check_produce_batch(&golden_batch(BatchSpec::default(), false)).unwrap();
    assert_eq!((plain.producer, plain.last_sequence()), (None, -1));
}

#[test]
fn a_head_that_breaks_a_rule_is_refused() {
    let bad_count = |count, last_offset_delta| BatchError::BadCount { count, last_offset_delta };
    let bad_offsets =
        |base_offset, last_offset_delta| BatchError::BadOffsets { base_offset, last_offset_delta };
    let cases: [(&str, usize, &[u8], BatchError); 11] = [
        ("base offset 1", 7, &[1], bad_offsets(1, 3)),
        ("base offset −1", 0, &[0xff; 8], bad_offsets(-1, 3)),
        ("offsets to the end", 0, &[0x7f, 255, 255, 255, 255, 255, 255, 255], {
            bad_offsets(i64::MAX, 3)
        }),
        ("codec 5", 22, &[0x15], BatchError::UnknownCodec { id: 5 }),
        ("control", 22, &[0x33], BatchError::ControlFromClient),
        ("negative delta", 23, &[0xff; 4], bad_offsets(0, -1)),
        ("a gap", 26, &[4], bad_count(4, 4)),
        ("no records", 57, &[0; 4], bad_count(0, 3)),
        ("fewer than none", 57, &[0xff; 4], bad_count(-1, 3)),
        ("more records than offsets", 60, &[5], bad_count(5, 3)),
        ("no sequence", 53, &[0xff; 4], {
            BatchError::BadSequence { producer_id: 4711, base_sequence: -1 }
        }),
    ];
    for (name, at, change, error) in cases {
        let mut bytes = good();
        bytes[at..at + change.len()].copy_from_slice(change);
        assert_eq!(check_produce_batch(&sealed(bytes)), Err(error), "{name}");
        assert!(!error.is_corruption(), "{name}");
    }
}

#[test]
fn more_records_than_bytes_can_hold_are_refused() {
    let mut bytes = golden_batch(BatchSpec::default(), false);
    // Room for (138 / 7 = 19) records at most.
    assert_eq!(bytes.len(), 199);
    for (count, fits) in [(19_u8, true), (20, false)] {
        bytes[26] = count - 1;
        bytes[60] = count;
        bytes = sealed(bytes);
        assert_eq!(check_produce_batch(&bytes).is_ok(), fits, "{count}");
    }
}

/// Each record takes an offset, and a segment has 2^31 of them.
#[test]
fn more_records_than_a_payload_can_decompress_to_are_refused() {
    let none = golden_batch(BatchSpec::default(), false);
    // (codec, bytes of it, the most records that they can be: seven bytes make one)
    let rows = [
        (Codec::Gzip, 100, 14_742),
        (Codec::Snappy, 100, 314),
        (Codec::Lz4, 100, 3_642),
        (Codec::Zstd, 100, 468_114),
        (Codec::Zstd, 1 << 20, 306_783_377),
    ];
    for (codec, size, most) in rows {
        let mut bytes = with_payload(&none, codec, &vec![0; size]);
        for (count, fits) in [(most, true), (most + 1, false), (i32::MAX, false)] {
            bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
            bytes = sealed(bytes);
            let refused = BatchError::BadCount { count, last_offset_delta: count - 1 };
            let expected = if fits { Ok(()) } else { Err(refused) };
            assert_eq!(check_produce_batch(&bytes).map(|_| ()), expected, "{codec} {count}");
        }
    }
}

#[test]
fn one_batch_and_nothing_else_is_taken() {
    let two = [good(), good()].concat();
    let (size, batch_size) = (two.len(), good().len());
    assert_eq!(check_produce_batch(&two), Err(BatchError::NotAlone { size, batch_size }));
    let none = BatchError::Truncated { position: 0, needed: 61, available: 0 };
    assert_eq!(check_produce_batch(&[]), Err(none));
}

#[test]
fn old_messages_are_a_producers_fault() {
    let error = check_produce_batch(&super::kafka()["magic1-none"]).unwrap_err();
    assert_eq!(error, BatchError::BadMagic { position: 0, magic: 1 });
    assert!(!error.is_corruption());
}

#[test]
fn every_changed_bit_but_those_the_broker_assigns_is_noticed() {
    let bytes = good();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let result = check_produce_batch(&bytes);
            match at {
                // The leader epoch is the broker's; clients may send anything.
                12..16 => assert!(result.is_ok()),
                0..8 => assert!(matches!(result, Err(BatchError::BadOffsets { .. }))),
                // A longer length is a batch that is cut, a shorter one has bytes behind it.
                8..12 => assert!(result.is_err()),
                // Magic 0 was a format once.
                16 => assert!(matches!(result, Err(BatchError::BadMagic { .. }))),
                _ => assert!(result.unwrap_err().is_corruption(), "{at}"),
            }
        }
    }
}

#[test]
fn a_batch_cut_anywhere_is_truncated() {
    let bytes = good();
    for end in 0..bytes.len() {
        let needed = if end < 61 { 61 } else { bytes.len() };
        let error = BatchError::Truncated { position: 0, needed, available: end };
        assert_eq!(check_produce_batch(&bytes[..end]), Err(error));
    }
}
