//! Goal: a load is never sent to another process than the one that is measured. Method: listeners
//! of this process and of none.

use std::net::TcpListener;

use super::{check, inodes_listening};

#[test]
fn who_listens_is_known_from_who_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = std::process::id();
    check(pid, port).unwrap();
    check(1, port).expect_err("process 1 does not listen there");
    check(u32::MAX, port).expect_err("there is no such process");
    drop(listener);
    check(pid, port).expect_err("nobody listens any more");
}

#[test]
fn only_listening_sockets_of_the_port_count() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 x
   1: 0100007F:2384 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 42 1 x
   2: 0100007F:2385 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 43 1 x
";
    assert_eq!(inodes_listening(table, 0x2384).into_iter().collect::<Vec<u64>>(), [41]);
}
