//! Goal: a log that Kafka wrote means to us what it meant to Kafka, and we write the same bytes.
//!
//! Method: all records of `__consumer_offsets` of a small Kafka 4.4.0 node, whose own clients saw
//! the groups and offsets below just before it stopped.

use bytes::Bytes;
use dohle_base::{Offset, PartitionId, ProducerId};
use dohle_group::{Group, GroupKind, GroupMachine, GroupRecord, KeyValue};
use dohle_machine::Machine;

const LOG: &str = include_str!("golden/kafka-4.4.0.tsv");

/// A line of the log.
struct Line {
    partition: usize,
    offset: Offset,
    is_control: bool,
    producer_id: ProducerId,
    key: Bytes,
    value: Option<Bytes>,
}

fn lines() -> impl Iterator<Item = Line> {
    LOG.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        Line {
            partition: columns[0].parse().expect("a number"),
            offset: Offset(columns[1].parse().expect("a number")),
            is_control: columns[2] == "control",
            producer_id: ProducerId(columns[3].parse().expect("a number")),
            key: bytes(columns[4]),
            value: (columns[5] != "-").then(|| bytes(columns[5])),
        }
    })
}

fn bytes(hex: &str) -> Bytes {
    let digits = hex.as_bytes().chunks(2).map(|pair| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex")
    });
    digits.collect()
}

fn decode(line: &Line) -> GroupRecord {
    if line.is_control {
        // Version 0 of a control record's key, then its type: 1 is a commit.
        let committed = line.key[..] == [0, 0, 0, 1];
        return GroupRecord::EndMarker { producer_id: line.producer_id, committed };
    }
    GroupRecord::decode(line.key.clone(), line.value.clone(), line.producer_id)
        .expect("Kafka's records can be read")
}

fn replayed() -> Vec<GroupMachine> {
    let mut machines = Vec::new();
    for line in lines() {
        machines.resize_with(machines.len().max(line.partition + 1), GroupMachine::default);
        machines[line.partition].apply(line.offset, &decode(&line));
    }
    machines
}

#[test]
fn what_we_read_we_write_byte_for_byte() {
    let mut count = 0;
    for line in lines().filter(|line| !line.is_control) {
        let written = decode(&line).encode().expect("it fits");
        let expected = KeyValue { key: line.key.clone(), value: line.value.clone() };
        assert_eq!(written, Some(expected), "offset {} of {}", line.offset, line.partition);
        count += 1;
    }
    assert_eq!(count, 88);
}

#[test]
fn committed_offsets_are_those_that_kafka_answered() {
    let machines = replayed();
    let with_words = [
        ("group-classic", 0),
        ("group-classic-static", 1),
        ("group-consumer", 0),
        ("group-consumer-member", 1),
        ("group-consumer-static", 1),
    ];
    for (group, coordinator) in with_words {
        for id in 0..3 {
            let words = format!("meta {id}");
            assert_committed(&machines[coordinator], group, id, (10, 0, &words));
        }
    }
    for id in 0..3 {
        assert_committed(&machines[2], "group-consumer-regex", id, (10, 0, ""));
    }
    assert_committed(&machines[0], "group-simple", 1, (4, 0, "set by an administrator"));
    assert_committed(&machines[3], "group-transactional", 0, (7, -1, "in a transaction"));
}

fn assert_committed(machine: &GroupMachine, group: &str, id: i32, expected: (i64, i32, &str)) {
    let committed = machine.offsets().committed(group, "consumed", PartitionId(id));
    let committed = committed.unwrap_or_else(|| panic!("{group} has no offset for {id}"));
    let seen = (committed.offset.0, committed.leader_epoch.0, committed.metadata.as_str());
    assert_eq!(seen, expected, "{group} {id}");
}

#[test]
fn groups_are_those_that_kafka_listed() {
    let listed: Vec<(String, &str)> = replayed()
        .iter()
        .flat_map(|machine| machine.groups().map(|(id, group)| (id.to_string(), kind(group))))
        .collect();
    let expected = [
        ("group-classic", "classic consumer"),
        ("group-consumer", "consumer"),
        ("group-simple", "classic"),
        ("group-classic-static", "classic consumer"),
        ("group-consumer-member", "consumer"),
        ("group-consumer-static", "consumer"),
        ("group-consumer-regex", "consumer"),
        ("group-share", "share"),
        ("group-transactional", "classic"),
    ];
    let expected = expected.map(|(id, kind)| (id.to_owned(), kind));
    assert_eq!(listed, expected);
}

fn kind(group: &Group) -> &'static str {
    match group {
        Group::Classic(group) if group.protocol_type.as_deref() == Some("consumer") => {
            "classic consumer"
        }
        Group::Classic(group) => {
            assert_eq!(group.protocol_type, None);
            "classic"
        }
        Group::Modern(group) => match group.kind {
            GroupKind::Consumer => "consumer",
            GroupKind::Share => "share",
            GroupKind::Streams => "streams",
        },
    }
}

#[test]
fn a_record_cut_at_any_length_is_an_error_or_another_record() {
    for line in lines().filter(|line| !line.is_control) {
        for length in 0..line.key.len() {
            // Must not panic; a key that is cut can still be one of a type that is only kept.
            let _ = GroupRecord::decode(line.key.slice(..length), None, ProducerId::NONE);
        }
        let Some(value) = &line.value else { continue };
        let is_ours = line.key[..2] == [0, 1] || line.key[..2] == [0, 2];
        for length in 0..value.len() {
            let cut = Some(value.slice(..length));
            let read = GroupRecord::decode(line.key.clone(), cut, ProducerId::NONE);
            assert_eq!(read.is_err(), is_ours, "{length} bytes of {value:?}");
        }
    }
}
