//! Goal: no more connections than allowed, in all and from one address. Method: one too many.

use std::{collections::BTreeMap, io::ErrorKind, time::Duration};

use dohle_net::Options;

use crate::kit::{Ask, PATIENCE, Service, eventually};

#[test]
fn at_the_total_a_connection_waits_for_another_to_close() {
    let service = Service::start(Options { connections_max: 2, threads: 2, ..Options::default() });
    let (mut first, mut second) = (service.peer(), service.peer());
    assert_eq!(first.ask(&Ask::Echo(b"1")), b"1");
    assert_eq!(second.ask(&Ask::Echo(b"2")), b"2");

    let mut third = service.peer();
    third.send(&Ask::Echo(b"3"));
    third.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    let error = third.stream.peek(&mut [0]).expect_err("nobody serves it");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(service.counters().connections(), 2);

    drop(first);
    third.stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    assert_eq!(third.receive(), b"3");
}

#[test]
fn above_the_bound_of_an_address_a_connection_is_closed() {
    let service = Service::start(Options { connections_per_ip_max: 2, ..Options::default() });
    let (mut first, mut second) = (service.peer(), service.peer());
    assert_eq!(first.ask(&Ask::Echo(b"1")), b"1");
    assert_eq!(second.ask(&Ask::Echo(b"2")), b"2");
    assert!(service.peer().is_closed());

    drop(first);
    eventually("the place is free", || service.counters().connections() == 1);
    assert_eq!(service.peer().ask(&Ask::Echo(b"3")), b"3");
}

#[test]
fn an_override_takes_the_place_of_the_bound() {
    let home = "127.0.0.1".parse().expect("an address");
    let service = Service::start(Options {
        connections_per_ip_max: 0,
        connections_per_ip_overrides: BTreeMap::from([(home, 1)]),
        ..Options::default()
    });
    let mut allowed = service.peer();
    assert_eq!(allowed.ask(&Ask::Echo(b"1")), b"1");
    assert!(service.peer().is_closed());
}
