//! Goal: markers are Kafka's, and types from the future are passed over, not refused.
//! Method: golden markers and raft batches, and table tests of keys.

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{LIMIT, bytes_of, kafka};
use crate::{
    BatchMut, BatchSpec, BatchView, ControlError, ControlRecord, ControlType, EndTxnMarker, Record,
    control_batch,
};

/// Offset 0, epoch 1, timestamps 0; leader 1, voters 1 2 3, granting 1 2.
const LEADER_CHANGE: &str = "00000000000000000000005e00000001021336a89b00200000000000000000000000\
    000000000000000000ffffffffffffffffffffffffffff0000000158000000080000000244000000000001040000\
    0001000000000200000000030003000000010000000002000000";

#[test]
fn a_marker_is_the_very_bytes_of_kafka() {
    let cases = [("marker-commit", true, 55, 9), ("marker-abort", false, 56, 10)];
    for (name, committed, offset, coordinator_epoch) in cases {
        let marker = EndTxnMarker { committed, coordinator_epoch };
        let time = Timestamp(1_700_000_000_000);
        let mut bytes = marker.batch(ProducerId(4711), ProducerEpoch(3), time).to_vec();
        let mut batch = BatchMut::parse(&mut bytes).unwrap();
        batch.set_base_offset(Offset(offset));
        batch.set_partition_leader_epoch(LeaderEpoch(7));
        assert_eq!(bytes, kafka()[name]);
        let payload = BatchView::parse(&bytes).unwrap().decompress(LIMIT).unwrap();
        let record = payload.records().next().unwrap().unwrap();
        assert_eq!(EndTxnMarker::parse(&record), Ok(marker));
    }
}

#[test]
fn a_control_batch_is_that_of_the_raft_log() {
    let golden = bytes_of(LEADER_CHANGE);
    let spec = BatchSpec { partition_leader_epoch: LeaderEpoch(1), ..BatchSpec::default() };
    let payload = BatchView::parse(&golden).unwrap().decompress(LIMIT).unwrap();
    let record = payload.records().next().unwrap().unwrap();
    assert_eq!(ControlType::of(&record), Ok(ControlType::LeaderChange));
    let change = ControlRecord { kind: ControlType::LeaderChange, value: record.value.unwrap() };
    assert_eq!(control_batch(spec, Timestamp(0), &[change]).unwrap(), golden);
}

#[test]
fn keys_are_read_as_far_as_they_are_known() {
    let cases: [(&[u8], _); 7] = [
        (&[0, 0, 0, 1], Ok(ControlType::Commit)),
        // A higher version is read as the known one, and more bytes do not matter.
        (&[0, 9, 0, 6, 1, 2, 3], Ok(ControlType::KRaftVoters)),
        (&[0, 0, 0, 7], Ok(ControlType::Unknown(7))),
        (&[0, 0, 0xff, 0xff], Ok(ControlType::Unknown(-1))),
        (&[0xff, 0xff, 0, 1], Err(ControlError::BadVersion { version: -1 })),
        (&[0, 0, 0], Err(ControlError::Truncated { size: 3 })),
        (&[], Err(ControlError::Truncated { size: 0 })),
    ];
    for (key, kind) in cases {
        assert_eq!(ControlType::parse(key), kind);
    }
    for id in -1..10 {
        assert_eq!(ControlType::parse(&ControlType::from_id(id).key()).unwrap().id(), id);
    }
}

#[test]
fn only_the_ends_of_transactions_are_markers() {
    let parse = |kind: ControlType, value: Option<&[u8]>| {
        let key = kind.key();
        EndTxnMarker::parse(&Record {
            offset: Offset(0),
            timestamp: Timestamp(0),
            key: Some(&key),
            value,
            headers: crate::Headers::default(),
        })
    };
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 5 };
    assert_eq!(parse(ControlType::Commit, Some(&[0, 0, 0, 0, 0, 5])), Ok(marker));
    assert_eq!(parse(ControlType::Commit, Some(&[0, 1, 0, 0, 0, 5, 99])), Ok(marker));
    let id = ControlType::LeaderChange.id();
    assert_eq!(parse(ControlType::LeaderChange, None), Err(ControlError::NotEndTxn { id }));
    assert_eq!(parse(ControlType::Abort, None), Err(ControlError::Truncated { size: 0 }));
    let negative = parse(ControlType::Abort, Some(&[0xff, 0xff, 0, 0, 0, 5]));
    assert_eq!(negative, Err(ControlError::BadVersion { version: -1 }));
}
