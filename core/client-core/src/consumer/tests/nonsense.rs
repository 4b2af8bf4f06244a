//! Answers that no broker would give are told, and harm nothing.

use std::time::Duration;

use bytes::Bytes;
use dohle_base::ErrorCode;
use dohle_protocol::api::{
    fetch_request::FetchRequest,
    join_group_request::JoinGroupRequest,
    join_group_response::{JoinGroupResponse, JoinGroupResponseMember},
    sync_group_request::SyncGroupRequest,
};

use super::{coordinator::*, *};
use crate::RequestError;

#[test]
fn an_answer_that_makes_no_sense_is_told_and_harms_nothing() {
    let whole = {
        let mut w = dohle_protocol::Writer::new();
        let answer = fetched(&[(0, ErrorCode::NONE, records(0, 3))]);
        dohle_protocol::Message::encode(&answer, &mut w, 18).unwrap();
        w.into_bytes()
    };
    for cut in 0..whole.len() {
        let mut stage = reading(config());
        let (asked, _) = stage.expect::<FetchRequest>();
        // Tags of the header, then what is left of the body.
        stage.answer_bytes(&asked, &[&[0], &whole[..cut]].concat());
        poll(&mut stage, 1);
        let error = polled(&mut stage).unwrap_err();
        let malformed = matches!(error, ConsumeError::Request(RequestError::Malformed { .. }));
        assert!(malformed, "cut at {cut}: {error}");
        // It asks again, and goes on.
        stage.pass(Duration::from_secs(1));
        let (asked, _) = stage.find::<FetchRequest>().unwrap();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
        poll(&mut stage, 2);
        assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)], "cut at {cut}");
    }
}

#[test]
fn random_bytes_in_an_answer_are_no_panic() {
    let mut rng = Rng::from_seed(5);
    let whole = records(0, 20);
    for _ in 0..2_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + rng.below(4) {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[at] = rng.next_u64().to_le_bytes()[0];
        }
        let mut stage = reading(ConsumerConfig {
            check_crcs: rng.below(2) == 0,
            isolation_level: IsolationLevel::ReadCommitted,
            ..config()
        });
        let (asked, _) = stage.expect::<FetchRequest>();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, bytes.into())]);
        poll(&mut stage, 1);
        // Records, an error or nothing: whatever it is, the next word of the broker is understood.
        let _ = events(&mut stage);
        let now = stage.now;
        stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(0)));
        assert_eq!(stage.core.position(&tp(0)), Some(Offset(0)));
    }
}

#[test]
fn members_whose_words_make_no_sense_get_nothing() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    poll(&mut stage, 1);
    find_coordinator(&mut stage);
    let (asked, request) = stage.find::<JoinGroupRequest>().unwrap();
    let member = |id: &str, metadata| JoinGroupResponseMember {
        member_id: id.into(),
        metadata,
        ..Default::default()
    };
    let answer = JoinGroupResponse {
        generation_id: 5,
        protocol_name: Some("range".into()),
        leader: "me".into(),
        member_id: "me".into(),
        members: vec![
            member("me", request.protocols[0].metadata.clone()),
            member("other", Bytes::from_static(b"\xff\xff")),
        ],
        ..Default::default()
    };
    stage.answer::<JoinGroupRequest>(&asked, &answer);
    stage.pass(Duration::from_millis(300));
    let (_, sync) = stage.find::<SyncGroupRequest>().unwrap();
    let share = |at: usize| decode_assignment(sync.assignments[at].assignment.clone()).unwrap();
    assert_eq!((share(0).len(), share(1).len()), (2, 0));
}
