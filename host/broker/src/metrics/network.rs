//! Connections and bytes, as the network threads count them.

use std::sync::Arc;

use dohle_metrics::{Metric, Page, metrics};
use dohle_net::{Counters, ThreadCounters};

use super::Tally;

metrics! {
    /// Connections that are open, by network thread.
    OPEN: gauge "kafka_server_socket_server_metrics_connection_count", Connections,
        by ["networkprocessor"];

    /// Connections that were accepted, by network thread.
    OPENED: counter "kafka_server_socket_server_metrics_connection_creation_total", Connections,
        by ["networkprocessor"];

    /// Connections that were closed for being idle, by network thread.
    EXPIRED: counter "kafka_server_socket_server_metrics_expired_connections_killed_total",
        Connections, by ["networkprocessor"];

    /// Connections that went to another network thread, by the one that they left.
    MOVED: counter "dohle_network_connections_moved_total", Connections, by ["networkprocessor"];

    /// Bytes that were received, by network thread.
    RECEIVED: counter "kafka_server_socket_server_metrics_incoming_byte_total", Bytes,
        by ["networkprocessor"];

    /// Bytes that were sent, by network thread.
    SENT: counter "kafka_server_socket_server_metrics_outgoing_byte_total", Bytes,
        by ["networkprocessor"];

    /// Frames that were handed to the broker, by network thread.
    FRAMES: counter "kafka_server_socket_server_metrics_request_total", Requests,
        by ["networkprocessor"];

    /// Frames that were refused for their length, by network thread.
    REFUSED: counter "dohle_network_frames_refused_total", Requests, by ["networkprocessor"];

    /// Ranges of records that had to be read from the disk before they could be sent, by network
    /// thread.
    COLD: counter "dohle_network_cold_reads_total", Count, by ["networkprocessor"];
}

type Read = fn(&Counters) -> u64;

/// How each row is read.
const READ: [(Metric, Read); 9] = [
    (OPEN, Counters::connections),
    (OPENED, |thread| thread.connections_opened),
    (EXPIRED, |thread| thread.connections_expired),
    (MOVED, |thread| thread.connections_left),
    (RECEIVED, |thread| thread.bytes_in),
    (SENT, |thread| thread.bytes_out),
    (FRAMES, |thread| thread.requests),
    (REFUSED, |thread| thread.frames_refused),
    (COLD, |thread| thread.cold_reads),
];

pub(super) fn write(page: &mut Page, threads: &[Arc<ThreadCounters>], tallies: &[Arc<Tally>]) {
    let mut threads: Vec<Counters> = threads.iter().map(|thread| thread.read()).collect();
    for tally in tallies {
        if let Some(thread) = threads.get_mut(tally.thread) {
            // Some are copied by the broker, see `api/fetch`.
            thread.cold_reads += tally.cold_reads();
        }
    }
    for (metric, read) in &READ {
        for (index, thread) in threads.iter().enumerate() {
            page.value(metric, &[&index.to_string()], read(thread) as f64);
        }
    }
}
