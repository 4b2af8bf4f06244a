//! Goal: newer knowledge never gives way to older. Method: answers by hand.

use crate::stage::{address, cluster, topic};

use super::*;

fn known(topics: Vec<MetadataResponseTopic>) -> Metadata {
    let mut metadata = Metadata::default();
    metadata.update(MetadataResponse { topics, ..cluster(3) });
    metadata
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

#[test]
fn an_answer_says_who_leads_and_where_that_is() {
    let metadata = known(vec![topic("t", &[2, 3])]);
    assert_eq!(metadata.leader(&partition()), Some(BrokerId(2)));
    assert_eq!(metadata.broker(BrokerId(2)).unwrap().address, address(2));
    assert_eq!(metadata.topic("t").unwrap().partition_count(), 2);
    assert_eq!(metadata.controller(), Some(BrokerId(1)));
}

#[test]
fn an_older_epoch_does_not_bring_an_old_leader_back() {
    let mut metadata = known(vec![topic("t", &[2])]);
    let mut newer = topic("t", &[3]);
    newer.partitions[0].leader_epoch = LeaderEpoch(5);
    metadata.update(MetadataResponse { topics: vec![newer], ..cluster(3) });
    metadata.update(MetadataResponse { topics: vec![topic("t", &[2])], ..cluster(3) });
    assert_eq!(metadata.leader(&partition()), Some(BrokerId(3)));
}

#[test]
fn a_topic_made_anew_begins_anew() {
    let mut old = topic("t", &[2]);
    old.partitions[0].leader_epoch = LeaderEpoch(9);
    let mut metadata = known(vec![old]);
    let mut fresh = topic("t", &[1]);
    fresh.topic_id = crate::stage::topic_id("another");
    metadata.update(MetadataResponse { topics: vec![fresh], ..cluster(3) });
    assert_eq!(metadata.leader(&partition()), Some(BrokerId(1)));
}

#[test]
fn a_topic_that_is_gone_is_forgotten_and_one_without_a_leader_is_not() {
    for (code, kept) in [
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
        (ErrorCode::TOPIC_AUTHORIZATION_FAILED, false),
        (ErrorCode::LEADER_NOT_AVAILABLE, true),
    ] {
        let mut metadata = known(vec![topic("t", &[2])]);
        let error = MetadataResponseTopic { error_code: code, ..topic("t", &[]) };
        metadata.update(MetadataResponse { topics: vec![error], ..cluster(3) });
        assert_eq!(metadata.topic("t").is_some(), kept, "{code}");
        assert_eq!(metadata.topic_error("t"), Some(code));
        metadata.update(MetadataResponse { topics: vec![topic("t", &[2])], ..cluster(3) });
        assert_eq!(metadata.topic_error("t"), None);
    }
}

#[test]
fn a_leader_named_in_passing_counts_if_it_is_news() {
    for (leader, epoch, news, leads) in [(3, 2, true, 3), (3, 1, false, 2), (-1, 5, false, 2)] {
        let mut metadata = known(vec![topic("t", &[2])]);
        let told = metadata.update_leader(&partition(), BrokerId(leader), LeaderEpoch(epoch));
        assert_eq!(told, news, "{leader} in epoch {epoch}");
        assert_eq!(metadata.leader(&partition()), Some(BrokerId(leads)));
    }
}

#[test]
fn a_leader_whose_address_is_not_known_is_none() {
    let metadata = known(vec![topic("t", &[9])]);
    assert_eq!(metadata.leader(&partition()), None);
}
