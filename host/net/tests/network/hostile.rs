//! Goal: no bytes of a peer harm anyone but itself. Method: forbidden lengths, halves of frames,
//! mutated frames.

use std::{io::Write, net::Shutdown, time::Duration};

use dohle_net::Options;

use crate::kit::{Ask, Numbers, Service, eventually, framed};

#[test]
fn forbidden_lengths_close_the_connection_behind_the_answers() {
    let service = Service::start(Options { request_bytes_max: 1_000, ..Options::default() });
    for length in [-1, i32::MIN, 1_001, i32::MAX] {
        let mut peer = service.peer();
        peer.send_bytes(&[&Ask::Echo(b"fine").framed()[..], &length.to_be_bytes()].concat());
        assert_eq!(peer.receive(), b"fine");
        assert!(peer.is_closed(), "length {length}");
    }
    let mut peer = service.peer();
    assert_eq!(peer.ask(&Ask::Echo(&[1; 999])), [1; 999], "the longest frame is allowed");
    assert_eq!(service.counters().frames_refused, 4);
}

#[test]
fn other_protocols_are_turned_away() {
    let service = Service::start(Options::default());
    for greeting in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    {
        let mut peer = service.peer();
        peer.send_bytes(greeting);
        assert!(peer.is_closed());
    }
    assert_eq!(service.handled(), 0);
}

#[test]
fn a_frame_may_arrive_byte_by_byte_or_never() {
    let service = Service::start(Options::default());
    let mut claims_much = service.peer();
    claims_much.send_bytes(&100_000_000_u32.to_be_bytes());
    claims_much.send_bytes(b"but sends little");

    let mut slow = service.peer();
    for byte in Ask::Echo(b"in small pieces").framed() {
        slow.send_bytes(&[byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(slow.receive(), b"in small pieces");

    let half = Ask::Echo(&[0; 10_000]).framed();
    slow.send_bytes(&half[..5_000]);
    slow.stream.shutdown(Shutdown::Write).expect("connected");
    assert!(slow.is_closed());
    drop(claims_much);
    eventually("both are gone", || service.counters().connections() == 0);
    assert_eq!(service.handled(), 1);
}

#[test]
fn answers_known_when_the_peer_stops_sending_are_still_sent() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    peer.send_bytes(&[Ask::Bytes(3_000_000).framed(), Ask::Echo(b"end").framed()].concat());
    peer.stream.shutdown(Shutdown::Write).expect("connected");
    assert_eq!(peer.receive().len(), 3_000_000);
    assert_eq!(peer.receive(), b"end");
    assert!(peer.is_closed());
}

#[test]
fn three_thousand_mutated_frames_leave_the_server_alive() {
    let service = Service::start(Options { request_bytes_max: 100_000, ..Options::default() });
    let mut witness = service.peer();
    let mut numbers = Numbers(11);
    for round in 0..300 {
        let mut peer = service.peer();
        let mut bytes = Vec::new();
        for _ in 0..10 {
            let payload: Vec<u8> = (0..numbers.below(2_000)).map(|n| n as u8).collect();
            // No panics and no endless answers are asked for, but anything else may come of it.
            let mut frame = match numbers.below(4) {
                0 => framed(&payload),
                1 => Ask::After(1, &payload).framed(),
                2 => Ask::Bytes(numbers.below(10_000) as u32).framed(),
                _ => Ask::Echo(&payload).framed(),
            };
            for _ in 0..numbers.below(4) {
                let at = numbers.below(frame.len());
                frame[at] = numbers.below(256) as u8;
            }
            if numbers.below(5) == 0 {
                frame.truncate(numbers.below(frame.len()));
            }
            bytes.extend(frame);
        }
        // The server may hang up in the middle.
        let _ = peer.stream.write_all(&bytes);
        if round % 2 == 0 {
            let _ = peer.stream.shutdown(Shutdown::Both);
        }
        drop(peer);
        if round % 50 == 0 {
            assert_eq!(witness.ask(&Ask::Echo(b"alive")), b"alive");
        }
    }
    assert_eq!(witness.ask(&Ask::Echo(b"alive")), b"alive");
    eventually("only the witness is left", || service.counters().connections() == 1);
}
