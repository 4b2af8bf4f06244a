//! What a client's head says of its records' times is believed only as far as that harms nobody else:
//! where it cannot be, or would be refused, the records tell; and what they tell, where anybody looked
//! at them, is what the log keeps.

use std::path::Path;

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    AppendError, CompressionPolicy, Log, LogConfig, LogError, Origin, TimestampOffset, sim::SimDisk,
};
use dohle_records::{
    BatchBuilder, BatchMut, BatchSpec, BatchView, Codec, NewRecord, TimestampType,
};

use crate::kit::*;

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

/// A batch of records with these times, whose head says another greatest one.
fn claiming(max: Timestamp, times: &[i64], codec: Codec) -> Bytes {
    let mut builder =
        BatchBuilder::new(BatchSpec { compression: codec.into(), ..BatchSpec::default() });
    for ms in times {
        let (timestamp, key, value) = (at(*ms), Some(&b"key"[..]), Some(&b"value"[..]));
        builder.append(&NewRecord { timestamp, key, value, headers: &[] }).unwrap();
    }
    let mut bytes = builder.finish().to_vec();
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_max_timestamp(TimestampType::Create, max);
    bytes.into()
}

fn append(log: &mut Log<SimDisk>, batch: &[u8]) -> Result<(), AppendError> {
    log.append_as_leader(batch, EPOCH, Origin::Client, NOW).map(|_| ())
}

/// The greatest time in the head of the log's last batch, of which the rest is right.
fn kept(log: &mut Log<SimDisk>) -> Timestamp {
    let stored = read_all(log);
    let last = BatchView::parse(stored.last().unwrap()).unwrap();
    last.check_crc().unwrap();
    last.max_timestamp()
}

fn broken() -> Bytes {
    let mut bytes = claiming(at(0), &[0, 0], Codec::Gzip).to_vec();
    bytes[63] ^= 0xff;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn a_greatest_time_that_cannot_be_is_found_out_from_the_records() {
    for codec in Codec::ALL {
        let (_disk, mut log) = empty(LogConfig::default());
        // Before the first record's, and later than may be: Kafka takes them and puts it right.
        for max in [at(-1), Timestamp(0), Timestamp::NONE, at(2 * DAY), Timestamp(i64::MAX)] {
            append(&mut log, &claiming(max, &[0, 7, 3], codec)).unwrap();
            assert_eq!(kept(&mut log), at(7), "{codec} {max:?}");
        }
        // A head that may be right costs no look.
        append(&mut log, &claiming(at(5), &[0, 7, 3], codec)).unwrap();
        assert_eq!(kept(&mut log), at(5), "{codec}");
    }
    // Records are no excuse for one another.
    let (_disk, mut log) = empty(LogConfig::default());
    let refused = append(&mut log, &claiming(Timestamp(0), &[0, 2 * DAY], Codec::None));
    assert!(
        matches!(&refused, Err(AppendError::Timestamp { timestamp, .. }) if *timestamp == at(2 * DAY)),
        "{refused:?}"
    );
}

#[test]
fn where_records_are_looked_at_their_times_count() {
    let rows = [
        ("checked", LogConfig { checks_records: true, ..LogConfig::default() }),
        ("compacted", LogConfig { compacted: true, ..LogConfig::default() }),
        ("of some age", LogConfig { timestamp_before_ms_max: DAY, ..LogConfig::default() }),
        ("compressed anew", {
            let compression = CompressionPolicy::Fixed(Codec::Zstd.into());
            LogConfig { compression, ..LogConfig::default() }
        }),
    ];
    for (what, config) in rows {
        let (_disk, mut log) = empty(config);
        for max in [at(0), at(5), at(1_000)] {
            append(&mut log, &claiming(max, &[0, 7, 3], Codec::Lz4)).unwrap();
            assert_eq!(kept(&mut log), at(7), "{what} {max:?}");
        }
        let refused = append(&mut log, &claiming(at(1), &[0, 2 * DAY], Codec::Lz4));
        assert!(matches!(refused, Err(AppendError::Timestamp { .. })), "{what}: {refused:?}");
    }
}

/// An acknowledged record is not removed before its time because its head says that it is older than
/// its first record.
#[test]
fn no_segment_goes_for_a_time_that_is_in_none_of_its_records() {
    let config = LogConfig { retention_ms_max: Some(DAY), ..LogConfig::default() };
    for (max, goes) in [(Timestamp(0), DAY), (at(2 * DAY), DAY)] {
        let (_disk, mut log) = empty(config.clone());
        append(&mut log, &claiming(max, &[-5, 0], Codec::Lz4)).unwrap();
        log.roll(NOW).unwrap();
        let end = log.log_end_offset();
        assert_eq!(log.remove_expired(end, at(goes)).unwrap(), None, "{max:?}");
        assert!(log.remove_expired(end, at(goes + 1)).unwrap().is_some(), "{max:?}");
    }
}

/// The lie of one does not hide the records of others, nor let their segment go.
#[test]
fn a_time_that_is_believed_harms_nobody_else() {
    let config =
        LogConfig { retention_ms_max: Some(DAY), index_interval_bytes: 0, ..LogConfig::default() };
    let hour = 60 * 60 * 1_000;
    // Less than it is, and more.
    for (lie, truth) in [(0, hour / 2), (hour, 0)] {
        let (_disk, mut log) = empty(config.clone());
        for ms in 1..20 {
            append(&mut log, &claiming(at(lie), &[0, truth], Codec::None)).unwrap();
            append(&mut log, &claiming(at(ms), &[ms], Codec::None)).unwrap();
        }
        for ms in 1..20 {
            let found = log.offset_for_timestamp(at(ms)).unwrap().unwrap();
            // Those that say less than they are are not found: that is all.
            assert_eq!(found.offset, Offset(3 * ms - 1), "{lie} {ms}");
        }
        log.roll(NOW).unwrap();
        let end = log.log_end_offset();
        assert_eq!(log.remove_expired(end, at(DAY + 19)).unwrap(), None, "{lie}");
        // `message.timestamp.after.max.ms` is an hour.
        assert!(log.remove_expired(end, at(DAY + hour + 1)).unwrap().is_some(), "{lie}");
    }
}

#[test]
fn a_batch_whose_records_cannot_be_read_is_passed_over_by_look_ups() {
    let (disk, mut log) = empty(LogConfig::default());
    append(&mut log, &claiming(at(0), &[0], Codec::None)).unwrap();
    append(&mut log, &broken()).unwrap();
    assert_eq!(log.offset_for_timestamp(at(0)).unwrap().unwrap().offset, Offset(0));
    append(&mut log, &broken()).unwrap();
    append(&mut log, &claiming(at(0), &[0], Codec::None)).unwrap();
    log.advance_log_start(Offset(1)).unwrap();
    let found = TimestampOffset { timestamp: at(0), offset: Offset(5), leader_epoch: EPOCH };
    assert_eq!(log.offset_for_timestamp(at(0)).unwrap(), Some(found));
    // What is not as it was sent is still damage.
    let path = Path::new(DIR).join("00000000000000000000.log");
    let mut bytes = disk.peek(&path).unwrap();
    let second = BatchView::parse(&bytes).unwrap().size();
    bytes[second + 61] ^= 0xff;
    disk.plant(&path, &bytes);
    let error = log.offset_for_timestamp(at(0)).unwrap_err();
    assert!(matches!(error, LogError::Corrupt(_)), "{error}");
}

#[test]
fn the_greatest_time_is_that_of_a_head_where_no_record_has_it() {
    for batch in [claiming(at(9), &[0, 7, 3], Codec::Lz4), broken()] {
        let (_disk, mut log) = empty(LogConfig::default());
        append(&mut log, &claiming(at(-3), &[-3], Codec::None)).unwrap();
        append(&mut log, &batch).unwrap();
        let last = log.log_end_offset().0 - 1;
        append(&mut log, &claiming(at(-2), &[-2], Codec::None)).unwrap();
        let timestamp = BatchView::parse(&batch).unwrap().max_timestamp();
        let found =
            TimestampOffset { timestamp, offset: Offset(last), leader_epoch: LeaderEpoch(0) };
        assert_eq!(log.max_timestamp().unwrap(), Some(found));
    }
}
