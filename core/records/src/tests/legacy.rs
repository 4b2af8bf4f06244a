//! Goal: old messages are read as Kafka reads them. Method: golden messages, changed and sealed.

use super::{LIMIT, kafka, kafka_python, read};
use crate::codec::compress;
use crate::{BatchError, Codec, LegacyMessage, RecordFault};

fn sealed(mut message: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&message[16..]);
    message[12..16].copy_from_slice(&crc.to_be_bytes());
    message
}

/// A message of magic 1 that holds `messages`, compressed.
fn wrapper(offset: i64, codec: Codec, messages: &[u8]) -> Vec<u8> {
    let value = compress(codec.into(), messages);
    let mut message = offset.to_be_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(value.len() + 22).unwrap().to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&[1, codec.id()]);
    message.extend_from_slice(&7_i64.to_be_bytes());
    message.extend_from_slice(&(-1_i32).to_be_bytes());
    message.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&value);
    sealed(message)
}

/// Messages of magic 1 with offsets 0 to 3.
fn inner() -> Vec<u8> {
    kafka_python()["magic1-none"].clone()
}

fn offsets(bytes: &[u8]) -> Result<Vec<i64>, BatchError> {
    read(bytes).map(|records| records.into_iter().map(|record| record.0).collect())
}

fn fault(index: u32, fault: RecordFault) -> Result<Vec<i64>, BatchError> {
    Err(BatchError::BadRecord { index, fault })
}

#[test]
fn relative_offsets_end_at_the_outer_one() {
    assert_eq!(offsets(&wrapper(1003, Codec::Gzip, &inner())), Ok(vec![1000, 1001, 1002, 1003]));
    assert_eq!(offsets(&wrapper(3, Codec::Snappy, &inner())), Ok(vec![0, 1, 2, 3]));
    // Certain old producers left the outer offset 0.
    assert_eq!(offsets(&wrapper(0, Codec::Lz4, &inner())), Ok(vec![0, 1, 2, 3]));
    assert_eq!(offsets(&wrapper(2, Codec::Gzip, &inner())), fault(0, RecordFault::BadNesting));
}

#[test]
fn a_wrapper_in_a_wrapper_is_refused() {
    let nested = wrapper(1, Codec::Gzip, &wrapper(0, Codec::Gzip, &inner()));
    assert_eq!(offsets(&nested), fault(0, RecordFault::BadNesting));
    let batch = wrapper(1, Codec::Gzip, &kafka()["magic2-none"]);
    assert_eq!(offsets(&batch), fault(0, RecordFault::BadNesting));
}

#[test]
fn a_wrapper_without_messages_is_refused() {
    assert_eq!(offsets(&wrapper(1, Codec::Gzip, b"")), fault(0, RecordFault::Truncated));
    let zstd = wrapper(1, Codec::Zstd, &inner());
    assert_eq!(offsets(&zstd), Err(BatchError::UnknownCodec { id: 4 }));
}

#[test]
fn a_last_message_cut_short_is_not_one() {
    let mut messages = inner();
    messages.pop();
    assert_eq!(offsets(&wrapper(102, Codec::Gzip, &messages)), Ok(vec![100, 101, 102]));
}

#[test]
fn a_damaged_message_within_is_noticed() {
    let mut messages = inner();
    // In the second one's value length: its checksum is wrong then.
    let second = 12 + 30;
    messages[second + 20] ^= 1;
    let error = offsets(&wrapper(103, Codec::Gzip, &messages)).unwrap_err();
    let BatchError::BadRecord { index: 1, fault: RecordFault::BadCrc { .. } } = error else {
        panic!("{error}");
    };
}

#[test]
fn every_changed_bit_of_a_message_is_noticed_or_outside_its_checksum() {
    for name in ["magic0-gzip", "magic1-lz4", "magic1-none"] {
        let golden = kafka();
        let bytes = LegacyMessage::parse(&golden[name]).unwrap().bytes();
        for at in 16..bytes.len() {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x10;
            assert!(read(&bytes).is_err(), "{name} {at}");
        }
    }
}

#[test]
fn messages_with_any_field_wrong_do_not_panic() {
    for name in ["magic0-gzip", "magic0-none", "magic1-lz4", "magic1-snappy", "magic1-none"] {
        let bytes = &kafka()[name];
        for at in 0..bytes.len() {
            for flip in [0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let Ok(message) = LegacyMessage::parse(&bytes) else { continue };
                let Ok(payload) = message.decompress(LIMIT) else { continue };
                assert!(payload.records().count() <= 4);
                _ = payload.summarize();
            }
        }
    }
}
