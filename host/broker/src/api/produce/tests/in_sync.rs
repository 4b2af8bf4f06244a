//! Goal: what `acks=all` acknowledges no broker lacks that may be elected.
//!
//! Method: the sequence of a cluster of three that one node of goes on with: first all are in sync, then it
//! alone.

use std::sync::Arc;

use dohle_base::{Rng, TopicId, Uuid};
use dohle_metadata::{ConfigResource, MetadataState};
use dohle_protocol::records::metadata::config_record::ConfigRecord;

use super::*;
use crate::{
    Publisher,
    kit::{make_topic, no_topics, replicate},
};

const TOPIC: TopicId = TopicId(Uuid(1));
const NOT_ENOUGH: ErrorCode = ErrorCode::NOT_ENOUGH_REPLICAS;

struct Site {
    kit: Kit,
    publisher: Publisher,
    state: MetadataState,
}

/// With one partition, which has one replica.
fn site(settings: &str) -> Site {
    let kit = kit(settings, OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, "t", TOPIC, 1, Uuid(7));
    Site { kit, publisher, state }
}

impl Site {
    fn publish(&mut self) {
        let image = self.state.image().clone();
        self.publisher.publish(Published { image, ..Published::default() });
    }

    /// It has three replicas, of which these are in sync.
    fn in_sync(&mut self, isr: &[i32]) {
        self.state.apply(&replicate(TOPIC, &[1, 2, 3], isr)).unwrap();
        self.publish();
    }

    fn set_isr_min(&mut self, resource: &ConfigResource, value: &str) {
        let record = ConfigRecord {
            resource_type: resource.resource_type,
            resource_name: resource.name.clone(),
            name: "min.insync.replicas".into(),
            value: Some(value.into()),
        };
        self.state.apply(&record.into()).unwrap();
        self.publish();
    }

    fn end(&self) -> Offset {
        let partition = self.kit.broker.partitions.get(TOPIC, PartitionId(0)).unwrap();
        partition.with_leader(|leader| leader.log().log_end_offset()).unwrap()
    }

    /// Whether `acks=all` is taken; what is refused is not appended either.
    fn takes_acks_all(&self) -> bool {
        let before = self.end();
        match produce(&self.kit, -1, &[plain()]) {
            Answer::Later(_) => {
                assert!(self.end() > before);
                true
            }
            answer => {
                assert_eq!(codes(answer), [NOT_ENOUGH]);
                assert_eq!(self.end(), before);
                false
            }
        }
    }
}

#[test]
fn acks_all_is_refused_while_others_are_in_sync() {
    let mut site = site("");
    assert!(site.takes_acks_all());
    site.in_sync(&[1, 2, 3]);
    assert!(!site.takes_acks_all());
    // As before: they ask for nothing more than this node.
    let before = site.end();
    assert!(matches!(produce(&site.kit, 1, &[plain()]), Answer::Later(_)));
    assert!(matches!(produce(&site.kit, 0, &[plain()]), Answer::Silent));
    assert_eq!(site.end().0, before.0 + 2);
    site.in_sync(&[1]);
    assert!(site.takes_acks_all());
}

#[test]
fn acks_all_is_refused_where_fewer_are_in_sync_than_must_be() {
    let mut site = site("");
    site.in_sync(&[1]);
    let (topic, all) = (ConfigResource::topic("t"), ConfigResource::all_brokers());
    for (resource, isr_min, takes) in
        [(&topic, "2", false), (&topic, "1", true), (&all, "3", true), (&topic, "9", false)]
    {
        site.set_isr_min(resource, isr_min);
        assert_eq!(site.takes_acks_all(), takes, "{isr_min}");
    }
}

#[test]
fn a_setting_of_the_brokers_counts_for_topics_that_have_none() {
    let mut site = site("min.insync.replicas=2\n");
    site.publish();
    assert!(site.takes_acks_all(), "there is one replica");
    site.in_sync(&[1]);
    assert!(!site.takes_acks_all());
    site.set_isr_min(&ConfigResource::all_brokers(), "1");
    assert!(site.takes_acks_all());
}

/// Also where it is opened only then, as at each start.
#[test]
fn a_partition_is_opened_with_what_is_known_of_who_is_in_sync() {
    for isr in [[1, 2].as_slice(), &[1]] {
        let mut site = site("");
        site.kit.broker.partitions.remove(TOPIC, PartitionId(0)).unwrap();
        site.kit
            .broker
            .show(Published { image: no_topics().image().clone(), ..Published::default() });
        site.in_sync(isr);
        site.publisher.logs_are_open();
        assert_eq!(site.takes_acks_all(), isr.len() == 1);
    }
}

/// Its producers are to ask who does.
#[test]
fn who_does_not_lead_says_so_first() {
    let mut site = site("");
    site.in_sync(&[1, 2, 3]);
    let partition = site.kit.broker.partitions.get(TOPIC, PartitionId(0)).unwrap();
    partition.opened(crate::partition::State::NotLed);
    let not_led = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(codes(produce(&site.kit, -1, &[plain()])), [not_led]);
}
