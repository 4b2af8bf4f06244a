//! Goal: request and answer agree on what the session holds. Method: epochs and changes by hand.

use super::*;

fn wanted(offset: i64) -> Wanted {
    Wanted {
        topic_id: TopicId::METADATA,
        offset: Offset(offset),
        last_fetched_epoch: LeaderEpoch(0),
        leader_epoch: LeaderEpoch(1),
        max_bytes: 100,
    }
}

fn partitions(offsets: &[(i32, i64)]) -> BTreeMap<TopicPartition, Wanted> {
    let named = offsets.iter().map(|(p, offset)| (TopicPartition::new("t", *p), wanted(*offset)));
    named.collect()
}

/// Id, epoch, partitions with their offsets, partitions forgotten.
type Said = (i32, i32, Vec<(i32, i64)>, Vec<i32>);

fn say(session: &mut Session, offsets: &[(i32, i64)]) -> Said {
    let part = session.request(partitions(offsets), true);
    let named = part.topics.iter().flat_map(|topic| &topic.partitions);
    let forgotten = part.forgotten.iter().flat_map(|topic| &topic.partitions);
    (
        part.id,
        part.epoch,
        named.map(|p| (p.partition.0, p.fetch_offset.0)).collect(),
        forgotten.map(|p| p.0).collect(),
    )
}

#[test]
fn only_changes_are_said_after_the_first_request() {
    let mut session = Session::default();
    assert_eq!(say(&mut session, &[(0, 0), (1, 0)]), (0, 0, vec![(0, 0), (1, 0)], vec![]));
    assert!(session.take(ErrorCode::NONE, 42));
    assert_eq!(say(&mut session, &[(0, 5), (1, 0)]), (42, 1, vec![(0, 5)], vec![]));
    assert!(session.take(ErrorCode::NONE, 42));
    assert_eq!(say(&mut session, &[(0, 5), (1, 0)]), (42, 2, vec![], vec![]));
    assert!(session.take(ErrorCode::NONE, 42));
    assert_eq!(say(&mut session, &[(1, 0), (2, 0)]), (42, 3, vec![(2, 0)], vec![0]));
}

#[test]
fn epochs_wrap_to_1() {
    let mut session = Session { id: 42, epoch: i32::MAX, by_id: true, ..Session::default() };
    assert!(session.take(ErrorCode::NONE, 42));
    assert_eq!(session.epoch, 1);
}

#[test]
fn a_broker_without_sessions_is_told_everything_each_time() {
    let mut session = Session::default();
    for _ in 0..3 {
        assert_eq!(say(&mut session, &[(0, 0)]), (0, 0, vec![(0, 0)], vec![]));
        assert!(session.take(ErrorCode::NONE, 0));
    }
}

#[test]
fn after_an_error_everything_is_said_anew() {
    for (code, id) in [
        (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0),
        (ErrorCode::INVALID_FETCH_SESSION_EPOCH, 42),
        (ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR, 42),
    ] {
        let mut session = Session::default();
        say(&mut session, &[(0, 0)]);
        assert!(session.take(ErrorCode::NONE, 42));
        say(&mut session, &[(0, 0)]);
        assert!(!session.take(code, 0));
        assert_eq!(say(&mut session, &[(0, 0)]), (id, 0, vec![(0, 0)], vec![]), "{code}");
    }
}

#[test]
fn naming_topics_otherwise_ends_the_session() {
    let mut session = Session::default();
    say(&mut session, &[(0, 0)]);
    assert!(session.take(ErrorCode::NONE, 42));
    let part = session.request(partitions(&[(0, 0)]), false);
    assert_eq!((part.id, part.epoch, part.topics.len()), (42, 0, 1));
}

#[test]
fn a_topic_made_anew_is_forgotten_by_its_old_id() {
    let mut session = Session::default();
    say(&mut session, &[(0, 0)]);
    assert!(session.take(ErrorCode::NONE, 42));
    let mut renewed = partitions(&[(0, 0)]);
    let fresh = TopicId(dohle_base::Uuid(77_777));
    renewed.values_mut().for_each(|wanted| wanted.topic_id = fresh);
    let part = session.request(renewed, true);
    assert_eq!(part.topics[0].topic_id, fresh);
    assert_eq!(part.forgotten[0].topic_id, TopicId::METADATA);
    assert_eq!(session.name_of(fresh).map(Str::as_str), Some("t"));
    assert_eq!(session.name_of(TopicId::METADATA), None);
}
