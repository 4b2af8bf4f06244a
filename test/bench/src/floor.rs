//! The floor: the least that a broker can do for these loads, to see what the machine itself costs.
//!
//! ```text
//! produce   recv → CRC-32C → base offset in place → pwritev of all that one read brought for a partition,
//!           to a recycled file → 64-byte answers; or to new files, of which the oldest goes
//! fetch     up to 64 KiB what was read, in one write; more by header + sendfile; at the end of the log it
//!           waits for the next append
//! durable   one fdatasync for all that came in one round of epoll, and then the answers
//! ```
//!
//! One thread, one epoll, level-triggered; answers of one read leave in one write. It keeps no
//! metadata, checks nothing but checksums, overwrites or removes what it was given and forgets all at its end:
//! a measure, not a broker. Nobody but the generator may rely on it.

mod connection;
mod fetch;
mod log;
mod new_files;
mod produce_frame;
mod ring;
mod topics;

use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use dohle_protocol::{
    ApiKey, Message, Reader,
    api::{
        api_versions_response::ApiVersionsResponse, create_topics_request::CreateTopicsRequest,
        delete_topics_request::DeleteTopicsRequest, fetch_request::FetchRequest,
    },
    decode_request_header,
};

use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::{
    cli,
    poller::{EventFlags, Poller, Ready},
    usage::allow_open_files,
};
use connection::{Connection, Spare};
use fetch::{Answer, Fetch};
use produce_frame::ProduceFrame;
use topics::Topics;

const LISTENER: u64 = 0;

/// Measured: with it, a fetch of 1 MiB costs half of what it costs with the system's own, growing
/// buffer. The receive buffer stays the system's: of this size it would make a produce of 64 KiB a
/// third dearer.
const SEND_BUFFER: usize = 102_400;

/// Serves until it is killed.
///
/// # Errors
/// A port or a directory that cannot be had, or a disk that fails: a floor does not go on then.
pub(crate) fn run(args: &cli::Floor) -> Result<()> {
    let address = ("127.0.0.1", args.port);
    let listener = TcpListener::bind(address).with_context(|| format!("port {}", args.port))?;
    // A file for each partition and a socket for each connection.
    allow_open_files()?;
    serve(&listener, Topics::in_dir(&args.dir, args.new_files)?)
}

fn serve(listener: &TcpListener, topics: Topics) -> Result<()> {
    listener.set_nonblocking(true)?;
    let mut floor = Floor {
        poller: Poller::new()?,
        connections: HashMap::new(),
        connections_seen: LISTENER,
        topics,
        parked: Vec::new(),
        held: Vec::new(),
        spare: Spare::default(),
    };
    floor.poller.add(listener, LISTENER, EventFlags::IN)?;
    loop {
        floor.turn(listener)?;
    }
}

struct Floor {
    poller: Poller,
    connections: HashMap<u64, Connection>,
    /// The number of the last one.
    connections_seen: u64,
    topics: Topics,
    parked: Vec<Parked>,
    /// Connections whose answers wait for the sync of this round.
    held: Vec<u64>,
    spare: Spare,
}

/// A fetch at the end of a log.
struct Parked {
    connection: u64,
    fetch: Fetch,
    until: Instant,
}

impl Floor {
    fn turn(&mut self, listener: &TcpListener) -> Result<()> {
        let ready: Vec<Ready> = self.poller.wait(self.time_to_wait())?.collect();
        for event in ready {
            if event.token == LISTENER {
                self.accept(listener)?;
            } else if let Err(error) = self.serve(event) {
                // Whatever is wrong with a connection ends it, and only it.
                eprintln!("floor: connection {}: {error:#}", event.token);
                self.connections.remove(&event.token);
                self.parked.retain(|parked| parked.connection != event.token);
            }
        }
        self.sync()?;
        self.answer_parked()
    }

    /// Makes durable what came in this round, and lets the answers go.
    fn sync(&mut self) -> Result<()> {
        if self.topics.needs_sync() {
            self.topics.sync()?;
        }
        for token in self.held.drain(..) {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            if let Err(error) = flush(&self.poller, token, connection) {
                eprintln!("floor: connection {token}: {error:#}");
                self.connections.remove(&token);
            }
        }
        Ok(())
    }

    /// Until the first parked fetch must be answered.
    fn time_to_wait(&self) -> Option<Duration> {
        let first = self.parked.iter().map(|parked| parked.until).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let (socket, _) = match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            accepted => accepted.context("accept")?,
        };
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        self.connections_seen += 1;
        self.poller.add(&socket, self.connections_seen, EventFlags::IN)?;
        self.connections.insert(self.connections_seen, Connection::new(socket, &self.spare));
        Ok(())
    }

    /// Reads once, handles every whole request, and writes the answers at once, unless something is
    /// to be synced first.
    fn serve(&mut self, event: Ready) -> Result<()> {
        let Self { connections, topics, parked, poller, held, .. } = self;
        let Some(connection) = connections.get_mut(&event.token) else { return Ok(()) };
        if event.flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            if !connection.read()? {
                bail!("closed by its peer");
            }
            let handled = handle_all(topics, connection, |fetch| {
                let until = Instant::now() + fetch.time_max;
                parked.push(Parked { connection: event.token, fetch, until });
            });
            // Also what came before one that is broken: it lies in this connection's buffer.
            topics.write(connection.buffer())?;
            handled?;
            connection.make_room();
        }
        if topics.needs_sync() {
            held.push(event.token);
            return Ok(());
        }
        flush(poller, event.token, connection)
    }

    /// Answers the waiting fetches for which there is something now, or whose time is up.
    fn answer_parked(&mut self) -> Result<()> {
        let Self { connections, topics, parked, poller, .. } = self;
        if parked.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut still = Vec::new();
        for waiting in parked.drain(..) {
            let Some(connection) = connections.get_mut(&waiting.connection) else { continue };
            match waiting.fetch.answer(topics) {
                Answer::NothingYet if now < waiting.until => still.push(waiting),
                answer => {
                    let token = waiting.connection;
                    waiting.fetch.put(&answer, connection)?;
                    if let Err(error) = flush(poller, token, connection) {
                        eprintln!("floor: connection {token}: {error:#}");
                        connections.remove(&token);
                    }
                }
            }
        }
        *parked = still;
        Ok(())
    }
}

fn flush(poller: &Poller, token: u64, connection: &mut Connection) -> Result<()> {
    if let Some(interest) = connection.flush()? {
        poller.modify(connection.socket(), token, interest)?;
    }
    Ok(())
}

/// Answers what has come whole, and parks the fetches that have to wait.
fn handle_all(
    topics: &mut Topics,
    connection: &mut Connection,
    mut park: impl FnMut(Fetch),
) -> Result<()> {
    while let Some(frame) = connection.next_frame()? {
        if let Some(fetch) = handle(topics, connection, frame)? {
            park(fetch);
        }
    }
    Ok(())
}

/// Answers a request, or gives it back if it is a fetch that has to wait.
fn handle(
    topics: &mut Topics,
    connection: &mut Connection,
    frame: std::ops::Range<usize>,
) -> Result<Option<Fetch>> {
    let (buffer, out) = connection.buffers();
    if let Some(produce) = ProduceFrame::parse(&buffer[frame.clone()]) {
        let partition = topics.partition(produce.topic, produce.index)?;
        let (correlation_id, records) = (produce.correlation_id, produce.records);
        let part = frame.start + records.start..frame.start + records.end;
        let base_offset = partition.log.append(buffer, part)?;
        partition.ack.put(out, correlation_id, base_offset);
        let ring = Rc::clone(partition.log.ring());
        topics.put_into(&ring, buffer)?;
        return Ok(None);
    }
    // It may ask for what is before it.
    topics.write(buffer)?;
    let mut r = Reader::new(Bytes::copy_from_slice(&buffer[frame]));
    let (key, header) = decode_request_header(&mut r)?;
    let version = header.request_api_version;
    match key {
        ApiKey::Fetch => {
            let request = FetchRequest::decode(&mut r, version)?;
            let fetch = Fetch::of(&request, version, header.correlation_id)?;
            match fetch.answer(topics) {
                Answer::NothingYet => return Ok(Some(fetch)),
                answer => fetch.put(&answer, connection)?,
            }
        }
        ApiKey::CreateTopics => {
            let request = CreateTopicsRequest::decode(&mut r, version)?;
            connection.answer(key, &header, &topics.create(&request)?)?;
        }
        ApiKey::DeleteTopics => {
            let request = DeleteTopicsRequest::decode(&mut r, version)?;
            connection.answer(key, &header, &topics.delete(&request))?;
        }
        ApiKey::ApiVersions => {
            connection.answer(key, &header, &ApiVersionsResponse::default())?;
        }
        other => bail!("the floor does not serve {}", other.name()),
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
