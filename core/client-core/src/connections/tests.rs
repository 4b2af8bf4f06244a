//! Goal: each request gets exactly one answer, whatever sockets and brokers do. Method: inputs by
//! hand, outputs compared.

use dohle_base::Str;
use dohle_protocol::{
    Message,
    api::{
        api_versions_response::{ApiVersion, ApiVersionsResponse},
        heartbeat_request::HeartbeatRequest,
        heartbeat_response::HeartbeatResponse,
    },
    encode_response,
};

use super::*;

const PEER: Peer = Peer::Broker(BrokerId(1));

fn connections() -> Connections<u32> {
    Connections::new(ClientConfig::parse("b1:9092").unwrap(), Rng::from_seed(1))
}

fn address() -> Address {
    "b1:9092".parse().unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

fn sending() -> Sending {
    Sending { version: 4, timeout: Duration::from_secs(30), answered: true }
}

fn answer<M: Message>(key: ApiKey, version: i16, correlation_id: i32, message: &M) -> Bytes {
    let mut w = Writer::new();
    encode_response(&mut w, key, version, correlation_id, message).unwrap();
    w.into_bytes().slice(4..)
}

fn versions(version: i16, code: i16) -> Bytes {
    let api_keys = [(18, 0, 3), (12, 0, 4)].map(|(api_key, min_version, max_version)| ApiVersion {
        api_key,
        min_version,
        max_version,
    });
    let error_code = dohle_base::ErrorCode(code);
    let message =
        ApiVersionsResponse { api_keys: api_keys.into(), error_code, ..Default::default() };
    answer(ApiKey::ApiVersions, version, -1, &message)
}

fn heartbeat(correlation_id: i32) -> Bytes {
    answer(ApiKey::Heartbeat, 4, correlation_id, &HeartbeatResponse::default())
}

/// Connects and agrees on versions.
fn open(connections: &mut Connections<u32>, now: Instant) -> LinkId {
    assert!(!connections.ready(now, PEER, &address()));
    let Some(Output::Connect { link, .. }) = connections.poll_output() else { panic!() };
    connections.handle_input(now, Input::Connected { link });
    let Some(Output::Send { .. }) = connections.poll_output() else { panic!() };
    let frame = versions(ApiKey::ApiVersions.max_stable_version(), 0);
    connections.handle_input(now, Input::Received { link, frame });
    assert!(connections.ready(now, PEER, &address()));
    link
}

fn send(connections: &mut Connections<u32>, now: Instant, tag: u32) {
    connections.send(now, PEER, &HeartbeatRequest::default(), sending(), tag);
}

fn outcomes(connections: &mut Connections<u32>) -> Vec<(u32, Result<(), RequestError>)> {
    std::iter::from_fn(|| connections.poll_answer())
        .map(|answer| (answer.tag, answer.outcome.map(drop)))
        .collect()
}

#[test]
fn answers_belong_to_requests_in_order() {
    let mut connections = connections();
    let link = open(&mut connections, at(1));
    for tag in [7, 8, 9] {
        send(&mut connections, at(1), tag);
    }
    for correlation_id in 0..3 {
        let frame = heartbeat(correlation_id);
        connections.handle_input(at(2), Input::Received { link, frame });
    }
    assert_eq!(outcomes(&mut connections), [(7, Ok(())), (8, Ok(())), (9, Ok(()))]);
}

#[test]
fn an_answer_to_nobodys_request_ends_the_connection() {
    for wrong in [Bytes::new(), Bytes::from_static(b"abc"), heartbeat(1)] {
        let mut connections = connections();
        let link = open(&mut connections, at(1));
        send(&mut connections, at(1), 7);
        connections.handle_input(at(2), Input::Received { link, frame: wrong });
        assert_eq!(outcomes(&mut connections), [(7, Err(RequestError::Disconnected))]);
        assert!(!connections.is_open(PEER));
    }
}

#[test]
fn a_broker_that_does_not_know_our_version_is_asked_in_its_own() {
    let mut connections = connections();
    connections.ready(at(1), PEER, &address());
    let Some(Output::Connect { link, .. }) = connections.poll_output() else { panic!() };
    connections.handle_input(at(1), Input::Connected { link });
    connections.poll_output();
    connections.handle_input(at(1), Input::Received { link, frame: versions(0, 35) });
    let Some(Output::Send { frame, .. }) = connections.poll_output() else { panic!() };
    let version = i16::from_be_bytes(*frame[6..].first_chunk().unwrap());
    assert_eq!(version, 3, "the newest that it said it has");
    connections.handle_input(at(1), Input::Received { link, frame: versions(3, 0) });
    assert_eq!(connections.version::<HeartbeatRequest>(PEER, i16::MAX), Ok(4));
}

#[test]
fn a_very_old_broker_is_asked_in_version_0() {
    let mut connections = connections();
    connections.ready(at(1), PEER, &address());
    let Some(Output::Connect { link, .. }) = connections.poll_output() else { panic!() };
    connections.handle_input(at(1), Input::Connected { link });
    connections.poll_output();
    let error_code = dohle_base::ErrorCode::UNSUPPORTED_VERSION;
    let refusal = ApiVersionsResponse { error_code, ..Default::default() };
    let frame = answer(ApiKey::ApiVersions, 0, -1, &refusal);
    connections.handle_input(at(1), Input::Received { link, frame: frame.clone() });
    let Some(Output::Send { frame: question, .. }) = connections.poll_output() else { panic!() };
    assert_eq!(question[6..8], [0, 0]);
    // Who does not know that either cannot be talked to.
    connections.handle_input(at(1), Input::Received { link, frame });
    assert_eq!(connections.poll_output(), Some(Output::Close { link }));
}

#[test]
fn what_waits_too_long_ends_with_its_connection() {
    let mut connections = connections();
    open(&mut connections, at(1));
    send(&mut connections, at(1), 7);
    send(&mut connections, at(20), 8);
    assert_eq!(connections.poll_timeout(), Some(at(31)));
    connections.handle_timeout(at(30));
    assert_eq!(outcomes(&mut connections), []);
    connections.handle_timeout(at(31));
    let expected = [(7, Err(RequestError::TimedOut)), (8, Err(RequestError::Disconnected))];
    assert_eq!(outcomes(&mut connections), expected);
}

#[test]
fn a_lost_connection_is_told_to_all_and_not_tried_again_at_once() {
    let mut connections = connections();
    let link = open(&mut connections, at(1));
    send(&mut connections, at(1), 7);
    send(&mut connections, at(1), 8);
    while connections.poll_output().is_some() {}
    connections.handle_input(at(2), Input::Closed { link });
    let expected = [(7, Err(RequestError::Disconnected)), (8, Err(RequestError::Disconnected))];
    assert_eq!(outcomes(&mut connections), expected);
    assert!(connections.take_failed());
    assert!(!connections.ready(at(2), PEER, &address()));
    assert!(connections.is_backing_off(at(2), PEER));
    assert_eq!(connections.poll_output(), Some(Output::Close { link }));
    assert_eq!(connections.poll_output(), None);
    let retry = connections.poll_timeout().expect("somebody waits for it");
    assert!((40..=60).contains(&retry.since(at(2)).as_millis()));
    assert!(!connections.ready(retry, PEER, &address()));
    assert!(
        matches!(connections.poll_output(), Some(Output::Connect { link: new, .. }) if new != link)
    );
}

#[test]
fn news_of_a_socket_given_up_is_ignored() {
    let mut connections = connections();
    let old = open(&mut connections, at(1));
    connections.handle_input(at(1), Input::Closed { link: old });
    while connections.poll_output().is_some() {}
    let new = open(&mut connections, at(2));
    send(&mut connections, at(2), 7);
    connections.handle_input(at(2), Input::Closed { link: old });
    connections.handle_input(at(2), Input::Received { link: old, frame: heartbeat(0) });
    assert_eq!(outcomes(&mut connections), []);
    connections.handle_input(at(2), Input::Received { link: new, frame: heartbeat(0) });
    assert_eq!(outcomes(&mut connections), [(7, Ok(()))]);
}

#[test]
fn a_request_without_an_answer_is_done_when_it_is_written() {
    let mut connections = connections();
    let link = open(&mut connections, at(1));
    let oneway = Sending { answered: false, ..sending() };
    connections.send(at(1), PEER, &HeartbeatRequest::default(), oneway, 7);
    send(&mut connections, at(1), 8);
    assert!(matches!(connections.poll_output(), Some(Output::Send { report: true, .. })));
    // The answer to the second one may come before the first one is reported.
    connections.handle_input(at(1), Input::Received { link, frame: heartbeat(1) });
    connections.handle_input(at(1), Input::Written { link });
    assert_eq!(outcomes(&mut connections), [(8, Ok(())), (7, Ok(()))]);
}

#[test]
fn no_more_are_under_way_than_drivers_have_room_for() {
    let mut connections = connections();
    open(&mut connections, at(1));
    for tag in 0..64 {
        assert!(connections.ready(at(1), PEER, &address()));
        send(&mut connections, at(1), tag);
    }
    assert!(!connections.ready(at(1), PEER, &address()));
    send(&mut connections, at(1), 64);
    assert_eq!(outcomes(&mut connections), [(64, Err(RequestError::Disconnected))]);
}

#[test]
fn silence_is_kept_when_asked_for() {
    let mut connections = connections();
    open(&mut connections, at(1));
    connections.throttle(at(1), PEER, 2_000);
    assert!(!connections.ready(at(2), PEER, &address()));
    assert_eq!(connections.throttled_until(at(2)), Some(at(3)));
    assert!(connections.ready(at(3), PEER, &address()));
    connections.throttle(at(3), PEER, 0);
    assert!(connections.ready(at(3), PEER, &address()));
}

#[test]
fn what_nobody_uses_is_closed() {
    let mut connections = connections();
    let link = open(&mut connections, at(1));
    assert_eq!(connections.poll_timeout(), Some(at(1 + 540)));
    connections.handle_timeout(at(541));
    assert_eq!(connections.poll_output(), Some(Output::Close { link }));
    assert_eq!(connections.poll_timeout(), None);
    assert!(!connections.take_failed(), "that is nobody's fault");
}

#[test]
fn a_client_id_that_does_not_fit_is_no_endless_loop() {
    let mut config = ClientConfig::parse("b1:9092").unwrap();
    config.client_id = Str::from("x".repeat(40_000));
    let mut connections: Connections<u32> = Connections::new(config, Rng::from_seed(1));
    connections.ready(at(1), PEER, &address());
    let Some(Output::Connect { link, .. }) = connections.poll_output() else { panic!() };
    connections.handle_input(at(1), Input::Connected { link });
    assert_eq!(connections.poll_output(), Some(Output::Close { link }));
}
