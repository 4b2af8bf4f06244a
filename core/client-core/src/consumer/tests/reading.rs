//! Records come in order, from where they should, while leaders move and logs are cut off.

use std::time::Duration;

use bytes::Bytes;
use dohle_base::ErrorCode;
use dohle_protocol::api::{
    fetch_request::FetchRequest, fetch_response::EpochEndOffset,
    list_offsets_request::ListOffsetsRequest,
};

use super::*;
use crate::stage::{address, topic_id};

#[test]
fn records_come_from_the_leader_from_the_start() {
    let mut stage = reading(config());
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!((asked.version, &asked.address), (18, &address(1)));
    assert_eq!(request.topics[0].topic_id, topic_id("t"));
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(0));
    assert_eq!((request.session_id, request.session_epoch), (0, 0));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    poll(&mut stage, 1);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(3)));
    assert_eq!(stage.core.end_offset(&tp(0)), Some(Offset(100)));
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!((request.session_id, request.session_epoch), (42, 1));
    let part = &request.topics[0].partitions[0];
    assert_eq!((part.fetch_offset, part.last_fetched_epoch), (Offset(3), 1));
}

#[test]
fn brokers_without_topic_ids_are_told_names() {
    let mut stage = stage(config());
    stage.newest.insert(dohle_protocol::ApiKey::Fetch, 12);
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    let (asked, _) = stage.expect::<ListOffsetsRequest>();
    answer_list(&mut stage, &asked, 0, 0);
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!((asked.version, request.topics[0].topic.as_str()), (12, "t"));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
    poll(&mut stage, 1);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)]);
}

#[test]
fn a_poll_waits_for_records_and_takes_a_bounded_number() {
    let mut stage = reading(ConsumerConfig { max_poll_records: 2, ..config() });
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), []);
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0), (0, 1)]);
    poll(&mut stage, 2);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 2)]);
}

#[test]
fn what_is_unread_is_not_fetched_again_and_not_without_bound() {
    let mut stage = reading(ConsumerConfig { max_partition_fetch_bytes: 400, ..config() });
    let mut next = 0;
    for _ in 0..10 {
        let Some((asked, request)) = stage.find::<FetchRequest>() else { break };
        assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(next));
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(next, 10))]);
        next += 10;
    }
    assert!(next < 50, "{next} records are buffered");
    while stage.core.position(&tp(0)) != Some(Offset(next)) {
        poll(&mut stage, 1);
        polled(&mut stage).unwrap();
    }
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(next));
}

#[test]
fn seeking_drops_what_was_fetched_before() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    let now = stage.now;
    assert!(stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(7))));
    assert!(!stage.core.seek(now, &tp(1), SeekTo::Beginning));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), [], "records from before the seek");
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(7));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(7, 1))]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 7)]);
}

#[test]
fn a_time_without_records_is_the_end() {
    let mut stage = reading(config());
    let now = stage.now;
    let (fetch, _) = stage.expect::<FetchRequest>();
    stage.core.seek(now, &tp(0), SeekTo::Timestamp(5));
    answer_fetch(&mut stage, &fetch, &[]);
    let (asked, request) = stage.find::<ListOffsetsRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].timestamp, 5);
    answer_list(&mut stage, &asked, 0, -1);
    let (asked, request) = stage.find::<ListOffsetsRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].timestamp, -1);
    answer_list(&mut stage, &asked, 0, 60);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(60)));
}

#[test]
fn a_paused_partition_is_neither_fetched_nor_handed_out() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
    stage.core.pause(&[tp(0)]);
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), []);
    let now = stage.now;
    stage.core.resume(now, &[tp(0)]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)]);
}

#[test]
fn a_moved_leader_is_followed() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    stage.move_leader("t", 0, 2);
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, Bytes::new())]);
    stage.pass(Duration::from_secs(1));
    let (asked, request) = stage.find::<FetchRequest>().unwrap();
    assert_eq!(asked.address, address(2));
    assert_eq!(request.topics[0].partitions[0].current_leader_epoch, LeaderEpoch(2));
}

#[test]
fn a_lost_connection_begins_the_session_anew() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, Bytes::new())]);
    let (asked, _) = stage.expect::<FetchRequest>();
    stage.cut(&asked);
    stage.pass(Duration::from_secs(2));
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!((request.session_id, request.session_epoch), (42, 0));
    assert_eq!(request.topics.len(), 1);
}

#[test]
fn an_offset_out_of_range_is_reset_or_told() {
    for (reset, timestamp) in [(OffsetReset::Latest, Some(-1)), (OffsetReset::None, None)] {
        let mut stage = stage(ConsumerConfig { auto_offset_reset: reset, ..config() });
        let now = stage.now;
        stage.core.assign(now, [tp(0)].into());
        stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(500)));
        let (asked, _) = stage.find::<FetchRequest>().unwrap();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::OFFSET_OUT_OF_RANGE, Bytes::new())]);
        let question = stage.find::<ListOffsetsRequest>();
        assert_eq!(question.map(|(_, q)| q.topics[0].partitions[0].timestamp), timestamp);
        if timestamp.is_none() {
            poll(&mut stage, 1);
            // The first word is that there was no offset to begin with.
            let partition = tp(0);
            assert_eq!(polled(&mut stage), Err(ConsumeError::NoOffset { partition: tp(0) }));
            poll(&mut stage, 2);
            let offset = Offset(500);
            assert_eq!(polled(&mut stage), Err(ConsumeError::OutOfRange { partition, offset }));
            // Seeking is the way on.
            stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(1)));
            assert!(stage.find::<FetchRequest>().is_some());
        }
    }
}

#[test]
fn a_log_cut_off_behind_us_is_noticed() {
    let mut stage = reading(config());
    let now = stage.now;
    stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(50)));
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[]);
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    let mut cut_off = fetched(&[(0, ErrorCode::NONE, Bytes::new())]);
    cut_off.responses[0].partitions[0].diverging_epoch =
        EpochEndOffset { epoch: 1, end_offset: Offset(30) };
    stage.answer::<FetchRequest>(&asked, &cut_off);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(30)));
}

#[test]
fn a_damaged_batch_is_told_and_others_go_on() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    let mut damaged = records(0, 1).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, damaged.into())]);
    poll(&mut stage, 1);
    let error = polled(&mut stage).unwrap_err();
    assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(0), .. }), "{error}");
    let now = stage.now;
    stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(1)));
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(1, 1))]);
    poll(&mut stage, 2);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 1)]);
}

#[test]
fn without_a_choice_there_is_nothing_to_poll() {
    let mut stage = stage(config());
    poll(&mut stage, 1);
    assert_eq!(polled(&mut stage), Err(ConsumeError::NothingChosen));
    let now = stage.now;
    let missing = ConfigError::Missing { setting: "group.id" };
    assert_eq!(stage.core.subscribe(now, ["t".into()].into()), Err(missing));
}
