//! Control records and side files by their bytes. Source: interop facts, appendix 5 and A.11.

use bytes::Bytes;
use dohle_base::{BrokerId, Offset, ProducerEpoch, ProducerId};
use dohle_protocol::{
    Message,
    records::{
        log::producer_snapshot::{ProducerEntry, ProducerSnapshot},
        raft::{
            kraft_version_record::KRaftVersionRecord,
            leader_change_message::{LeaderChangeMessage, Voter},
            snapshot_header_record::SnapshotHeaderRecord,
        },
    },
};

fn hex(text: &str) -> Bytes {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<u8>>().into()
}

fn check<M: Message + PartialEq + std::fmt::Debug>(message: M, version: i16, bytes: &str) {
    assert_eq!(message.to_bytes(version), Ok(hex(bytes)));
    assert_eq!(M::from_bytes(hex(bytes), version), Ok(message));
}

#[test]
fn the_first_record_of_a_leader() {
    let voter = |id| Voter { voter_id: BrokerId(id), ..Default::default() };
    let message = LeaderChangeMessage {
        leader_id: BrokerId(1),
        voters: vec![voter(1), voter(2), voter(3)],
        granting_voters: vec![voter(1), voter(2)],
        ..Default::default()
    };
    let bytes =
        "0000 00000001 04 00000001 00 00000002 00 00000003 00 03 00000001 00 00000002 00 00";
    check(message, 0, bytes);
}

#[test]
fn the_first_records_of_a_snapshot() {
    let header = SnapshotHeaderRecord {
        last_contained_log_timestamp: 1_795_360_688_553,
        ..Default::default()
    };
    check(header, 0, "0000 000001a203d609a9 00");
    let version = KRaftVersionRecord { kraft_version: 1, ..Default::default() };
    check(version, 0, "0000 0001 00");
}

#[test]
fn a_producer_snapshot_with_one_entry() {
    let entry = ProducerEntry {
        producer_id: ProducerId(1000),
        epoch: ProducerEpoch(2),
        last_sequence: 9,
        last_offset: Offset(41),
        offset_delta: 4,
        timestamp: 1_700_000_000_000,
        coordinator_epoch: -1,
        current_txn_first_offset: Offset(-1),
    };
    let snapshot = ProducerSnapshot { crc: 0x44ab_b93e, producer_entries: vec![entry] };
    let bytes = "44abb93e 00000001 00000000000003e8 0002 00000009 0000000000000029 00000004 0000018bcfe56800 ffffffff ffffffffffffffff";
    check(snapshot, 1, bytes);
    let empty = ProducerSnapshot { crc: 0x4867_4bc7, producer_entries: Vec::new() };
    check(empty, 1, "48674bc7 00000000");
}
