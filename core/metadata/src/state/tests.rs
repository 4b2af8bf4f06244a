//! A log that Kafka 4.4.0 wrote, replayed: the image is what Kafka's own tools said of the node.

use std::collections::BTreeSet;

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset};
use dohle_protocol::records::metadata::{
    abort_transaction_record::AbortTransactionRecord,
    begin_transaction_record::BeginTransactionRecord, config_record::ConfigRecord,
    end_transaction_record::EndTransactionRecord,
};
use dohle_raft::{Checkpoint, SnapshotId, data_values};
use dohle_records::split_batches;

use super::*;
use crate::bootstrap::decode_all;
use crate::{ConfigResource, MetadataVersion, record_version, snapshot_records};

const LOG: &[u8] = include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000000.log");
const SNAPSHOT_115: &[u8] =
    include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000115-0000000001.checkpoint");
const SNAPSHOT_194: &[u8] =
    include_bytes!("../../../raft/testdata/kafka-4.4.0/00000000000000000194-0000000001.checkpoint");
const MANIFEST: &str = include_str!("../../testdata/kafka-4.4.0/manifest.tsv");

/// The framed records of the log with their offsets.
fn log() -> Vec<(Offset, Bytes)> {
    let batches = split_batches(&Bytes::from_static(LOG)).unwrap();
    batches.iter().flat_map(|batch| data_values(&batch.view()).unwrap()).collect()
}

/// The state after the records of the log below `end`.
fn replayed(end: i64) -> MetadataState {
    let mut state = MetadataState::default();
    for (offset, value) in log().into_iter().filter(|(offset, _)| offset.0 < end) {
        let (record, _) = MetadataRecord::decode(value).unwrap();
        state.apply(&record).unwrap_or_else(|error| panic!("offset {offset}: {error}"));
    }
    state
}

fn loaded(end: i64, file: &'static [u8]) -> MetadataState {
    let id = SnapshotId { end_offset: Offset(end), epoch: LeaderEpoch(1) };
    let checkpoint = Checkpoint::parse(id, &Bytes::from_static(file)).unwrap();
    let mut state = MetadataState::default();
    for record in decode_all(&checkpoint.records).unwrap() {
        state.apply(&record).unwrap();
    }
    state
}

/// The image in the words of the manifest.
fn described(image: &MetadataImage) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (name, level) in image.features.iter() {
        lines.insert(format!("feature\t{name}\tlevel\t{level}"));
    }
    for topic in image.topics.iter() {
        lines.insert(format!("topic\t{}\tid\t{}", topic.name, topic.id));
        lines.insert(format!("topic\t{}\tpartitions\t{}", topic.name, topic.partitions.len()));
    }
    for (resource, settings) in &image.configs {
        for (name, value) in settings {
            lines.insert(match resource.resource_type {
                2 => format!("topic\t{}\tconfig {name}\t{value}", resource.name),
                4 => format!("config\tBROKER:{}\t{name}\t{value}", resource.name),
                16 => format!("config\tCLIENT_METRICS:{}\t{name}\t{value}", resource.name),
                _ => format!("config\tGROUP:{}\t{name}\t{value}", resource.name),
            });
        }
    }
    for (entity, quotas) in &image.client_quotas {
        let parts: Vec<String> = entity
            .0
            .iter()
            .map(|(kind, name)| format!("{kind}={}", name.as_deref().unwrap_or("null")))
            .collect();
        let quotas: Vec<String> =
            quotas.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        lines.insert(format!("quota\t{{{}}}\t-\t{{{}}}", parts.join(", "), quotas.join(", ")));
    }
    for (key, credential) in &image.scram {
        let mechanism = ["SCRAM_SHA_256", "SCRAM_SHA_512"][key.mechanism as usize - 1];
        lines.insert(format!("scram\t{}\t-\t[{mechanism}:{}]", key.user, credential.iterations));
    }
    lines
}

#[test]
fn kafkas_log_is_what_kafka_said_it_is() {
    let state = replayed(i64::MAX);
    let manifest: BTreeSet<String> =
        MANIFEST.lines().filter(|line| !line.starts_with("acl")).map(Into::into).collect();
    let found = described(state.image());
    let missing: Vec<_> = manifest.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&manifest).collect();
    assert_eq!((missing, surplus), (Vec::<&String>::new(), Vec::new()));
    assert_eq!(state.image().acls.len(), 5);
    assert_eq!(state.image().delegation_tokens.len(), 1);
    assert_eq!(state.image().next_producer_id.unwrap().0, 1000);
    assert_eq!(state.image().features.metadata_version(), Some(MetadataVersion::LATEST));
    // The node stopped cleanly: all partitions are leaderless, with their replica in the ELR.
    for topic in state.image().topics.iter() {
        for partition in topic.partitions.values() {
            assert_eq!((partition.leader.0, partition.leader_epoch.0), (-1, 1), "{}", topic.name);
            assert_eq!((&partition.isr[..], partition.elr[0].0), (&[][..], 1), "{}", topic.name);
        }
    }
    let broker = state.image().brokers.values().next().unwrap();
    assert!(broker.fenced && broker.in_controlled_shutdown);
}

#[test]
fn kafkas_snapshots_are_the_log_up_to_there() {
    for (end, file) in [(115, SNAPSHOT_115), (194, SNAPSHOT_194)] {
        // Without the images in the message, which would be as long as a book.
        assert!(loaded(end, file).image() == replayed(end).image(), "snapshot at {end}");
    }
}

#[test]
fn our_snapshot_is_kafkas_but_for_the_order() {
    let id = SnapshotId { end_offset: Offset(194), epoch: LeaderEpoch(1) };
    let kafkas = Checkpoint::parse(id, &Bytes::from_static(SNAPSHOT_194)).unwrap().records;
    let image = replayed(194).image().clone();
    let version = image.metadata_version();
    let ours: Vec<Bytes> = snapshot_records(&image)
        .map(|record| record.to_bytes(record_version(&record, version)).unwrap())
        .collect();
    // Features of a registration come in a hash order from Kafka, and sorted from us: the same
    // bytes in another order.
    let sorted = |records: &[Bytes]| {
        let mut records: Vec<Vec<u8>> = records
            .iter()
            .map(|record| {
                let mut bytes = record.to_vec();
                if matches!(record[1], 0 | 27) {
                    bytes.sort_unstable();
                }
                bytes
            })
            .collect();
        records.sort();
        records
    };
    assert_eq!(ours.len(), kafkas.len());
    for (ours, kafkas) in sorted(&ours).iter().zip(&sorted(&kafkas)) {
        assert_eq!(ours, kafkas);
    }
    let kinds = |records: &[Bytes]| {
        let mut kinds: Vec<u8> = records.iter().map(|record| record[1]).collect();
        kinds.retain(|kind| *kind != 3);
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&ours), kinds(&kafkas));
}

#[test]
fn a_snapshot_makes_the_image_again() {
    for end in [0, 13, 19, 115, 150, 194, 204, 245] {
        let state = replayed(end);
        let mut again = MetadataState::default();
        for record in snapshot_records(state.stable_image()) {
            again.apply(&record).unwrap();
        }
        assert!(again.image() == state.stable_image(), "at {end}");
    }
}

#[test]
fn every_record_is_written_as_kafka_wrote_it() {
    for (offset, value) in log() {
        let (record, version) = MetadataRecord::decode(value.clone()).unwrap();
        assert_eq!(record_version(&record, MetadataVersion::LATEST), version, "offset {offset}");
        assert_eq!(record.to_bytes(version).unwrap(), value, "offset {offset}");
    }
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let setting = |value: &str| {
        MetadataRecord::from(ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: "retention.ms".into(),
            value: Some(value.into()),
        })
    };
    let value =
        |image: &MetadataImage| image.config(&ConfigResource::topic("t"), "retention.ms").cloned();
    let mut state = MetadataState::default();
    state.apply(&setting("1")).unwrap();
    state.apply(&BeginTransactionRecord::default().into()).unwrap();
    state.apply(&setting("2")).unwrap();
    assert_eq!(value(state.image()).as_deref(), Some("2"));
    assert_eq!(value(state.stable_image()).as_deref(), Some("1"));
    let nested = state.apply(&BeginTransactionRecord::default().into());
    assert_eq!(nested, Err(ReplayError::NestedTransaction));
    state.apply(&AbortTransactionRecord::default().into()).unwrap();
    assert_eq!(value(state.image()).as_deref(), Some("1"));
    state.apply(&BeginTransactionRecord::default().into()).unwrap();
    state.apply(&setting("3")).unwrap();
    state.apply(&EndTransactionRecord::default().into()).unwrap();
    assert_eq!(value(state.stable_image()).as_deref(), Some("3"));
    let unbegun = state.apply(&EndTransactionRecord::default().into());
    assert_eq!(unbegun, Err(ReplayError::NoTransaction));
}

#[test]
fn a_record_that_does_not_fit_changes_nothing() {
    // Each record of the log once more, after the whole log: those that cannot follow are refused.
    let state = replayed(i64::MAX);
    let mut refused = BTreeSet::new();
    for (_, value) in log() {
        let (record, _) = MetadataRecord::decode(value).unwrap();
        let mut again = state.clone();
        if again.apply(&record).is_err() {
            assert_eq!(again, state, "{}", record.name());
            refused.insert(record.name());
        }
    }
    let expected = [
        "EndTransactionRecord",
        "PartitionRecord",
        "ProducerIdsRecord",
        "RemoveAccessControlEntryRecord",
        "RemoveTopicRecord",
        "RemoveUserScramCredentialRecord",
        "TopicRecord",
    ];
    assert_eq!(refused, expected.into());
}
