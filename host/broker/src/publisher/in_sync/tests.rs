//! Goal: nobody counts on replicas that get nothing.

use dohle_base::{ErrorCode, Offset, PartitionId, Rng, TopicId, Uuid};
use dohle_group::{Caller, Command, Reply};
use dohle_log::LogConfig;
use dohle_protocol::api::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::*;
use crate::{
    kit::{Kit, kit, make_topic, no_topics, replicate},
    open_files::OpenFiles,
    topic_names::CONSUMER_OFFSETS,
};

const OFFSETS: TopicId = TopicId(Uuid(11));

#[test]
fn all_that_are_in_sync_are_here_and_enough() {
    let refuses = |replicas: &[i32], isr: &[i32], isr_min| {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        let partition = dohle_metadata::Partition {
            replicas: ids(replicas),
            isr: ids(isr),
            ..dohle_metadata::Partition::default()
        };
        refuses_acks_all(&partition, BrokerId(1), || isr_min)
    };
    assert!(!refuses(&[1], &[1], 1));
    assert!(!refuses(&[1], &[1], 3), "there are no more");
    assert!(refuses(&[1, 2, 3], &[1, 2, 3], 2));
    assert!(refuses(&[2, 1], &[1, 2], 1));
    assert!(refuses(&[2, 1], &[2], 1), "it is not even in sync itself");
    assert!(!refuses(&[2, 1], &[1], 1));
    assert!(refuses(&[2, 1], &[1], 2));
    assert!(refuses(&[2, 1], &[1], i32::MAX));
}

/// Commits an offset for nobody in particular.
fn commit(kit: &Kit) -> ErrorCode {
    let caller = Caller {
        token: kit.broker.coordinator.token(),
        api_version: 8,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    };
    let partition =
        OffsetCommitRequestPartition { committed_offset: Offset(42), ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let command = Command::OffsetCommit(caller, request);
    match runtime.block_on(kit.broker.coordinator.ask(PartitionId(0), command)) {
        Reply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

/// Its writes count on all replicas, as Kafka's do.
#[test]
fn a_group_coordinator_writes_nothing_that_another_replica_would_have_to_have() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, CONSUMER_OFFSETS, OFFSETS, 1, Uuid(7));
    let one_of_three = |isr: &[i32]| replicate(OFFSETS, &[1, 2, 3], isr);
    state.apply(&one_of_three(&[1, 2, 3])).unwrap();
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    publisher.logs_are_open();
    assert_eq!(commit(&kit), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let partition = kit.broker.partitions.get(OFFSETS, PartitionId(0)).unwrap();
    let end = || partition.with_leader(|leader| leader.log().log_end_offset());
    assert_eq!(end(), Ok(Offset(0)));
    state.apply(&one_of_three(&[1])).unwrap();
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    assert_eq!(commit(&kit), ErrorCode::NONE);
    assert_eq!(end(), Ok(Offset(1)));
}
