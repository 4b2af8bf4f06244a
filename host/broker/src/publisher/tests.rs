//! What a start does in which order.

use dohle_base::ErrorCode;
use dohle_group::{Caller, Command, Reply};
use dohle_log::LogConfig;
use dohle_protocol::api::heartbeat_request::HeartbeatRequest;

use super::*;
use crate::{
    kit::{Kit, kit, make_topic, no_topics},
    open_files::OpenFiles,
};

const OFFSETS: TopicId = TopicId(Uuid(11));

/// What somebody who is no member is told by the coordinator of the first partition's groups.
fn heartbeat(kit: &Kit) -> ErrorCode {
    let caller = Caller {
        token: kit.broker.coordinator.token(),
        api_version: 4,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    };
    let request = HeartbeatRequest { group_id: "g".into(), ..HeartbeatRequest::default() };
    let command = Command::Heartbeat(caller, request);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(kit.broker.coordinator.ask(PartitionId(0), command)) {
        Reply::Heartbeat(response) => response.error_code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_coordinates_groups_before_all_logs_are_open() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, CONSUMER_OFFSETS, OFFSETS, 1, Uuid(7));
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    assert!(kit.broker.partitions.get(OFFSETS, PartitionId(0)).unwrap().is_led());
    assert_eq!(heartbeat(&kit), ErrorCode::NOT_COORDINATOR);
    publisher.logs_are_open();
    assert_eq!(heartbeat(&kit), ErrorCode::UNKNOWN_MEMBER_ID);
    // From then on at once.
    publisher.publish(Published { image: no_topics().image().clone(), ..Published::default() });
    assert_eq!(heartbeat(&kit), ErrorCode::NOT_COORDINATOR);
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    assert_eq!(heartbeat(&kit), ErrorCode::UNKNOWN_MEMBER_ID);
}
