//! Goal: what others wrote is read, and what they would write is written.
//! Method: bytes made by Kafka 4.4's own classes and by a Python client, and one made by hand.

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{bytes_of, golden_batch, golden_plain, kafka, kafka_python, read};
use crate::{
    BatchBuilder, BatchSpec, BatchView, Codec, Compression, NewRecord, Producer, TimestampType,
    empty_batch,
};

/// Two metadata records at offset 1, leader epoch 1, timestamps 0.
pub(super) const METADATA: &str = "00000000000000010000005a0000000102c87cb92f0000000000010000000000\
    0000000000000000000000ffffffffffffffffffffffffffff000000023a000000012e010c00116d657461646174\
    612e76657273696f6e001e00001400000201080114000000";

fn spec() -> BatchSpec {
    BatchSpec {
        base_offset: Offset(100),
        partition_leader_epoch: LeaderEpoch(7),
        ..BatchSpec::default()
    }
}

const PRODUCER: Producer =
    Producer { id: ProducerId(4711), epoch: ProducerEpoch(3), base_sequence: 2_147_483_646 };

#[test]
fn batches_and_messages_of_kafka_are_read_in_every_codec() {
    let golden = kafka();
    let mut seen = 0;
    for (name, bytes) in &golden {
        let (magic, large) = match name.split_once('-').unwrap_or((name, "")) {
            ("magic0", _) => (0, false),
            ("magic1", codec) if !codec.starts_with("log") => (1, false),
            ("magic2", _) => (2, false),
            ("large", _) => (2, true),
            _ => continue,
        };
        assert_eq!(read(bytes), Ok(golden_plain(100, magic, large)), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 17);
}

#[test]
fn batches_and_messages_of_a_python_client_are_read_in_every_codec() {
    let golden = kafka_python();
    assert_eq!(golden.len(), 13);
    for (name, bytes) in &golden {
        let magic = name.as_bytes()[5] - b'0';
        let large = magic == 2 && name != "magic2-none";
        assert_eq!(read(bytes), Ok(golden_plain(0, magic.cast_signed(), large)), "{name}");
    }
}

#[test]
fn the_builder_makes_the_metadata_batch_of_the_raft_log() {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: Offset(1),
        partition_leader_epoch: LeaderEpoch(1),
        ..BatchSpec::default()
    });
    let level = bytes_of("010c00116d657461646174612e76657273696f6e001e00");
    let no_op = bytes_of("01140000");
    for value in [&level, &no_op] {
        let record =
            NewRecord { timestamp: Timestamp(0), value: Some(value), ..NewRecord::default() };
        builder.append(&record).unwrap();
    }
    assert_eq!(builder.finish(), bytes_of(METADATA));
}

#[test]
fn the_builder_makes_the_very_bytes_of_kafka() {
    let golden = kafka();
    assert_eq!(golden_batch(spec(), false), golden["magic2-none"]);
    let stamped = BatchSpec {
        log_append_time: Some(Timestamp(1_800_000_000_000)),
        producer: PRODUCER,
        transactional: true,
        ..spec()
    };
    assert_eq!(golden_batch(stamped, false), golden["log-append-transactional"]);
    // Snappy's blocks leave no choice but where to cut, and the framing cuts alike.
    let snappy = BatchSpec { compression: Codec::Snappy.into(), ..spec() };
    assert_eq!(golden_batch(snappy, true), golden["large-snappy"]);
}

#[test]
fn the_cleaner_keeps_a_batch_without_records_as_kafka_does() {
    let producer = Producer { base_sequence: 12, ..PRODUCER };
    let spec = BatchSpec { producer, transactional: true, ..spec() };
    let max = Timestamp(1_700_000_000_000);
    let empty = empty_batch(spec, Offset(109), TimestampType::Create, max);
    assert_eq!(empty, kafka()["empty"]);
    let view = BatchView::parse(&empty).unwrap();
    assert_eq!(view.check(), Ok(()));
    assert_eq!((view.last_offset(), view.last_sequence()), (Offset(109), 21));
    assert_eq!(read(&empty), Ok(vec![]));
}

#[test]
fn the_log_append_time_is_the_time_of_all_records() {
    for name in ["log-append-transactional", "magic1-log-append-gzip"] {
        let records = read(&kafka()[name]).unwrap();
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.1 == 1_800_000_000_000), "{name}");
    }
}

#[test]
fn a_head_says_what_kafka_wrote() {
    let golden = kafka();
    let view = BatchView::parse(&golden["log-append-transactional"]).unwrap();
    assert_eq!(view.check(), Ok(()));
    assert_eq!((view.base_offset(), view.next_offset()), (Offset(100), Offset(104)));
    assert_eq!(view.partition_leader_epoch(), LeaderEpoch(7));
    assert_eq!(view.producer(), Some(PRODUCER));
    // Sequences wrap: 2147483646, 2147483647, 0, 1.
    assert_eq!(view.last_sequence(), 1);
    assert_eq!(view.base_timestamp(), Timestamp(1_700_000_000_000));
    assert_eq!(view.max_timestamp(), Timestamp(1_800_000_000_000));
    assert_eq!((view.record_count(), view.last_offset_delta()), (4, 3));
    let attributes = view.attributes();
    assert_eq!(attributes.timestamp_type(), TimestampType::LogAppend);
    assert!(attributes.is_transactional() && !attributes.is_control());
    assert_eq!((attributes.codec(), view.delete_horizon()), (Some(Codec::None), None));
}

#[test]
fn a_batch_made_like_another_one_is_that_batch() {
    for (name, bytes) in kafka() {
        let Ok(view) = BatchView::parse(&bytes) else { continue };
        let level_and_writer_differ =
            !matches!(view.attributes().codec(), Some(Codec::None | Codec::Snappy));
        if view.record_count() == 0 || level_and_writer_differ {
            continue;
        }
        let mut builder = BatchBuilder::new(BatchSpec::of(&view));
        for record in view.decompress(super::LIMIT).unwrap().records() {
            let mut record = record.unwrap();
            if view.attributes().timestamp_type() == TimestampType::LogAppend {
                // The records' own times are not shown; these batches have that of the golden ones.
                let at = usize::try_from(record.offset.0 - 100).unwrap();
                record.timestamp = super::golden_records(b"")[at].timestamp;
            }
            builder.copy(&record).unwrap();
        }
        assert_eq!(builder.finish_at(view.last_offset()), bytes, "{name}");
    }
}

#[test]
fn each_codec_at_each_end_of_its_levels_is_read_back() {
    for codec in Codec::ALL {
        let levels = match codec.levels() {
            None => vec![codec.default_level()],
            Some(range) => vec![*range.start(), codec.default_level(), *range.end()],
        };
        for level in levels {
            let compression = Compression::with_level(codec, level).unwrap();
            let bytes = golden_batch(BatchSpec { compression, ..spec() }, true);
            assert_eq!(bytes[22], codec.id());
            assert_eq!(read(&bytes), Ok(golden_plain(100, 2, true)), "{codec} {level}");
            let again = golden_batch(BatchSpec { compression, ..spec() }, true);
            assert_eq!(bytes, again, "{codec} {level} is deterministic");
        }
    }
}
