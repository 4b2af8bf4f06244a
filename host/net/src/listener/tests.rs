//! Goal: an accepted socket has the options of the listening one. Method: a real connection.

use std::net::TcpStream;

use rustix::net::sockopt;

use super::open;
use crate::Options;

#[test]
fn accepted_sockets_inherit_no_delay_and_the_buffer_sizes() {
    let options = Options {
        send_buffer_bytes: Some(64 * 1024),
        receive_buffer_bytes: Some(96 * 1024),
        ..Options::default()
    };
    let address = "127.0.0.1:0".parse().expect("an address");
    let listener = open(address, None, &options).expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let (accepted, peer) = listener.accept().expect("a connection waits");

    assert_eq!(peer, client.local_addr().expect("connected"));
    assert!(sockopt::tcp_nodelay(&accepted).expect("a TCP socket"));
    // Linux doubles what it is told, for its own bookkeeping.
    assert_eq!(sockopt::socket_send_buffer_size(&accepted).expect("a socket"), 2 * 64 * 1024);
    assert_eq!(sockopt::socket_recv_buffer_size(&accepted).expect("a socket"), 2 * 96 * 1024);
}
