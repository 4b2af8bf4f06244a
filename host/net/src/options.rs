//! What a server can be told, in the terms of the broker's configuration.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Settings of a [`crate::Server`]. The defaults are Kafka's, except that socket buffers are left
/// to the operating system and one thread serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of network threads, at least 1. One per core is the design.
    pub threads: usize,
    /// Start of the threads' names, to which their number is added. The kernel shows 15 bytes.
    pub thread_name: String,
    /// `socket.send.buffer.bytes`; none (−1 in the configuration) lets the system adapt it.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; none (−1) lets the system adapt it.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`: connections that wait to be accepted.
    pub backlog: u32,
    /// `socket.request.max.bytes`: longest frame, its length prefix excluded.
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`: a connection on which no byte moved for this long, and to which
    /// no reply is being prepared, is closed. None (negative) means never.
    pub idle_max: Option<Duration>,
    /// `max.connections`: at this number no further connection is accepted until one closes.
    pub connections_max: usize,
    /// `max.connections.per.ip`: a connection above it is closed at once.
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`, host names already resolved.
    pub connections_per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// When connections move from one network thread to another.
    pub moves: Moves,
}

/// When connections move from one network thread to another, between two requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moves {
    /// So that those live together for which one thread is enough, and no thread has too much to do.
    #[default]
    ByLoad,
    /// They are dealt in turn and stay.
    Never,
    /// They are dealt in turn and move whenever they can: only to see what that breaks.
    Always,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 1,
            thread_name: "net".to_owned(),
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            backlog: 50,
            request_bytes_max: 104_857_600,
            idle_max: Some(Duration::from_millis(600_000)),
            connections_max: i32::MAX as usize,
            connections_per_ip_max: i32::MAX as usize,
            connections_per_ip_overrides: BTreeMap::new(),
            moves: Moves::default(),
        }
    }
}
