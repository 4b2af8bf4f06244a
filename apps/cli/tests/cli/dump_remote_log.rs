//! `kafka-dump-log --remote-log-metadata-decoder` against what Kafka's tool says about the same segment,
//! which is made here from the schema. The battery `dump` of test/compat asks both about it.

use std::{fs, path::Path};

use bytes::{BufMut, Bytes, BytesMut};
use dohle_base::{BrokerId, LeaderEpoch, Offset, PartitionId, Timestamp, TopicId, Uuid};
use dohle_protocol::records::log::{
    RemoteLogRecord,
    remote_log_segment_metadata_record::{
        RemoteLogSegmentIdEntry, RemoteLogSegmentMetadataRecord, SegmentLeaderEpochEntry,
        TopicIdPartitionEntry,
    },
    remote_log_segment_metadata_snapshot_record::{
        self as snapshot, RemoteLogSegmentMetadataSnapshotRecord,
    },
    remote_log_segment_metadata_update_record::{
        self as update, RemoteLogSegmentMetadataUpdateRecord,
    },
    remote_partition_delete_metadata_record::{
        self as delete, RemotePartitionDeleteMetadataRecord,
    },
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use crate::process::dohle;

/// Where the segment lies for both tools.
const SEGMENT: &str = "testdata/remote-log/__remote_log_metadata-0/00000000000000000000.log";
/// What Kafka 4.3.1's tool says of it.
const SAID: &str = include_str!("../../testdata/remote-log/kafka-dump-log.txt");

const TOPIC: Uuid = Uuid(0x0123_4567_89ab_cdef_1032_5476_98ba_dcfe);
const SEGMENT_ID: Uuid = Uuid(0xfedc_ba98_7654_3210_0f1e_2d3c_4b5a_6978);

fn a_segment() -> RemoteLogSegmentMetadataRecord {
    let epoch = |epoch, start| SegmentLeaderEpochEntry {
        leader_epoch: LeaderEpoch(epoch),
        offset: Offset(start),
    };
    RemoteLogSegmentMetadataRecord {
        remote_log_segment_id: RemoteLogSegmentIdEntry {
            topic_id_partition: TopicIdPartitionEntry {
                name: "orders-é".into(),
                id: TopicId(TOPIC),
                partition: PartitionId(3),
            },
            id: SEGMENT_ID,
        },
        start_offset: Offset(100),
        end_offset: Offset(2_000),
        broker_id: BrokerId(5),
        max_timestamp_ms: 1_700_000_000_000,
        event_timestamp_ms: 1_700_000_000_123,
        // Neither in order nor each once.
        segment_leader_epochs: vec![epoch(7, 900), epoch(2, 100), epoch(7, 901)],
        segment_size_in_bytes: 1_048_576,
        custom_metadata: None,
        remote_log_segment_state: 0,
        txn_index_empty: false,
    }
}

fn a_snapshot() -> RemoteLogSegmentMetadataSnapshotRecord {
    RemoteLogSegmentMetadataSnapshotRecord {
        segment_id: SEGMENT_ID,
        // Of a snapshot Kafka checks no offsets.
        start_offset: Offset(-5),
        end_offset: Offset(-9),
        broker_id: BrokerId(5),
        max_timestamp_ms: 1,
        event_timestamp_ms: 2,
        segment_leader_epochs: vec![snapshot::SegmentLeaderEpochEntry {
            leader_epoch: LeaderEpoch(0),
            offset: Offset(0),
        }],
        segment_size_in_bytes: 9,
        custom_metadata: Some(Bytes::from_static(&[1, 2, 3])),
        remote_log_segment_state: 3,
        txn_index_empty: true,
    }
}

fn an_update(state: i8) -> RemoteLogSegmentMetadataUpdateRecord {
    RemoteLogSegmentMetadataUpdateRecord {
        remote_log_segment_id: update::RemoteLogSegmentIdEntry {
            topic_id_partition: update::TopicIdPartitionEntry {
                name: "orders".into(),
                id: TopicId(TOPIC),
                partition: PartitionId(0),
            },
            id: SEGMENT_ID,
        },
        broker_id: BrokerId(-1),
        event_timestamp_ms: -1,
        custom_metadata: Some(Bytes::new()),
        remote_log_segment_state: state,
    }
}

fn a_deletion(state: i8) -> RemotePartitionDeleteMetadataRecord {
    RemotePartitionDeleteMetadataRecord {
        topic_id_partition: delete::TopicIdPartitionEntry {
            name: "orders".into(),
            id: TopicId(TOPIC),
            partition: PartitionId(1),
        },
        broker_id: BrokerId(1),
        event_timestamp_ms: 1_700_000_000_000,
        remote_partition_delete_state: state,
    }
}

/// Values of records: those of all four kinds in all their states, and those that nothing is made of.
fn values() -> Vec<Option<Bytes>> {
    let mut records: Vec<RemoteLogRecord> = vec![
        a_segment().into(),
        RemoteLogSegmentMetadataRecord {
            custom_metadata: Some(Bytes::from_static(b"four")),
            remote_log_segment_state: 1,
            txn_index_empty: true,
            ..a_segment()
        }
        .into(),
        a_snapshot().into(),
    ];
    records.extend((0..5).map(|state| an_update(state).into()));
    records.extend((0..4).map(|state| a_deletion(state).into()));
    for bad in [
        RemoteLogSegmentMetadataRecord { remote_log_segment_state: -1, ..a_segment() },
        RemoteLogSegmentMetadataRecord { start_offset: Offset(-1), ..a_segment() },
        RemoteLogSegmentMetadataRecord { end_offset: Offset(99), ..a_segment() },
        RemoteLogSegmentMetadataRecord {
            segment_leader_epochs: vec![],
            remote_log_segment_state: 9,
            ..a_segment()
        },
    ] {
        records.push(bad.into());
    }
    for bad in [
        RemoteLogSegmentMetadataSnapshotRecord { remote_log_segment_state: 4, ..a_snapshot() },
        RemoteLogSegmentMetadataSnapshotRecord { segment_leader_epochs: vec![], ..a_snapshot() },
        RemoteLogSegmentMetadataSnapshotRecord {
            segment_leader_epochs: vec![],
            remote_log_segment_state: 4,
            ..a_snapshot()
        },
    ] {
        records.push(bad.into());
    }
    let mut values: Vec<_> =
        records.iter().map(|record| Some(record.to_bytes(0).unwrap())).collect();
    let whole = values[0].clone().unwrap();
    let mut behind = BytesMut::from(&whole[..]);
    behind.put_slice(&[0, 0]);
    values.push(Some(behind.freeze()));
    values.push(Some(whole.slice(..whole.len() - 1)));
    for bytes in [&b""[..], &[0], &[2, 0, 0], &[1, 4, 0], &[1], &[1, 0], b"text"] {
        values.push(Some(Bytes::copy_from_slice(bytes)));
    }
    values.push(None);
    values
}

/// A segment of two batches with these records; every other one has a key.
fn segment() -> Vec<u8> {
    let values = values();
    let mut bytes = Vec::new();
    let mut offset = Offset::ZERO;
    for part in values.chunks(12) {
        let spec = BatchSpec {
            base_offset: offset,
            partition_leader_epoch: LeaderEpoch(0),
            ..BatchSpec::default()
        };
        let mut batch = BatchBuilder::new(spec);
        for (at, value) in part.iter().enumerate() {
            let record = NewRecord {
                timestamp: Timestamp(1_700_000_000_000 + at as i64),
                key: (at % 2 == 1).then_some(b"key"),
                value: value.as_deref(),
                headers: &[],
            };
            offset = batch.append(&record).unwrap().next();
        }
        bytes.extend_from_slice(&batch.finish());
    }
    bytes
}

#[test]
fn remote_log_metadata_is_shown_as_kafka_shows_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SEGMENT);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, segment()).unwrap();
    }
    // It is what the schema makes of the records above.
    assert!(fs::read(&path).unwrap() == segment(), "made anew with BLESS=1, and Kafka asked again");
    let path = path.to_str().unwrap();
    let ours = dohle(&["kafka-dump-log", "--remote-log-metadata-decoder", "--files", path]);
    assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), ""));
    assert_eq!(ours.stdout.replace(path, "SEGMENT"), SAID);
    // By our own name the directory says what it is.
    let own = dohle(&["dump-log", "--contents", path]).well();
    assert_eq!(own.replace(path, "SEGMENT"), SAID);
}
