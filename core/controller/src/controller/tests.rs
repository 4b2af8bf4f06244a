//! Damage, and settings that change while the controller runs. What the commands do is told in
//! `tests/scenarios.rs`.

use dohle_base::{TopicId, Uuid};
use dohle_protocol::records::metadata::{
    config_record::ConfigRecord, remove_topic_record::RemoveTopicRecord, topic_record::TopicRecord,
};

use super::*;

fn topic(id: u128) -> MetadataRecord {
    TopicRecord { name: "t".into(), topic_id: TopicId(Uuid(id)) }.into()
}

#[test]
fn nothing_is_applied_after_a_record_that_does_not_fit() {
    let mut controller = Controller::default();
    controller.apply(Offset(0), &topic(200));
    assert_eq!(controller.fault(), None);
    controller.apply(Offset(1), &topic(201));
    let fault = controller.fault().unwrap().clone();
    assert_eq!(fault.offset, Offset(1));
    assert!(fault.to_string().starts_with("metadata log, offset 1: topic t"), "{fault}");
    let topic_id = TopicId(Uuid(200));
    controller.apply(Offset(2), &RemoveTopicRecord { topic_id }.into());
    assert_eq!(controller.image().topics.len(), 1);
    assert_eq!(controller.fault(), Some(&fault));
}

#[test]
fn dynamic_settings_of_brokers_count() {
    let mut controller = Controller::default();
    let set = |name: &str, value: Option<&str>| {
        MetadataRecord::from(ConfigRecord {
            resource_type: 4,
            resource_name: name.into(),
            name: "num.partitions".into(),
            value: value.map(Into::into),
        })
    };
    // num.partitions cannot be set while a broker runs; min.insync.replicas can.
    controller.apply(Offset(0), &set("", Some("7")));
    assert_eq!(controller.node.int("num.partitions"), 1);
    let record = ConfigRecord {
        resource_type: 4,
        name: "min.insync.replicas".into(),
        value: Some("2".into()),
        ..ConfigRecord::default()
    };
    controller.apply(Offset(1), &record.into());
    assert_eq!(controller.node.int("min.insync.replicas"), 2);
}
