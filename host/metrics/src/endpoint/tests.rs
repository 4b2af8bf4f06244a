//! Goal: the page is there for whoever asks properly, and nobody else can do anything.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;

fn endpoint() -> Endpoint {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Endpoint::start(address, || "a 1\n".to_owned()).unwrap()
}

fn ask(endpoint: &Endpoint, request: &str) -> String {
    let mut stream = TcpStream::connect(endpoint.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_is_served() {
    let endpoint = endpoint();
    let answer = ask(&endpoint, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.ends_with("\r\n\r\na 1\n"), "{answer}");
}

#[test]
fn other_requests_are_refused() {
    let endpoint = endpoint();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        ("\x16\x03\x01 no http\r\n\r\n", "400"),
    ] {
        let answer = ask(&endpoint, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let endpoint = endpoint();
    let idle: Vec<_> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(endpoint.address()).unwrap()).collect();
    let mut late = TcpStream::connect(endpoint.address()).unwrap();
    late.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(late.read(&mut [0; 1]).is_err(), "there is no room yet");
    drop(idle);
    late.set_read_timeout(None).unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("a 1\n"), "{answer}");
}

#[test]
fn a_port_that_is_taken_is_told_and_one_that_was_dropped_is_free() {
    // Where no other test can take the port in between.
    let address = SocketAddr::from(([127, 0, 0, 2], 0));
    let first = Endpoint::start(address, String::new).unwrap();
    let address = first.address();
    let taken = Endpoint::start(address, String::new).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    drop(first);
    assert!(Endpoint::start(address, String::new).is_ok());
}
