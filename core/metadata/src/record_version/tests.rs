//! Versions by metadata.version, and the bytes of hand-computed records (interop, appendix 5).

use dohle_base::{BrokerId, PartitionId, TopicId, Uuid};
use dohle_protocol::records::metadata::{
    feature_level_record::FeatureLevelRecord, no_op_record::NoOpRecord,
    partition_change_record::PartitionChangeRecord, partition_record::PartitionRecord,
    register_broker_record::RegisterBrokerRecord, topic_record::TopicRecord,
};

use super::*;

const TOPIC_ID: TopicId = TopicId(Uuid(0x0123_4567_89ab_cdef_1032_5476_98ba_dcfe));

#[test]
fn the_version_follows_the_level() {
    for (level, broker, partition) in [
        (7, 1, 0),
        (8, 2, 0),
        (16, 2, 0),
        (17, 3, 1),
        (22, 3, 1),
        (23, 3, 2),
        (29, 3, 2),
        (30, 4, 2),
        (33, 4, 2),
    ] {
        let at = MetadataVersion(level);
        assert_eq!(record_version(&RegisterBrokerRecord::default().into(), at), broker, "{level}");
        assert_eq!(record_version(&PartitionRecord::default().into(), at), partition, "{level}");
        let change = PartitionChangeRecord::default().into();
        assert_eq!(record_version(&change, at), partition, "{level}");
        assert_eq!(record_version(&TopicRecord::default().into(), at), 0);
    }
}

#[test]
fn a_registration_change_has_the_version_of_its_kind() {
    let change = BrokerRegistrationChangeRecord::default;
    for (change, version) in [
        (BrokerRegistrationChangeRecord { fenced: 1, ..change() }, 0),
        (BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change() }, 1),
        (BrokerRegistrationChangeRecord { log_dirs: vec![Uuid(200)], ..change() }, 2),
        (BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..change() }, 3),
    ] {
        let record = MetadataRecord::from(change);
        for level in [8, 33] {
            assert_eq!(record_version(&record, MetadataVersion(level)), version, "{record:?}");
        }
    }
}

#[test]
fn the_bytes_are_the_documented_ones() {
    let change = PartitionChangeRecord {
        partition_id: PartitionId(0),
        topic_id: TOPIC_ID,
        isr: Some(vec![BrokerId(1), BrokerId(3)]),
        leader: BrokerId(3),
        ..PartitionChangeRecord::default()
    };
    let level = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 };
    let records: [(MetadataRecord, &str); 4] = [
        (NoOpRecord::default().into(), "01140000"),
        (level.into(), "010c00116d657461646174612e76657273696f6e001e00"),
        (
            TopicRecord { name: "foo".into(), topic_id: TOPIC_ID }.into(),
            "01020004666f6f0123456789abcdef1032547698badcfe00",
        ),
        (
            change.into(),
            "010502000000000123456789abcdef1032547698badcfe020009030000000100000003010400000003",
        ),
    ];
    for (record, expected) in records {
        let bytes = record.to_bytes(record_version(&record, MetadataVersion(30))).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{}", record.name());
    }
}
