//! Goal: a peer that sends without reading, or whose answers are long in coming, is made to wait;
//! nothing is lost. Method: count what the handler was given.

use std::io::{ErrorKind, Write};

use dohle_net::Options;
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::kit::{Ask, Peer, Service, eventually};

/// Options under which sockets hold little, so that the bounds of the server show.
fn small_sockets() -> Options {
    Options {
        send_buffer_bytes: Some(64 * 1024),
        receive_buffer_bytes: Some(64 * 1024),
        ..Options::default()
    }
}

fn peer_with_small_sockets(service: &Service) -> Peer {
    let peer = service.peer();
    set_socket_recv_buffer_size(&peer.stream, 64 * 1024).expect("a socket");
    peer
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    let service = Service::start(small_sockets());
    let mut peer = peer_with_small_sockets(&service);
    let (count, size) = (1_000, 64 * 1024);
    for _ in 0..count {
        peer.send(&Ask::Bytes(size));
    }
    // Not the moment before it begins.
    eventually("it makes answers", || service.handled() >= 4);
    let handled = service.settled();
    // A quarter of a MiB in the server, and the doubled buffers of two sockets.
    assert!((4..20).contains(&handled), "{handled} answers of 64 KiB were made");
    for _ in 0..count {
        assert!(peer.receive() == vec![7; size as usize]);
    }
    assert_eq!(service.handled(), count);
}

#[test]
fn a_flood_of_tiny_requests_is_bounded_too() {
    // One thread: while it has time for another peer, it has had time for this one.
    let service = Service::start(Options { threads: 1, ..small_sockets() });
    let (mut peer, mut other) = (peer_with_small_sockets(&service), service.peer());
    let ask = Ask::Echo(b"x").framed();
    let burst = ask.repeat(1_000);
    peer.stream.set_nonblocking(true).expect("a socket");
    let (mut written, mut in_vain, mut others) = (0, 0, 0);
    while in_vain < 100 {
        match peer.stream.write(&burst[written % ask.len()..]) {
            Ok(count) => (written, in_vain) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                assert_eq!(other.ask(&Ask::Echo(b"and I?")), b"and I?");
                (in_vain, others) = (in_vain + 1, others + 1);
            }
        }
        assert!(written < 20_000_000, "the server takes whatever comes");
    }
    peer.stream.set_nonblocking(false).expect("a socket");
    let handled = service.handled() - others;
    assert!(handled < written / ask.len(), "the server has stopped before the end");

    for _ in 0..written / ask.len() {
        assert_eq!(peer.receive(), b"x");
    }
}

#[test]
fn requests_that_came_together_are_not_all_handled_in_one_turn() {
    let service = Service::start(Options { threads: 1, ..Options::default() });
    let (mut first, mut peer, mut other) = (service.peer(), service.peer(), service.peer());
    let count = 1_000;
    // While the thread is at work, all of them arrive.
    first.send(&Ask::Work(200, b"held up"));
    eventually("it is at work", || service.handled() == 1);
    peer.send_bytes(&Ask::Work(1, b"one of many").framed().repeat(count));
    other.send(&Ask::Echo(b"and I?"));
    assert_eq!(other.receive(), b"and I?");
    let handled = service.handled();
    assert!(handled < count / 2, "{handled} of {count} came before another's");
    for _ in 0..count {
        assert_eq!(peer.receive(), b"one of many");
    }
    assert_eq!(first.receive(), b"held up");
}

#[test]
fn only_so_many_requests_wait_for_their_answers() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    for _ in 0..200 {
        peer.send(&Ask::Never);
    }
    service.handles_no_more_than(64);
    drop(peer);

    let mut peer = service.peer();
    for _ in 0..200 {
        peer.send(&Ask::After(30, b"slow"));
    }
    for _ in 0..200 {
        assert_eq!(peer.receive(), b"slow");
    }
}

#[test]
fn only_so_many_bytes_of_requests_wait_for_their_answers() {
    let service = Service::start(Options::default());
    let mut peer = service.peer();
    let mut writer = peer.stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        let ask = Ask::Released(&vec![3; 3 * 1024 * 1024]).framed();
        (0..6).try_for_each(|_| writer.write_all(&ask))
    });
    // Two are below 8 MiB, three above.
    service.handles_no_more_than(3);
    service.seen.release(6);
    for _ in 0..6 {
        assert_eq!(peer.receive().len(), 3 * 1024 * 1024);
    }
    sending.join().expect("no panic").expect("the server reads everything");
}
