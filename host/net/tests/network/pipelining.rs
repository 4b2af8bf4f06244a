//! Goal: answers in the order of the requests, whatever becomes of each. Method: many requests in
//! one write.

use std::sync::atomic::Ordering::SeqCst;

use dohle_net::Options;

use crate::kit::{Ask, Numbers, Service, eventually};

#[test]
fn answers_come_in_the_order_of_their_requests() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let mut numbers = Numbers(7);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for n in 0..500_u32 {
        let payload = vec![n as u8; numbers.below(3_000)];
        let ask = match numbers.below(4) {
            0 => Ask::After(numbers.below(4) as u16, &payload),
            1 => Ask::Silence,
            _ => Ask::Echo(&payload),
        };
        sent.extend(ask.framed());
        if !matches!(ask, Ask::Silence) {
            expected.push(payload.clone());
        }
    }
    let mut writer = peer.stream.try_clone().expect("a socket");
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
    for payload in expected {
        assert!(peer.receive() == payload, "an answer is missing or out of order");
    }
    writing.join().expect("no panic").expect("the server reads everything");
}

#[test]
fn later_requests_are_handled_while_an_earlier_one_waits() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    for _ in 0..20 {
        peer.send(&Ask::Released(b"slow"));
    }
    peer.send(&Ask::Echo(b"quick"));
    eventually("all are handled", || service.handled() == 21);
    assert!(peer.has_nothing(), "nothing overtakes the first");
    // They wait together, and not one for the other.
    service.seen.release(20);
    for _ in 0..20 {
        assert_eq!(peer.receive(), b"slow");
    }
    assert_eq!(peer.receive(), b"quick");
}

#[test]
fn a_last_answer_ends_the_connection_behind_the_earlier_ones() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let asks =
        [Ask::After(50, b"one"), Ask::Echo(b"two"), Ask::Last(b"three"), Ask::Echo(b"never")];
    peer.send_bytes(&asks.iter().flat_map(Ask::framed).collect::<Vec<_>>());
    assert_eq!([peer.receive(), peer.receive(), peer.receive()], [&b"one"[..], b"two", b"three"]);
    assert!(peer.is_closed());
    assert_eq!(service.handled(), 3, "no frame behind the last one is handled");
}

#[test]
fn what_was_handled_behind_a_last_answer_is_not_sent() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let asks = [Ask::LastAfter(30, b"last"), Ask::Echo(b"known before it"), Ask::Never];
    peer.send_bytes(&asks.iter().flat_map(Ask::framed).collect::<Vec<_>>());
    assert_eq!(peer.receive(), b"last");
    assert!(peer.is_closed());
    assert_eq!(service.handled(), 3);
    eventually("nobody waits any more", || service.seen.abandoned.load(SeqCst) == 1);
}

#[test]
fn closing_sends_the_earlier_answers_first_and_loses_none_to_a_reset() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let mut bytes = Ask::Bytes(1_000_000).framed();
    bytes.extend(Ask::After(20, b"slow").framed());
    bytes.extend(crate::kit::framed(b"?"));
    // What follows is never read by a connection that closes.
    bytes.extend(Ask::Echo(&[0; 100_000]).framed());
    peer.send_bytes(&bytes);
    assert_eq!(peer.receive().len(), 1_000_000);
    assert_eq!(peer.receive(), b"slow");
    assert!(peer.is_closed());
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    peer.send(&Ask::Never);
    eventually("it is handled", || service.handled() == 1);
    assert_eq!(service.seen.abandoned.load(SeqCst), 0);
    drop(peer);
    eventually("the future is dropped", || service.seen.abandoned.load(SeqCst) == 1);
    eventually("the session is dropped", || service.seen.sessions.load(SeqCst) == 0);
}

#[test]
fn a_panic_of_the_handler_costs_one_connection() {
    let service = Service::start(Options::default());
    let (mut unlucky, mut other) = (service.peer(), service.peer());
    assert_eq!(other.ask(&Ask::Echo(b"before")), b"before");
    unlucky.send(&Ask::Panic);
    assert!(unlucky.is_closed());
    assert_eq!(other.ask(&Ask::Echo(b"after")), b"after");
    eventually("it is counted", || service.counters().connections_closed == 1);
}

#[test]
fn frames_that_are_taken_together_are_answered_in_their_order() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let one = |payload: &[u8]| Ask::Together(payload).framed();
    let sent = [
        Ask::After(50, b"slow").framed(),
        one(b"a"),
        one(b"b"),
        one(b"c"),
        Ask::Echo(b"alone").framed(),
        one(b"d"),
    ];
    peer.send_bytes(&sent.concat());
    for expected in [&b"slow"[..], b"\x03a", b"\x03b", b"\x03c", b"alone", b"\x01d"] {
        assert_eq!(peer.receive(), expected);
    }
    assert_eq!(service.handled(), 6);
    eventually("all are counted", || service.counters().requests == 6);
}

#[test]
fn no_more_frames_are_taken_than_answers_may_wait() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    peer.send(&Ask::Released(b"slow"));
    eventually("it waits", || service.handled() == 1);
    peer.send_bytes(&vec![Ask::Together(b"").framed(); 200].concat());
    service.handles_no_more_than(64);
    service.seen.release(1);
    assert_eq!(peer.receive(), b"slow");
    // Behind the slow one there is room for 63, and for 64 without it.
    let counts: Vec<_> = (0..200).map(|_| peer.receive()).collect();
    assert_eq!(counts[0], [63]);
    assert_eq!(counts[63], [64]);
}
